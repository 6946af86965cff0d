"""When several processes cut a network among themselves (`run.shard`), and what that forbids."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from netwright.core import events as e
from netwright.core.errors import SettingError
from netwright.optim.optimizers import OPTIMIZERS
from netwright.tasks.classification import Classification
from netwright.tasks.recipe import Recipe
from netwright.train.footprint import bytes_needed, fits, state_copies
from netwright.train.ranks import Ranks


def wants_cut(
    recipe: Recipe, model: nn.Module, optim_options: Any, device: torch.device, ranks: Ranks
) -> bool:
    """Whether `model`, still whole, will be cut: all ranks find the same. Raises `SettingError`
    where the recipe asks for what a cut network cannot do."""
    if not ranks.several or recipe.run.shard is False:
        return False
    if recipe.run.shard == "auto":
        make = OPTIMIZERS.get(recipe.optim.name).target
        if OPTIMIZERS.get(recipe.optim.name).facts.get("closure"):
            return False
        needed = bytes_needed(model, state_copies(lambda groups: make(groups, optim_options)))
        if not any(ranks.most([int(not fits(needed, device, ranks.local_size))])):
            return False
    _refuse(recipe)
    return True


def note_cut(task: Classification, events: e.Events) -> None:
    """Say that a network will be cut, and how much of it each process has."""
    if not task.to_be_cut:
        return
    count = sum(each.numel() for each in task.model.parameters())
    events.emit(
        e.Noted(
            word="NOTE",
            template="Weights, gradients and the optimizer's numbers are cut among {ranks} "
            "processes: each has about {part:,} of {count:,} parameters (run.shard).",
            values={
                "ranks": task.ranks.size,
                "part": -(-count // task.ranks.size),
                "count": count,
            },
        )
    )


def _refuse(recipe: Recipe) -> None:
    freeze = recipe.transfer.freeze
    for name, asked in (
        (f"doctor.mode={recipe.doctor.mode}", recipe.doctor.mode != "off"),
        ("run.tensorboard=true", recipe.run.tensorboard),
        ("run.compile=true", recipe.run.compile is True),
        ("run.channels_last=true", recipe.run.channels_last is True),
        (
            f"optim={recipe.optim.name}",
            bool(OPTIMIZERS.get(recipe.optim.name).facts.get("closure")),
        ),
        (f"transfer.freeze={freeze}", freeze not in (0, "all")),
    ):
        if asked:
            raise SettingError(
                "{name} does not go with a network that is cut among the processes (run.shard).",
                hint="Leave {name} out; or set run.shard=false, if the network fits into the "
                "memory of one process.",
                name=name,
            )
