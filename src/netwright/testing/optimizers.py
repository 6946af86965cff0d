"""What a registered optimizer owes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.core.registry import Entry
from netwright.optim.groups import OptimCommon
from netwright.testing.options import check_options

_RATES = (0.05, 0.5, 10.0)
"""AdaGrad's steps shrink and Adadelta's begin tiny: neither arrives at the first of these."""


def check_optimizer(entry: Entry[Callable[[list[dict[str, Any]], Any], Optimizer]]) -> None:
    """Hold a leaf of `netwright.optim.optimizers.OPTIMIZERS` against its contract.

    - its options are a kind of `OptimCommon`;
    - groups keep their own weight decay, and begin at the rate `lr`;
    - it finds the bottom of a quadratic bowl ten times steeper one way than the other, at
      one of the rates 0.05, 0.5 and 10;
    - one that computes the loss again (the fact `closure`) is given a closure in each step;
    - the rate of a group acts at once: at 0 nothing moves;
    - saved and loaded (`weights_only=True`), it goes on with the same bits.
    """
    options: Any = entry.options
    assert options is not None, f"{entry.name} has no options class"
    assert issubclass(options, OptimCommon), f"{options.__name__} is not a kind of OptimCommon"
    check_options(options, prefix="optim.")
    made = options(lr=0.05)
    _check_groups(entry, made)
    _check_descent(entry, options)
    _check_rate(entry, made)
    _check_state(entry, made)


def _check_groups(entry: Entry[Any], options: OptimCommon) -> None:
    weights = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))]
    decays = [0.5, 0.0]
    groups = [{"params": [w], "weight_decay": d} for w, d in zip(weights, decays, strict=True)]
    optimizer = entry.target(groups, options)
    found = [(group["weight_decay"], group["lr"]) for group in optimizer.param_groups]
    assert found == [(decay, options.lr) for decay in decays], (
        f"{entry.name} does not keep the weight decay and the rate of its groups: {found}"
    )


def _check_descent(entry: Entry[Any], options: Any) -> None:
    before = _bowl(_start()).item()
    after = min(_bottom(entry, options(lr=rate)) for rate in _RATES)
    assert after < before / 100, f"{entry.name} came from {before:.3g} to {after:.3g} only"


def _bottom(entry: Entry[Any], options: OptimCommon) -> float:
    weight = _start()
    optimizer = entry.target([{"params": [weight], "weight_decay": 0.0}], options)
    for _ in range(400):
        _step(entry, optimizer, weight)
    return _bowl(weight).item()


def _check_rate(entry: Entry[Any], options: OptimCommon) -> None:
    weight = _start()
    optimizer = entry.target([{"params": [weight], "weight_decay": 0.1}], options)
    _step(entry, optimizer, weight)
    before = weight.detach().clone()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    _step(entry, optimizer, weight)
    assert torch.equal(weight, before), f"{entry.name} moves at a rate of 0"


def _check_state(entry: Entry[Any], options: OptimCommon) -> None:
    weight = _start()
    optimizer = entry.target([{"params": [weight], "weight_decay": 0.1}], options)
    for _ in range(3):
        _step(entry, optimizer, weight)
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    twin_weight = nn.Parameter(weight.detach().clone())
    twin = entry.target([{"params": [twin_weight], "weight_decay": 0.1}], options)
    twin.load_state_dict(torch.load(saved, weights_only=True))
    for _ in range(3):
        _step(entry, optimizer, weight)
        _step(entry, twin, twin_weight)
    assert torch.equal(weight, twin_weight), f"{entry.name} goes on differently after loading"


def _start() -> nn.Parameter:
    return nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))


def _bowl(weight: Tensor) -> Tensor:
    steepness = torch.tensor([[1.0, 10.0], [3.0, 1.0]])
    return 0.5 * (steepness * (weight - 0.25) ** 2).sum()


def _step(entry: Entry[Any], optimizer: Optimizer, weight: Tensor) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _bowl(weight)
        loss.backward()
        return loss

    if entry.facts.get("closure"):
        optimizer.step(closure)  # type: ignore[arg-type]  # torch asks for a float here
    else:
        closure()
        optimizer.step()
