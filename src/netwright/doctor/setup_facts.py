"""The facts of a patient that are known before the first step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from netwright.records.facts.setup import GroupFact, OptimizerFact, Setup


def setup_of(model: nn.Module, optimizers: Sequence[Optimizer]) -> Setup:
    """Who is looked at; what the loop shows later (batch, plan, task) is filled in then."""
    parameters = list(model.parameters())
    paths = {id(each): name for name, each in model.named_parameters()}
    first = next((each for each in parameters if each.is_floating_point()), None)
    return Setup(
        model=type(model).__name__,
        params=sum(map(_size, parameters)),
        trainable=sum(_size(each) for each in parameters if each.requires_grad),
        optimizers=tuple(optimizer_fact(each, paths) for each in optimizers),
        device=first.device.type if first is not None else "cpu",
        precision=str(first.dtype).removeprefix("torch.") if first is not None else "float32",
        versions=(("torch", torch.__version__),),
    )


def optimizer_fact(optimizer: Optimizer, paths: dict[int, str]) -> OptimizerFact:
    groups = []
    for group in optimizer.param_groups:
        betas = group.get("betas") or (None, None)
        held = group["params"]
        groups.append(
            GroupFact(
                lr=number_of(group.get("lr")) or 0.0,
                params=len(held),
                numel=sum(map(_size, held)),
                momentum=float(group.get("momentum", 0.0)),
                nesterov=bool(group.get("nesterov", False)),
                weight_decay=float(group.get("weight_decay", 0.0)),
                beta1=number_of(betas[0]),
                beta2=number_of(betas[1]),
                eps=number_of(group.get("eps")),
                maximize=bool(group.get("maximize", False)),
                meant=number_of(group.get("initial_lr", optimizer.defaults.get("lr"))),
                names=tuple(paths.get(id(each), "") for each in held),
            )
        )
    return OptimizerFact(kind=type(optimizer).__name__, groups=tuple(groups))


def _size(parameter: Tensor) -> int:
    """Its numbers; none of a lazy layer that has seen no batch yet."""
    return 0 if is_lazy(parameter) else parameter.numel()


def number_of(value: object) -> float | None:
    """A rate or the like as a number: it may be a tensor, and None where it is not used.

    >>> number_of(torch.tensor(0.5)), number_of(None)
    (0.5, None)
    """
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value)
    return float(value) if isinstance(value, int | float) else None
