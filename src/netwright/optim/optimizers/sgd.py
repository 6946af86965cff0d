"""Stochastic gradient descent, with momentum and Nesterov's look-ahead."""

from __future__ import annotations

from typing import Any

from torch import optim

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.optim.groups import OptimCommon
from netwright.optim.optimizers import OPTIMIZERS, fusible


@config
class SGDOptions(OptimCommon):
    """A rate, and how much of the last step is kept."""

    momentum: float = setting(
        0.9, ge=0, lt=1, help="share of the last step that goes on", search=(0.5, 0.99)
    )
    nesterov: bool = setting(False, help="take the gradient where momentum leads")


@OPTIMIZERS.register(
    "sgd",
    options=SGDOptions,
    paper="Robbins & Monro 1951; Polyak 1964; Nesterov 1983; Sutskever et al. 2013",
)
def sgd(groups: list[dict[str, Any]], options: SGDOptions) -> optim.Optimizer:
    """SGD with momentum: v = momentum v + g; w = w - lr v, as torch writes it.

    Nesterov steps along g + momentum v instead of v. Weight decay is added to the gradient
    (g = g + wd w). Raises `SettingError` for Nesterov without momentum.
    """
    if options.nesterov and options.momentum == 0:
        raise SettingError(
            "optim.nesterov: true needs momentum, and optim.momentum is 0.",
            hint="Set optim.momentum=0.9, or optim.nesterov=false.",
        )
    return optim.SGD(
        groups,
        lr=options.lr,
        momentum=options.momentum,
        nesterov=options.nesterov,
        fused=fusible(groups),
    )
