"""The facts of a patient that are known before the first step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from netwright.records.facts.setup import GroupFact, OptimizerFact, Setup


def setup_of(model: nn.Module, optimizers: Sequence[Optimizer]) -> Setup:
    """Who is looked at; what the loop shows later (batch, plan, task) is filled in then."""
    parameters = list(model.parameters())
    paths = {id(each): name for name, each in model.named_parameters()}
    first = next((each for each in parameters if each.is_floating_point()), None)
    return Setup(
        model=type(model).__name__,
        params=sum(each.numel() for each in parameters),
        trainable=sum(each.numel() for each in parameters if each.requires_grad),
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
                lr=float(group.get("lr", 0.0)),
                params=len(held),
                numel=sum(each.numel() for each in held),
                momentum=float(group.get("momentum", 0.0)),
                nesterov=bool(group.get("nesterov", False)),
                weight_decay=float(group.get("weight_decay", 0.0)),
                beta1=_number(betas[0]),
                beta2=_number(betas[1]),
                eps=_number(group.get("eps")),
                maximize=bool(group.get("maximize", False)),
                meant=_number(group.get("initial_lr", optimizer.defaults.get("lr"))),
                names=tuple(paths.get(id(each), "") for each in held),
            )
        )
    return OptimizerFact(kind=type(optimizer).__name__, groups=tuple(groups))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
