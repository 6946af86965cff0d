"""A check leaves nothing behind, and refuses in words what it cannot check."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

import netwright as nw
from netwright.core.errors import SettingError


def test_nothing_of_the_caller_changes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.ReLU(inplace=True))
    model[0].weight.grad = torch.ones(4, 4)
    seen: list[int] = []
    model[3].register_forward_hook(lambda *_: seen.append(1))
    model[2].eval()
    x = torch.randn(6, 4)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    copy, modes = x.clone(), [each.training for each in model.modules()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    assert nw.check_gradients(model, x)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones(4, 4))
    assert model[1].weight.grad is None
    assert torch.equal(x, copy)
    assert x.grad is None
    assert modes == [each.training for each in model.modules()]
    assert not seen
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])
    assert torch.get_default_dtype() == torch.float32


def test_all_is_put_back_after_an_error_too():
    with pytest.raises(SettingError):
        nw.check_gradients(nn.Linear(3, 2), torch.randn(2, 4))
    assert torch.get_default_dtype() == torch.float32
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_same_check_says_the_same():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 2))
    first, second = (nw.check_gradients(model, (4,)).to_json() for _ in range(2))
    assert first == second


def test_what_a_forward_writes_down_is_as_at_first_in_every_pass():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.calls = nn.Linear(3, 3), 0
            self.register_buffer("sum", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            self.sum = self.sum + 1
            return self.inner(x) * self.calls * self.sum

    model = Counting()
    assert nw.check_gradients(model, (3,))
    assert (model.calls, float(model.sum)) == (0, 0.0)


def closes_over(x):
    return x @ torch.ones(3, 2, dtype=torch.float32)


class Remembering:
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * self.calls


REFUSED = {
    "no function": (lambda: nw.check_gradients(3), "a torch.nn.Module or a function, not int"),
    "a class": (lambda: nw.check_gradients(nn.Linear, (3,)), "Linear is a class"),
    "lazy layers": (lambda: nw.check_gradients(nn.LazyLinear(3), (3,)), "without a shape yet"),
    "meta tensors": (lambda: nw.check_gradients(nn.Linear(3, 2, device="meta"), (3,)),
                     "no weights with values"),
    "an input that does not fit": (lambda: nw.check_gradients(nn.Linear(3, 2), (4,)),
                                   "Linear cannot take its input: mat1 and mat2"),
    "an empty shape": (lambda: nw.check_gradients(nn.Linear(3, 2), (0,)), "cannot have the shape"),
    "float32 inside": (lambda: nw.check_gradients(closes_over, torch.randn(2, 3)),
                       "closes_over does not compute in float64"),
    "complex numbers": (lambda: nw.check_gradients(
        lambda x: x * x, torch.ones(2, dtype=torch.complex64)), "x holds complex numbers"),
    "no gradient": (lambda: nw.check_gradients(torch.argmax, torch.randn(3)),
                    "argmax returns nothing that carries a gradient"),
    "no number": (lambda: nw.check_gradients(torch.log, -torch.ones(3)), "log gives nan"),
    "another number each time": (lambda: nw.check_gradients(Remembering(), torch.ones(3)),
                                 "Remembering gives another number each time"),
    "a loss of several numbers": (lambda: nw.check_gradients(
        nn.Linear(3, 2), (3,), loss=lambda output: output), "expected one number"),
    "no direction": (lambda: nw.check_gradients(torch.sin, torch.ones(3), directions=0),
                     "Expected directions of 1 and more"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_checked_is_refused_in_words(name):
    call, words = REFUSED[name]
    with pytest.raises(SettingError, match=words):
        call()


def test_what_is_done_about_float64_is_told():
    with pytest.raises(SettingError, match="what a function closes over can be given as an input"):
        nw.check_gradients(closes_over, torch.randn(2, 3))


def test_an_argument_called_target_is_the_functions_own_without_a_loss():
    found = nw.check_gradients(
        nn.functional.cross_entropy, torch.randn(3, 4), target=torch.tensor([0, 1, 2])
    )
    assert found.ok
