"""What sgd and adam do in cases that can be worked in the head, and in which form they run.

The rules themselves are compared in test_every_rule_by_hand.py.
"""

from typing import Any

import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError
from netwright.optim.optimizers import OPTIMIZERS

GRADIENTS = [0.5, -1.0, 0.25, 2.0, 0.0, -0.5]


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
