"""AutoTrainer's five problems, three networks each: vanishing and exploding gradients, dying ReLUs,
an oscillating loss, slow convergence (Zhang et al., ICSE 2021).

Its own models are Keras files for data that would have to be fetched; these are trainings of the
same kinds on data that lie here. Each entry is broken on one of three bases, whose healthy form is
the twin.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from plans import adam, sgd
from scores import accuracy, accuracy_of_two, right, right_of_two
from setups import Parts
from torch import nn

import data
from networks import he, small_lenet, stack

Break = Callable[[Parts], None]

EPOCHS = 30


def dense(seed: int) -> Parts:
    """Nine linear layers with ReLUs on the digits."""
    return _parts(seed, he(stack([64, *[64] * 8, 10])))


def convolutional(seed: int) -> Parts:
    """Two convolutions and two linear layers on the digits."""
    return _parts(seed, he(small_lenet()))


def binary(seed: int) -> Parts:
    """Five linear layers that tell two classes of twelve features apart."""
    return Parts(
        seed, *data.table_of_two(seed), he(stack([12, *[48] * 4, 1])), nn.BCEWithLogitsLoss(),
        adam, 1e-3, accuracy_of_two, right_of_two, epochs=EPOCHS,
    )  # fmt: skip


def _parts(seed: int, model: nn.Module) -> Parts:
    return Parts(
        seed, *data.digits(seed), model, F.cross_entropy, adam, 1e-3, accuracy, right,
        epochs=EPOCHS,
    )  # fmt: skip


def vanishing(parts: Parts) -> None:
    """Sigmoids behind every layer, small normal weights, SGD."""
    _swap(parts.model, nn.Sigmoid)
    _draw(parts.model, lambda weight: nn.init.normal_(weight, std=0.1))
    parts.optimizer, parts.rate = sgd, 0.1


def exploding(parts: Parts) -> None:
    """Weights five times as large as they should be, SGD."""
    _draw(parts.model, lambda weight: nn.init.kaiming_normal_(weight).mul_(5))
    parts.optimizer, parts.rate = sgd, 0.01


def dying(parts: Parts) -> None:
    """ReLUs behind weights and biases that are mostly negative."""
    _draw(parts.model, lambda weight: nn.init.uniform_(weight, -0.5, 0.05), bias=-0.5)


def oscillating(parts: Parts) -> None:
    """Adam at a hundred times its usual rate, small batches."""
    parts.rate, parts.batch = 0.1, 16


def slow(parts: Parts) -> None:
    """SGD without momentum at a rate that leads nowhere in the time there is."""
    parts.optimizer = lambda parameters, rate: torch.optim.SGD(parameters, lr=rate)
    parts.rate = 1e-4


BASES: dict[str, Callable[[int], Parts]] = {
    "dense": dense,
    "convolutional": convolutional,
    "binary": binary,
}

PROBLEMS: dict[str, Break] = {
    "vanishing": vanishing,
    "exploding": exploding,
    "dying": dying,
    "oscillating": oscillating,
    "slow": slow,
}


def problem(name: str, base: str, seed: int) -> Parts:
    """A base with a problem; with "" as it is."""
    torch.manual_seed(seed)
    parts = BASES[base](seed)
    parts.healthy = parts.loss
    if name:
        PROBLEMS[name](parts)
    return parts


def _swap(model: nn.Module, made: Callable[[], nn.Module]) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, made())


@torch.no_grad()
def _draw(model: nn.Module, draw: Callable[[torch.Tensor], object], *, bias: float = 0.0) -> None:
    for each in model.modules():
        if isinstance(each, nn.Linear | nn.Conv2d):
            draw(each.weight)
            if each.bias is not None:
                each.bias.fill_(bias)
