"""Each optimizer against its rule, written out for one number in plain Python."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError
from netwright.optim.optimizers import OPTIMIZERS

GRADIENTS = [0.5, -1.0, 0.25, 2.0, 0.0, -0.5]


def _sgd(w: float, *, lr: float, wd: float, momentum: float, nesterov: bool) -> Iterator[float]:
    v = None
    for gradient in GRADIENTS:
        g = gradient + wd * w
        v = g if v is None else momentum * v + g
        w = w - lr * (g + momentum * v if nesterov else v)
        yield w


def _adam(
    w: float, *, lr: float, wd: float, beta1: float, beta2: float, eps: float, decoupled: bool
) -> Iterator[float]:
    m = v = 0.0
    for t, gradient in enumerate(GRADIENTS, start=1):
        g = gradient
        if decoupled:
            w = w - lr * wd * w
        else:
            g = g + wd * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        w = w - lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
        yield w


def _ours(name: str, wd: float, **options: Any) -> list[float]:
    weight = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    entry = OPTIMIZERS.get(name)
    assert entry.options is not None
    groups = [{"params": [weight], "weight_decay": wd}]
    optimizer = entry.target(groups, entry.options(wd=wd, **options))
    path = []
    for gradient in GRADIENTS:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        path.append(weight.item())
    return path


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("wd", [0.0, 0.1])
def test_sgd_follows_its_rule(wd: float, nesterov: bool) -> None:
    found = _ours("sgd", wd, lr=0.1, momentum=0.9, nesterov=nesterov)
    expected = _sgd(1.5, lr=0.1, wd=wd, momentum=0.9, nesterov=nesterov)
    assert found == pytest.approx(list(expected), rel=1e-12)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("wd", [0.0, 0.1])
def test_adam_and_adamw_follow_their_rules(name: str, wd: float) -> None:
    settings = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    expected = _adam(1.5, wd=wd, decoupled=name == "adamw", **settings)
    assert _ours(name, wd, **settings) == pytest.approx(list(expected), rel=1e-6)


def test_the_first_step_of_adam_is_the_rate_whatever_the_gradient() -> None:
    assert _ours("adam", 0.0, lr=0.01)[0] == pytest.approx(1.5 - 0.01, rel=1e-6)


def test_momentum_0_is_plain_gradient_descent() -> None:
    assert _ours("sgd", 0.0, lr=0.1, momentum=0.0)[:2] == pytest.approx([1.45, 1.55])


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(SettingError, match=r"optim\.nesterov: true needs momentum"):
        _ours("sgd", 0.0, momentum=0.0, nesterov=True)


def test_the_update_is_one_kernel_that_equals_the_loop() -> None:
    torch.manual_seed(0)
    for name, plain in {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}.items():
        ours, theirs = (nn.Parameter(torch.ones(40, 50)) for _ in range(2))
        entry = OPTIMIZERS.get(name)
        assert entry.options is not None
        options = entry.options(lr=0.01)
        mine = entry.target([{"params": [ours], "weight_decay": 0.01}], options)
        assert mine.defaults["fused"] is True
        kwargs: dict[str, Any] = {"momentum": 0.9} if name == "sgd" else {}
        loop = plain([theirs], lr=0.01, weight_decay=0.01, foreach=False, **kwargs)
        for _ in range(5):
            ours.grad = torch.randn(40, 50)
            theirs.grad = ours.grad.clone()
            mine.step()
            loop.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
