"""What several ranks that train one network must have alike, and what they cannot do."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from netwright.core import events as e
from netwright.core.config import show
from netwright.core.errors import DataError, SettingError
from netwright.data.dataset import Dataset
from netwright.data.feed import Feed
from netwright.tasks.recipe import Recipe
from netwright.tasks.settings import Resolved, changed
from netwright.train.checkpoints import Checkpoint
from netwright.train.joining import Place
from netwright.train.ranks import Ranks


def of_place(resolved: Resolved, place: Place) -> Resolved:
    """The recipe with as many `devices` as there are ranks. Raises `SettingError` where it asks
    for another number, or for what several ranks cannot do."""
    asked = resolved.recipe.general.devices
    if asked != place.size:
        if resolved.origins["devices"] != "default":
            raise SettingError(
                "devices={asked}, but this is one of {size} processes (WORLD_SIZE).",
                hint="Leave devices out under torchrun, or set it without torchrun.",
                asked=asked,
                size=place.size,
            )
        resolved = changed(resolved, {"devices": place.size}, origin="WORLD_SIZE")
    refuse_unshared(resolved.recipe)
    return resolved


def refuse_unshared(recipe: Recipe) -> None:
    """Raise `SettingError` for what only one process can do."""
    for name, wanted in (
        (f"seeds={recipe.general.seeds}", recipe.general.seeds > 1),
        ("doctor.mode=repair", recipe.doctor.mode == "repair"),
    ):
        if wanted and recipe.general.devices > 1:
            raise SettingError(
                "{name} goes with devices=1 only.",
                hint="Set devices=1, or leave {name} out.",
                name=name,
            )


def refuse_unequal_shares(feed: Feed) -> None:
    """Raise `SettingError` for a batch that was made to fit the data and cannot be shared."""
    if feed.batch % feed.share.ranks:
        raise SettingError(
            "The {batch} images of a step cannot be shared equally among devices={ranks}.",
            hint="Set a batch that {ranks} divides.",
            batch=feed.batch,
            ranks=feed.share.ranks,
        )


def compare(settings: Mapping[str, Any], ranks: Ranks) -> None:
    """Raise `SettingError`, in every rank, where the ranks have been given other `settings`."""
    given = ranks.gathered(dict(settings))
    for rank, theirs in enumerate(given):
        names = [name for name in {**given[0], **theirs} if given[0].get(name) != theirs.get(name)]
        if names:
            raise SettingError(
                "The recipes of the ranks differ, in rank {rank}: {names}.",
                hint="Start every rank with the same command, and the same NETWRIGHT_SET_ "
                "variables.",
                rank=rank,
                names="; ".join(
                    f"{name}: {show(given[0].get(name))} -> {show(theirs.get(name))}"
                    for name in sorted(names)
                ),
            )


def compare_data(dataset: Dataset, ranks: Ranks) -> None:
    """Raise `DataError`, in every rank, where one has found other data than the first."""
    found = ranks.gathered(dataset.fingerprint()) if ranks.several else []
    others = [str(rank) for rank, each in enumerate(found) if each != found[0]]
    if others:
        raise DataError(
            "The data of {name} are not the same in rank {ranks} as in the first.",
            hint="Every machine needs the same files under the same names.",
            name=dataset.name,
            ranks=", ".join(others),
        )


def shared(checkpoint: Checkpoint | None, ranks: Ranks) -> Checkpoint | None:
    """The checkpoint that the first rank goes on from, for all: only its disk need hold it."""
    stream = io.BytesIO()
    if checkpoint is not None and ranks.several:
        parts = {"step": checkpoint.step, "best": checkpoint.best, "path": str(checkpoint.path)}
        torch.save({**parts, "weights": checkpoint.weights, "state": checkpoint.state}, stream)
    data = ranks.told_bytes(stream.getvalue())
    if ranks.first or not data:
        return checkpoint
    held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return Checkpoint(**{**held, "path": Path(held["path"])})


def heard(listeners: Sequence[e.Listener], ranks: Ranks) -> e.Events:
    """The events of a run: only the first rank has listeners."""
    return e.Events(*listeners) if ranks.first else e.Events()
