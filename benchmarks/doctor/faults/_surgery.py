"""Cuts into the parts of a training that several faults make."""

from __future__ import annotations

from collections.abc import Callable

import torch
from setups import Parts
from torch import Tensor, nn

from data import Pair

LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)

ACTIVATIONS = (nn.ReLU, nn.Tanh)


def weighted(model: nn.Module) -> list[nn.Module]:
    """The linear and convolutional layers, in order."""
    return [each for each in model.modules() if isinstance(each, LINEAR)]


def swap(
    model: nn.Module, kind: type | tuple[type, ...], make: Callable[[nn.Module], nn.Module]
) -> None:
    """Put another module in the place of each of a kind."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


def then(parts: Parts, *after: nn.Module) -> None:
    """Layers after the last one."""
    parts.model = nn.Sequential(parts.model, *after)


def on_inputs(
    parts: Parts, change: Callable[[Tensor], Tensor], splits: str = "train val test"
) -> None:
    for name in splits.split():
        x, y = getattr(parts, name)
        setattr(parts, name, (change(x), y))


def on_targets(
    parts: Parts, change: Callable[[Tensor], Tensor], splits: str = "train val test"
) -> None:
    for name in splits.split():
        x, y = getattr(parts, name)
        setattr(parts, name, (x, change(y)))


def rows(pair: Pair, which: Tensor) -> Pair:
    return pair[0][which], pair[1][which]


def draws(parts: Parts) -> torch.Generator:
    """Random numbers of the fault alone: the healthy twin draws the same ones as without it."""
    return torch.Generator().manual_seed(77_000 + parts.seed)


def again(parts: Parts, weights: Callable[[Tensor], object]) -> None:
    """Another start for every weight matrix; biases zero."""
    with torch.no_grad():
        for each in weighted(parts.model):
            weights(each.weight)
            if each.bias is not None:
                each.bias.zero_()


def one_output(parts: Parts) -> None:
    """The regression with its first target alone, (N, 1)."""
    on_targets(parts, lambda y: y[:, :1])
    parts.model[-1] = nn.Linear(parts.model[-1].in_features, 1)
