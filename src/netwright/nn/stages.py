"""The stages of a network, from the input to the head: what is frozen, or slowed, as one.

A stage is a part that a network's author named: a block of a ResNet, an inverted residual of
MobileNetV2, a convolution of VGG with its norm. Networks are opened from outside until such parts
appear, in the order in which they were registered, which is that of the forward pass in all
networks here. The head is not a stage: it belongs to the classes, not to seeing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
# A part with more of the network than this is a wrapper round it, whatever its class.
_MOST = 0.5


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part: its first module, and the full names of its parameters and its norms.

    `norms` are the modules with running statistics.
    """

    name: str
    parameters: tuple[str, ...]
    norms: tuple[str, ...] = ()


def stages(model: nn.Module, *, head: Collection[str] = ()) -> tuple[Stage, ...]:
    """The stages of `model` from the input on, without the parameters named in `head`.

    A part without any weight of two dimensions (a norm, an activation with a slope) belongs to
    the one before it, and one without parameters to none. A parameter used twice is in the first
    stage that has it. Without any stage the network is all head.

    >>> block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    >>> model = nn.Sequential(block, nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(5, 2))
    >>> [each.name for each in stages(model, head=("3.weight", "3.bias"))]
    ['0.0', '1']
    >>> stages(model, head=("3.weight", "3.bias"))[0].norms
    ('0.1',)
    """
    owned = {name: each for name, each in model.named_parameters() if name not in set(head)}
    running = {name for name, each in model.named_modules() if has_statistics(each)}
    total = sum(each.numel() for each in model.parameters())
    made: list[Stage] = []
    for name, recurse in _parts(model, total):
        inside = tuple(n for n in owned if _within(n, name, recurse=recurse))
        norms = tuple(n for n in sorted(running) if n == name or (recurse and _within(n, name)))
        if not inside and not norms:
            continue
        weights = any(owned[n].ndim >= 2 for n in inside)
        if made and not weights:
            last = made.pop()
            made.append(
                Stage(
                    name=last.name,
                    parameters=(*last.parameters, *inside),
                    norms=(*last.norms, *norms),
                )
            )
        elif inside:
            made.append(Stage(name=name, parameters=inside, norms=norms))
    return tuple(made)


def has_statistics(module: nn.Module) -> bool:
    """Whether a module keeps a running mean and variance, which evaluation uses.

    >>> has_statistics(nn.BatchNorm2d(2)), has_statistics(nn.GroupNorm(1, 2))
    (True, False)
    """
    return isinstance(getattr(module, "running_mean", None), Tensor)


@torch.no_grad()
def recompute_statistics(model: nn.Module, batches: Iterator[Tensor]) -> None:
    """Measure the running statistics of `model`'s norms anew: their mean over `batches`.

    Each batch (N, C, H, W) passes once in training mode; every batch counts alike. Modes and
    momenta are as before afterwards (AdaBN: Li et al. 2016, "Revisiting batch normalization for
    practical domain adaptation").

    >>> model = nn.Sequential(nn.BatchNorm2d(1))
    >>> recompute_statistics(model, iter([torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)]))
    >>> model[0].running_mean
    tensor([0.5000])
    """
    norms = [each for each in model.modules() if has_statistics(each)]
    modes = {each: each.training for each in model.modules()}
    momenta = [getattr(each, "momentum", None) for each in norms]
    model.eval()
    for each in norms:
        each.train()
        each.reset_running_stats()  # type: ignore[operator]
        each.momentum = None  # type: ignore[assignment]  # torch: the mean of all batches
    try:
        for batch in batches:
            model(batch)
    finally:
        for each, momentum in zip(norms, momenta, strict=True):
            each.momentum = momentum  # type: ignore[assignment]
        for each, training in modes.items():
            each.training = training


def _parts(model: nn.Module, total: int, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Names of the parts, and whether a part is all below its name or its own parameters only."""
    if model._parameters:
        yield prefix, False
    for name, child in model.named_children():
        path = f"{prefix}.{name}" if prefix else name
        if any(True for _ in child.children()) and _is_opened(child, total):
            yield from _parts(child, total, path)
        else:
            yield path, True


def _is_opened(module: nn.Module, total: int) -> bool:
    return isinstance(module, _CONTAINERS) or (
        sum(each.numel() for each in module.parameters()) > _MOST * total
    )


def _within(name: str, part: str, *, recurse: bool = True) -> bool:
    if not part:
        return "." not in name
    if not name.startswith(f"{part}."):
        return False
    return recurse or "." not in name[len(part) + 1 :]
