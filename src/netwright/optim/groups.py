"""Which parameters are decayed, with the settings that every optimizer shares.

Weight decay pulls weights towards 0 to keep the function smooth. A bias or the scale of a norm
layer does not make it rougher, and pulling the scale down fights the layer: both are spared.
"""

from __future__ import annotations

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
    model: nn.Module, weight_decay: float, *, spare: bool = True
) -> list[dict[str, Any]]:
    """The trainable parameters of `model` as groups for a torch optimizer.

    With `spare`, parameters of fewer than two dimensions (biases, scales and shifts of norm
    layers, single coefficients) form a second group that is not decayed. A parameter used
    twice is listed once; one that is frozen is not listed. Groups without a member are left out.

    >>> groups = parameter_groups(nn.Linear(2, 3), 0.01)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.01), (1, 0.0)]
    """
    trainable = [each for each in model.parameters() if each.requires_grad]
    if not spare or weight_decay == 0:
        split = [(trainable, weight_decay)]
    else:
        split = [
            ([each for each in trainable if each.ndim >= 2], weight_decay),
            ([each for each in trainable if each.ndim < 2], 0.0),
        ]
    return [{"params": params, "weight_decay": decay} for params, decay in split if params]
