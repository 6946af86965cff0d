"""Which parameters are decayed, with the settings that every optimizer shares.

Weight decay pulls weights towards 0 to keep the function smooth. A bias or the scale of a norm
layer does not make it rougher, and pulling the scale down fights the layer: both are spared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from netwright.core.config import config, setting


@config
class OptimCommon:
    """The settings of every optimizer; leaves add their own and set their own first rate."""

    lr: float = setting(0.05, gt=0, help="learning rate", search=(1e-4, 1.0))
    wd: float = setting(0.0, ge=0, help="weight decay", search=(1e-6, 1e-2))
    l1: float = setting(
        0.0, ge=0, help="pull of each weight to exactly 0, as a proximal step", search=(1e-6, 1e-3)
    )
    spare: bool = setting(True, help="do not decay biases and norm layers")
    clip: float | None = setting(
        None, gt=0, help="largest norm of the whole gradient; none for no limit"
    )
    accumulate: int = setting(
        1, ge=1, help="passes of `batch` images each that make one update of the weights"
    )


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    *,
    spare: bool = True,
    lr: float = 0.0,
    factors: Mapping[str, float] | None = None,
    begins: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """The trainable parameters of `model` as groups for a torch optimizer.

    With `spare`, parameters of fewer than two dimensions (biases, scales and shifts of norm
    layers, single coefficients) form a second group that is not decayed. A parameter used
    twice is listed once; one that is frozen is not listed. Groups without a member are left out.

    `factors` multiply the rate `lr` of the parameters they name; the others' factor is 1. There
    are then groups for each factor, the largest first, so that the first group has the rate that
    was asked for. `begins` says in which step a parameter gets its first gradient, 0 if it is not
    named: those that begin together are groups of their own, for the fused SGD of torch 2.13 fails
    on a group in which some have a momentum and others have none.

    >>> groups = parameter_groups(nn.Linear(2, 3), 0.01)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.01), (1, 0.0)]
    >>> groups = parameter_groups(nn.Linear(2, 3), 0.0, lr=0.1, factors={"weight": 0.5})
    >>> [(len(group["params"]), group["lr"]) for group in groups]
    [(1, 0.1), (1, 0.05)]
    """
    trainable = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if not factors and not begins:
        return _split(list(trainable.values()), weight_decay, spare=spare)
    alike: dict[tuple[float, int], list[nn.Parameter]] = {}
    for name, each in trainable.items():
        kind = ((factors or {}).get(name, 1.0), (begins or {}).get(name, 0))
        alike.setdefault(kind, []).append(each)
    return [
        {**group, "lr": lr * factor}
        for factor, begin in sorted(alike, key=lambda kind: (-kind[0], kind[1]))
        for group in _split(alike[factor, begin], weight_decay, spare=spare)
    ]


def _split(
    trainable: list[nn.Parameter], weight_decay: float, *, spare: bool
) -> list[dict[str, Any]]:
    """One group, or two where some parameters are spared the decay."""
    if not spare or weight_decay == 0:
        split = [(trainable, weight_decay)]
    else:
        split = [
            ([each for each in trainable if each.ndim >= 2], weight_decay),
            ([each for each in trainable if each.ndim < 2], 0.0),
        ]
    return [{"params": params, "weight_decay": decay} for params, decay in split if params]
