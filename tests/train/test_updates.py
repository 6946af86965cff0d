"""One weight update: nobody who listens to an optimizer misses a step of it."""

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.optimizer import register_optimizer_step_post_hook

from netwright.train.task import NonFiniteError
from netwright.train.updates import apply_gradients, take_step


def patient():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    return weight, SGD([weight], lr=0.1)


def backward(weight):
    loss = (weight * torch.tensor([3.0, 4.0])).sum()
    loss.backward()
    return loss.detach()


def test_the_loss_and_the_norm_before_clipping_come_back():
    weight, optimizer = patient()
    assert apply_gradients(optimizer, backward(weight), clip=1.0) == (11.0, 5.0)
    assert weight.tolist() == pytest.approx([1 - 0.1 * 0.6, 2 - 0.1 * 0.8], abs=1e-6)
    assert weight.grad is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nothing_is_changed_by_a_gradient_that_is_not_finite(bad):
    weight, optimizer = patient()
    weight.grad = torch.tensor([bad, 0.0])
    with pytest.raises(NonFiniteError, match="norm of the gradients"):
        apply_gradients(optimizer, torch.tensor(1.0))
    assert weight.tolist() == [1.0, 2.0]
    assert weight.grad is None


def test_an_unwatched_step_is_the_optimizers_own_step():
    (left, one), (right, other) = patient(), patient()
    for _ in range(3):
        backward(left)
        one.step()
        backward(right)
        take_step(other)
        left.grad = right.grad = None
    assert left.tolist() == right.tolist()


def test_a_hook_of_the_optimizer_sees_each_step():
    seen = []
    weight, optimizer = patient()
    before = optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    after = optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    apply_gradients(optimizer, backward(weight))
    before.remove()
    apply_gradients(optimizer, backward(weight))
    after.remove()
    apply_gradients(optimizer, backward(weight))
    assert seen == ["before", "after", "after"]


def test_a_hook_of_all_optimizers_sees_each_step():
    seen = []
    weight, optimizer = patient()
    handle = register_optimizer_step_post_hook(lambda *_: seen.append(1))
    try:
        apply_gradients(optimizer, backward(weight))
    finally:
        handle.remove()
    apply_gradients(optimizer, backward(weight))
    assert seen == [1]


def test_a_step_put_in_the_place_of_an_optimizers_own_is_called():
    seen = []
    weight, optimizer = patient()
    optimizer.step = lambda: seen.append(1)
    apply_gradients(optimizer, backward(weight))
    assert seen == [1]


def test_a_profiler_sees_the_step():
    weight, optimizer = patient()
    with torch.profiler.profile() as profile:
        apply_gradients(optimizer, backward(weight))
    assert any("SGD.step" in each.key for each in profile.key_averages())


def test_a_subclass_with_its_own_step_is_obeyed():
    class Still(SGD):
        def step(self, closure=None):
            return None

    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    apply_gradients(Still([weight], lr=0.1), backward(weight))
    assert weight.tolist() == [1.0, 2.0]
