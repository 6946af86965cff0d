"""The adaptive optimizers, and plain descent, against their rules for one number."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from netwright.optim.optimizers import OPTIMIZERS

GRADIENTS = [0.5, -1.0, 0.25, 2.0, 0.0, -0.5]


def _gd(w: float, *, lr: float, wd: float) -> Iterator[float]:
    for gradient in GRADIENTS:
        w = w - lr * (gradient + wd * w)
        yield w


def _adagrad(w: float, *, lr: float, wd: float, start: float, eps: float) -> Iterator[float]:
    h = start
    for gradient in GRADIENTS:
        g = gradient + wd * w
        h = h + g * g
        w = w - lr * g / (math.sqrt(h) + eps)
        yield w


def _rmsprop(
    w: float, *, lr: float, wd: float, rho: float, eps: float, momentum: float, centered: bool
) -> Iterator[float]:
    h = mean = v = 0.0
    for gradient in GRADIENTS:
        g = gradient + wd * w
        h = rho * h + (1 - rho) * g * g
        mean = rho * mean + (1 - rho) * g
        root = math.sqrt(h - mean * mean if centered else h) + eps
        v = momentum * v + g / root
        w = w - lr * v
        yield w


def _adadelta(w: float, *, lr: float, wd: float, rho: float, eps: float) -> Iterator[float]:
    h = u = 0.0
    for gradient in GRADIENTS:
        g = gradient + wd * w
        h = rho * h + (1 - rho) * g * g
        d = g * math.sqrt(u + eps) / math.sqrt(h + eps)
        u = rho * u + (1 - rho) * d * d
        w = w - lr * d
        yield w


def _nadam(
    w: float, *, lr: float, wd: float, beta1: float, beta2: float, eps: float, rise: float,
    decoupled: bool,
) -> Iterator[float]:  # fmt: skip
    m = v = 0.0
    product = 1.0
    for t, gradient in enumerate(GRADIENTS, start=1):
        g = gradient
        if decoupled:
            w = w - lr * wd * w
        else:
            g = g + wd * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        now = beta1 * (1 - 0.5 * 0.96 ** (t * rise))
        after = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * rise))
        product *= now
        step = (1 - now) / (1 - product) * g + after / (1 - product * after) * m
        w = w - lr * step / (math.sqrt(v / (1 - beta2**t)) + eps)
        yield w


RULES: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "gd": (_gd, [{"lr": 0.1}]),
    "adagrad": (
        _adagrad,
        [{"lr": 0.1, "start": 0.0, "eps": 1e-10}, {"lr": 0.1, "start": 0.5, "eps": 1e-3}],
    ),
    "rmsprop": (
        _rmsprop,
        [
            {"lr": 0.01, "rho": 0.9, "eps": 1e-8, "momentum": momentum, "centered": centered}
            for momentum in (0.0, 0.9)
            for centered in (False, True)
        ],
    ),
    "adadelta": (_adadelta, [{"lr": lr, "rho": 0.9, "eps": 1e-6} for lr in (1.0, 0.5)]),
    "nadam": (
        _nadam,
        [
            {
                "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "rise": rise,
                "decoupled": decoupled,
            }
            for rise in (0.0, 0.004)
            for decoupled in (False, True)
        ],
    ),
}  # fmt: skip
CASES = [(name, rule, chosen) for name, (rule, choices) in RULES.items() for chosen in choices]


@pytest.mark.parametrize("wd", [0.0, 0.1])
@pytest.mark.parametrize(("name", "rule", "chosen"), CASES)
def test_it_follows_its_rule(name: str, rule: Any, chosen: dict[str, Any], wd: float) -> None:
    weight = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    entry = OPTIMIZERS.get(name)
    assert entry.options is not None
    groups = [{"params": [weight], "weight_decay": wd}]
    optimizer = entry.target(groups, entry.options(wd=wd, **chosen))
    found = []
    for gradient in GRADIENTS:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        found.append(weight.item())
    # torch keeps NAdam's product of momenta in float32.
    close = 1e-6 if name == "nadam" else 1e-12
    assert found == pytest.approx(list(rule(1.5, wd=wd, **chosen)), rel=close)


@pytest.mark.parametrize(
    ("name", "fact"),
    [("adagrad", "fused"), ("rmsprop", "foreach"), ("adadelta", "foreach"), ("nadam", "foreach")],
)
def test_it_takes_the_form_that_measured_faster(name: str, fact: str) -> None:
    entry = OPTIMIZERS.get(name)
    assert entry.options is not None
    weight = nn.Parameter(torch.ones(2))
    made = entry.target([{"params": [weight], "weight_decay": 0.0}], entry.options())
    assert made.defaults[fact] is True


def test_adagrads_steps_shrink_with_the_root_of_their_number() -> None:
    entry = OPTIMIZERS.get("adagrad")
    assert entry.options is not None
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = entry.target([{"params": [weight], "weight_decay": 0.0}], entry.options(lr=1.0))
    steps = []
    for _ in range(100):
        before = weight.item()
        weight.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
        steps.append(before - weight.item())
    assert steps[0] / steps[99] == pytest.approx(10)
