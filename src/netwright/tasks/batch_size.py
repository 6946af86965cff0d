"""How many images a step takes: what fits the data, the optimizer, the loss and the norms."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from netwright.core import events as e
from netwright.core.errors import SettingError
from netwright.nn.losses import LOSSES
from netwright.optim.optimizers import OPTIMIZERS
from netwright.tasks.classification import Classification
from netwright.tasks.recipe import Recipe
from netwright.tasks.settings import Resolved, changed


def fitting_batch(resolved: Resolved, count: int, events: e.Events) -> Resolved:
    """A default batch made smaller where it would give fewer than 8 steps an epoch, or the whole
    set for an optimizer that is made for that; said."""
    batch = resolved.recipe.general.batch
    name = resolved.recipe.optim.name
    passes = resolved.recipe.accumulate
    if resolved.origins["batch"] == "default" and _takes_all(name):
        events.emit(
            e.Noted(
                word="NOTE",
                template="{optim} takes all {count} training images in each step (batch={batch}).",
                values={"optim": name, "count": count, "batch": -(-count // passes)},
            )
        )
        return changed(resolved, {"batch": -(-count // passes)})
    fitting = max(1, 2 ** int(math.log2(max(count / passes, 8) / 8)))
    if resolved.origins["batch"] != "default" or fitting >= batch or count < 1:
        return resolved
    events.emit(
        e.Noted(
            word="NOTE",
            template="batch={batch} is made {fitting}: there are only {count} training images.",
            values={"batch": batch, "fitting": fitting, "count": count},
        )
    )
    return changed(resolved, {"batch": fitting})


def refuse_large_batch(recipe: Recipe, count: int) -> None:
    batch, passes = recipe.general.batch, recipe.accumulate
    if batch > count:
        raise SettingError(
            "batch: {batch} is more than the {count} training images.",
            hint="Set batch={count} or less.",
            batch=batch,
            count=count,
        )
    if batch * passes > count and not _takes_all(recipe.optim.name):
        raise SettingError(
            "batch={batch} with optim.accumulate={passes} makes steps of {whole} images; there are "
            "only {count} training images.",
            hint="Set optim.accumulate={most} or less, or a smaller batch.",
            batch=batch,
            passes=passes,
            whole=batch * passes,
            count=count,
            most=count // batch,
        )


def is_of_whole_batch(recipe: Recipe, options: Any) -> bool:
    """Whether the loss is no mean over images, so that parts of a batch do not give it."""
    batchwise = LOSSES.get(recipe.loss.name).facts.get("batchwise")
    return bool(batchwise) and getattr(options, "over", "batch") == "batch"


def refuse_parted_loss(recipe: Recipe, options: Any, ranks: int = 1) -> None:
    whole = is_of_whole_batch(recipe, options)
    if whole and ranks > 1:
        raise SettingError(
            "loss={loss} is a loss of the batch as a whole: devices={ranks} would change it.",
            hint="Set devices=1, or take a loss that is a mean over images.",
            loss=recipe.loss.name,
            ranks=ranks,
        )
    if recipe.accumulate > 1 and whole:
        raise SettingError(
            "loss={loss} is a loss of the batch as a whole: optim.accumulate={passes} would change "
            "it.",
            hint="Use a larger batch with optim.accumulate=1.",
            loss=recipe.loss.name,
            passes=recipe.accumulate,
        )


def note_parted_norms(task: Classification, events: e.Events) -> None:
    """Accumulation equals the large batch but for what looks at the whole batch."""
    norms = [m for m in task.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if task.ranks.several and task.gradients.norms is None and any(each.training for each in norms):
        events.emit(
            e.Noted(
                word="NOTE",
                template="Batch norm takes its statistics of the {images} images that one of "
                "{ranks} processes has in a pass; run.sync_norm=true takes them of all.",
                values={
                    "ranks": task.ranks.size,
                    "images": task.train.batch // task.ranks.size // task.update.accumulate,
                },
            )
        )
    elif task.update.accumulate > 1 and any(each.training for each in norms):
        events.emit(
            e.Noted(
                word="NOTE",
                template="Batch norm takes its statistics of each of the {passes} passes, not of "
                "all {images} images of a step; model.norm=group takes them of each image.",
                values={"passes": task.update.accumulate, "images": task.train.batch},
            )
        )


def _takes_all(optimizer: str) -> bool:
    return OPTIMIZERS.get(optimizer).facts.get("batch") == "all"
