"""Looking at a network leaves it, and torch, as they were: also when it fails."""

import copy
import gc
import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.inspection.tracing import trace


class Writing(nn.Module):
    """A network that changes whatever it can on its way."""

    def __init__(self, *, asks: bool = False, fails: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("count", torch.zeros(3))
        self.count: Tensor
        self.seen: list[Any] = []
        self.last: Any = None
        self.asks, self.fails = asks, fails

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.count.mul_(2)
        self.seen.append(x)
        x = self.drop(self.norm(self.conv(x)))
        self.last = x
        self.extra = nn.Linear(1, 1)
        self.conv.weight.data.mul_(0)
        self.conv.weight.requires_grad_(False)
        self.conv.bias.data = torch.ones(4)  # type: ignore[union-attr]
        self.count = self.count + 5
        self.register_forward_hook(lambda *_: None)
        random.random()
        torch.rand(3)
        if self.asks:
            assert x.sum().item() == x.sum().item()
        if self.fails:
            raise ValueError("gone wrong")
        return x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_a_network_is_left_as_it_was(training: bool, asks: bool, fails: bool) -> None:
    torch.manual_seed(5)
    model = Writing(asks=asks, fails=fails)
    model.conv.weight.grad = gradient = torch.ones_like(model.conv.weight)
    model.norm.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    tensors = {name: id(each) for name, each in (*model.named_parameters(), *model.named_buffers())}
    keys = [sorted(module.__dict__) for module in model.modules()]
    numbers, python = torch.get_rng_state(), random.getstate()
    image = torch.randn(2, 3, 8, 8, requires_grad=True)
    kept = image.detach().clone()
    numbers = torch.get_rng_state()

    if fails:
        with pytest.raises(SettingError, match="gone wrong"):
            trace(model, (image,), training=training)
    else:
        trace(model, (image,), training=training)

    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert all(not value.is_meta for value in after.values())
    assert tensors == {
        name: id(each) for name, each in (*model.named_parameters(), *model.named_buffers())
    }
    assert keys == [sorted(module.__dict__) for module in model.modules()]
    assert model.training
    assert not model.norm.training
    assert model.seen == []
    assert model.last is None
    assert not hasattr(model, "extra")
    assert not model._forward_hooks
    assert model.conv.weight.grad is gradient
    assert all(each.requires_grad for each in model.parameters())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert random.getstate() == python
    assert torch.equal(image, kept)
    assert image.grad is None


@pytest.mark.parametrize("fails", [False, True])
def test_torch_itself_is_left_as_it_was(fails: bool) -> None:
    model = Writing(fails=fails)
    call, forward = nn.Module.__call__, nn.Conv2d.forward
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(True)
    try:
        with torch.device("cpu"), torch.enable_grad():
            depth = torch._C._len_torch_function_stack()
            if fails:
                with pytest.raises(SettingError):
                    trace(model, (torch.ones(1, 3, 8, 8),))
            else:
                trace(model, (torch.ones(1, 3, 8, 8),))
            assert torch._C._len_torch_function_stack() == depth
            assert torch.is_grad_enabled()
            assert torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    assert nn.Module.__call__ is call
    assert nn.Conv2d.forward is forward
    assert torch._C._len_torch_dispatch_stack() == 0
    assert gc.isenabled()
    assert not torch.is_inference_mode_enabled()


def test_a_hook_of_the_user_stays_and_is_heard_once() -> None:
    heard = []
    model = nn.Sequential(nn.Linear(3, 4))
    model[0].register_forward_hook(lambda *_: heard.append(1))
    trace(model, (torch.ones(1, 3),))
    assert heard == [1]
    assert len(model[0]._forward_hooks) == 1


def test_a_network_can_be_trained_after_it_was_looked_at() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    twin = copy.deepcopy(model)
    images = torch.randn(2, 3, 8, 8)
    trace(model, (images,))
    for each in (model, twin):
        each(images).sum().backward()
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert mine.grad is not None
        assert torch.equal(mine.grad, other.grad)  # type: ignore[arg-type]


def test_no_activation_is_allocated() -> None:
    # 4 GiB an activation: a pass that made one would not come back.
    record = trace(nn.Conv2d(3, 64, 3, padding=1), (torch.empty(1, 3, 4096, 4096, device="meta"),))
    assert record.layers[0].activation_bytes == 64 * 4096 * 4096 * 4
    assert record.seconds < 5


class Renaming(nn.Module):
    """It keeps its objects and moves them about."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.first: Any = [1]
        self.parts: Any = {"a": 1, "b": 2}
        self.chosen = {3, 4}

    def forward(self, x: Tensor) -> Tensor:
        self.parts["c"] = self.parts.pop("a")
        self.chosen.add(self.chosen.pop() + 10)
        self.first.append(2)
        self.second = self.first
        del self.first
        return self.conv(x)


def test_names_and_contents_are_put_back_where_they_were() -> None:
    model = Renaming()
    before, names = model.first, list(vars(model))
    trace(model, (torch.empty(1, 3, 8, 8),))
    assert list(vars(model)) == names
    assert model.first is before
    assert before == [1]
    assert list(model.parts.items()) == [("a", 1), ("b", 2)]
    assert model.chosen == {3, 4}
