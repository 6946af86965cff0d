"""Every update rule by hand against the optimizer it describes, step by step, in float64."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.core.registry import Entry
from netwright.optim import by_hand
from netwright.optim.by_hand import RULES
from netwright.optim.optimizers import OPTIMIZERS

STEPS = 12
START = np.random.default_rng(0).normal(size=(3, 4))
SIZES = np.logspace(-3, 3, 12).reshape(3, 4)
GRADIENTS = SIZES * np.random.default_rng(1).normal(size=(STEPS, 3, 4))
GRADIENTS[4] = 0.0  # a step without a gradient: memory alone moves


def grid(**choices: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(choices, each, strict=True)) for each in itertools.product(*choices.values())]


# What `optim=NAME` takes: every combination.
OURS: dict[str, list[dict[str, Any]]] = {
    "gd": grid(lr=[0.1], wd=[0.0, 0.1]),
    "sgd": [
        *grid(lr=[0.1], momentum=[0.5, 0.9], nesterov=[False, True], wd=[0.0, 0.1]),
        *grid(lr=[0.1], momentum=[0.0], wd=[0.0, 0.1]),
    ],
    "adagrad": grid(lr=[0.1], start=[0.0, 0.5], eps=[1e-10, 1e-3], wd=[0.0, 0.1]),
    "rmsprop": grid(
        lr=[0.01], rho=[0.9, 0.99], momentum=[0.0, 0.9], centered=[False, True], eps=[1e-8, 1e-3],
        wd=[0.0, 0.1],
    ),
    "adadelta": grid(lr=[1.0, 0.5], rho=[0.9], eps=[1e-6, 1e-3], wd=[0.0, 0.1]),
    "adam": grid(lr=[0.01], beta1=[0.0, 0.9], beta2=[0.99], eps=[1e-8, 1e-2], wd=[0.0, 0.1]),
    "adamw": grid(lr=[0.01], beta1=[0.0, 0.9], beta2=[0.99], eps=[1e-8, 1e-2], wd=[0.0, 0.1]),
    "nadam": grid(
        lr=[0.01], beta1=[0.9], beta2=[0.99], rise=[0.0, 0.004], decoupled=[False, True],
        wd=[0.0, 0.1],
    ),
}  # fmt: skip
OUR_CASES = [(name, chosen) for name, choices in OURS.items() for chosen in choices]

# What torch has beside it, with its settings and the rule's.
FURTHER: list[tuple[str, Callable[..., Any], dict[str, Any], dict[str, Any]]] = [
    ("sgd", torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}, {"dampening": 0.3}),
    ("sgd", torch.optim.SGD, {"maximize": True}, {"momentum": 0.0, "maximize": True}),
    ("gd", torch.optim.SGD, {"maximize": True}, {"maximize": True}),
    ("adagrad", torch.optim.Adagrad, {"lr_decay": 0.1}, {"lr_decay": 0.1}),
    ("adam", torch.optim.Adam, {"amsgrad": True}, {"amsgrad": True}),
    ("adamw", torch.optim.AdamW, {"amsgrad": True}, {"amsgrad": True}),
    *(
        (name, kind, {"maximize": True}, {"maximize": True})
        for name, kind in (
            ("adagrad", torch.optim.Adagrad), ("rmsprop", torch.optim.RMSprop),
            ("adadelta", torch.optim.Adadelta), ("adam", torch.optim.Adam),
            ("adamw", torch.optim.AdamW), ("nadam", torch.optim.NAdam),
        )
    ),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    """torch keeps some of its scalars (NAdam's product of momenta) in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def path_by_hand(name: str, **settings: Any) -> list[np.ndarray]:
    w, state, path = START, None, []
    for g in GRADIENTS:
        w, state = RULES.get(name).target(w, g, state, **settings)
        path.append(w)
    return path


def path_of(make: Callable[[nn.Parameter], Any]) -> list[np.ndarray]:
    weight = nn.Parameter(torch.from_numpy(START.copy()))
    optimizer, path = make(weight), []
    for g in GRADIENTS:
        weight.grad = torch.from_numpy(g.copy())
        optimizer.step()
        path.append(weight.detach().numpy().copy())
    return path


@pytest.mark.parametrize(("name", "chosen"), OUR_CASES)
def test_the_rule_is_what_the_optimizer_does(name: str, chosen: dict[str, Any]) -> None:
    entry = OPTIMIZERS.get(name)
    assert entry.options is not None
    options = entry.options(**chosen)

    def make(weight: nn.Parameter) -> Any:
        return entry.target([{"params": [weight], "weight_decay": chosen["wd"]}], options)

    np.testing.assert_allclose(path_by_hand(name, **chosen), path_of(make), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "kind", "theirs", "ours"), FURTHER)
@pytest.mark.parametrize("wd", [0.0, 0.1])
def test_the_rule_is_what_torch_does_with_its_other_settings(
    name: str, kind: Callable[..., Any], theirs: dict[str, Any], ours: dict[str, Any], wd: float
) -> None:
    def make(weight: nn.Parameter) -> Any:
        return kind([weight], lr=0.02, weight_decay=wd, foreach=False, **theirs)

    found = path_by_hand(name, lr=0.02, wd=wd, **(TORCHS_OWN.get(name, {}) | ours))
    np.testing.assert_allclose(found, path_of(make), rtol=1e-12, atol=1e-12)


