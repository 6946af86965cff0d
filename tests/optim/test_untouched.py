"""What `untouched` puts back, bit for bit."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest
import torch
from torch import nn

from netwright.optim.untouched import untouched


class Strange(nn.Module):
    """Holds state in every way that a module can."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.hidden = [nn.Linear(2, 2)]  # a list, so torch does not know of it
        self.plain = torch.zeros(3)
        self.calls = 0
        self.seen: list[int] = []
        self.table = {"nested": {"deep": [1, 2]}}
        self.names = {"a"}
        self.recent: collections.deque[int] = collections.deque([1], maxlen=2)
        self.array = np.zeros(2)
        self.generator = torch.Generator().manual_seed(3)
        self.register_buffer("quiet", torch.zeros(1), persistent=False)

    def disturb(self) -> None:
        with torch.no_grad():
            for each in (*self.parameters(), *self.buffers(), *self.hidden[0].parameters()):
                each.add_(1)
        self.plain += 1
        self.calls += 1
        self.seen.append(1)
        self.table["nested"]["deep"].append(3)
        self.table["new"] = {}
        self.names.add("b")
        self.recent.append(2)
        self.recent.append(3)
        self.array += 1
        torch.rand(1, generator=self.generator)
        self.added = "attribute"
        self.linear = nn.Linear(2, 2)
        self.norm.eval()
        self.norm.weight.requires_grad_(False)


def everything(module: Strange) -> list[object]:
    tensors = [*module.parameters(), *module.buffers(), *module.hidden[0].parameters()]
    return [
        [each.detach().numpy().tobytes() for each in [*tensors, module.plain]],
        [each.requires_grad for each in tensors],
        [each.training for each in module.modules()],
        sorted(vars(module)),
        (module.calls, list(module.seen), str(module.table), sorted(module.names)),
        (list(module.recent), module.array.tolist(), module.generator.get_state().tolist()),
        [id(each) for each in module.modules()],
    ]


def test_all_that_a_module_holds_is_put_back() -> None:
    module = Strange()
    before = everything(module)
    with untouched(module):
        module.disturb()
        assert everything(module) != before
    assert everything(module) == before
    assert list(vars(module)) == list(vars(Strange()))


def test_after_an_exception_too() -> None:
    module = Strange()
    before = everything(module)

    def interrupted() -> None:
        with untouched(module):
            module.disturb()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert everything(module) == before


def test_gradients_are_away_inside_and_the_same_tensors_afterwards() -> None:
    layer = nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    gradient = layer.weight.grad
    assert gradient is not None
    with untouched(layer):
        assert layer.weight.grad is None
        (layer(torch.ones(1, 2)) ** 2).sum().backward()
    assert layer.weight.grad is gradient
    assert gradient.tolist() == [[1.0, 1.0]]


def test_random_states_go_on_as_if_nothing_had_been_drawn() -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(1).item(), random.random(), float(np.random.rand())

    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    wanted = draw()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    with untouched():
        draw()
    assert draw() == wanted


def test_two_parameters_in_one_storage_stay_so() -> None:
    flat = torch.arange(4.0)
    left, right = nn.Parameter(flat[:2]), nn.Parameter(flat[2:])
    with untouched(tensors=[left, right]), torch.no_grad():
        left.zero_()
        right.zero_()
    assert flat.tolist() == [0, 1, 2, 3]
    assert left.data_ptr() == flat.data_ptr()