TORCHS_OWN: dict[str, dict[str, Any]] = {"adadelta": {"rho": 0.9}}


def _rosenbrock(w: Tensor) -> Tensor:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def _by_autograd(loss: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], tuple[float, Any]]:
    def both(w: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.from_numpy(w).clone().requires_grad_()
        value = loss(at)
        (gradient,) = torch.autograd.grad(value, at)
        return value.item(), gradient.numpy()

    return both


BOWL = torch.diag(torch.logspace(0, 1, 6, dtype=torch.float64))
LOSSES = {
    "rosenbrock": (_rosenbrock, [-1.2, 1.0]),
    "bowl": (lambda w: w @ BOWL @ w / 2 + w.sum(), [1.0] * 6),
    "cosh": (lambda w: torch.cosh(3 * w).sum() + (w[0] - w[1]) ** 2, [2.0, -1.0, 0.3]),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "chosen",
    [
        *grid(search=[True], iterations=[1, 4, 20], history=[2, 10], wd=[0.0, 0.5], lr=[1.0, 0.1]),
        *grid(search=[False], iterations=[1, 4], history=[3], wd=[0.0], lr=[1e-3]),
    ],
)
def test_lbfgs_by_hand_takes_the_steps_of_the_optimizer(loss: str, chosen: dict[str, Any]) -> None:
    function, start = LOSSES[loss]
    weight = nn.Parameter(torch.tensor(start))
    entry: Any = OPTIMIZERS.get("lbfgs")
    optimizer = entry.target(
        [{"params": [weight], "weight_decay": chosen["wd"]}], entry.options(**chosen)
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = function(weight)
        value.backward()
        return value

    w, state = np.array(start), None
    for call in range(3):
        optimizer.step(closure)
        w, state = by_hand.lbfgs(w, _by_autograd(function), state, **chosen)
        # A line search near the bottom divides differences of losses that agree in most digits:
        # on Rosenbrock's valley 4 directions make 3e-12 of 3e-16, here and there in either code.
        close = 1e-12 if call == 0 and chosen["iterations"] <= 4 else 1e-7
        np.testing.assert_allclose(w, weight.detach(), rtol=close, atol=close)


def test_the_line_search_stops_where_the_optimizers_does_on_wavy_lines() -> None:
    rng = np.random.default_rng(3)
    apart = 0
    for _ in range(300):
        bend, wave, often, phase = rng.uniform([0.01, 0.0, 0.5, 0.0], [1.0, 3.0, 6.0, 6.3])
        lr = float(10 ** rng.uniform(-2, 1.5))

        def function(w: Tensor, b=bend, a=wave, o=often, p=phase) -> Tensor:
            return (b * w**2 / 2 + a * torch.sin(o * w + p)).sum()

        weight = nn.Parameter(torch.tensor([5.0]))
        entry: Any = OPTIMIZERS.get("lbfgs")
        settings = {"lr": lr, "iterations": 1}
        optimizer = entry.target(
            [{"params": [weight], "weight_decay": 0.0}], entry.options(**settings)
        )

        def closure(weight=weight, function=function) -> Tensor:
            weight.grad = None
            value = function(weight)
            value.backward()
            return value

        optimizer.step(closure)
        w, _ = by_hand.lbfgs(np.array([5.0]), _by_autograd(function), **settings)
        apart += w.item() != pytest.approx(weight.item(), rel=1e-9, abs=1e-9)
    # Between two lengths that agree in five digits the cubic is made of rounding.
    assert apart <= 3


def test_every_optimizer_has_its_rule_and_every_rule_its_cases() -> None:
    assert set(RULES.names()) == set(OPTIMIZERS.names())
    assert {*OURS, "lbfgs"} == set(RULES.names())


@pytest.mark.parametrize("entry", list(RULES), ids=lambda entry: entry.name)
def test_every_rule_has_derivation_example_and_source(entry: Entry[Any]) -> None:
    doc = inspect.getdoc(entry.target) or ""
    assert re.search(r"^Derivation\b", doc, flags=re.MULTILINE)
    assert ">>> " in doc
    assert re.search(r"[A-Z]\w+.* (18|19|20)\d\d", entry.facts["paper"])
    assert entry.target.__module__.rpartition(".")[2] != entry.name == entry.target.__name__


@pytest.mark.parametrize("entry", list(RULES), ids=lambda entry: entry.name)
def test_a_rule_changes_nothing_in_place(entry: Entry[Any]) -> None:
    w, g = np.ones(3), np.full(3, 2.0)
    given: Any = (lambda w: (float((w**2).sum()), 2 * w)) if entry.name == "lbfgs" else g
    first, state = entry.target(w, given)
    entry.target(first, given, state)
    again, _ = entry.target(w, given)
    assert w.tolist() == [1.0] * 3
    assert g.tolist() == [2.0] * 3
    assert again.tolist() == first.tolist()
