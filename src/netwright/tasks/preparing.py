"""From a recipe to everything a run needs: the data opened, the network built, the task made.

Nothing is written here, so whatever is wrong with data or settings is said before a run folder
exists.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from netwright.augment import Augmentation
from netwright.core import events as e
from netwright.core.config import build
from netwright.core.errors import DataError, SettingError
from netwright.core.keyed import key
from netwright.core.registry import Entry, Registry
from netwright.data.dataset import Dataset, Images, class_counts
from netwright.data.duplicates import with_duplicates_noted
from netwright.data.feed import Feed
from netwright.data.opening import open_dataset
from netwright.data.preprocessing import Preprocessing
from netwright.data.statistics import channel_statistics
from netwright.nn.initialisation import initialise, last_layer
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.losses import LOSSES
from netwright.optim.groups import parameter_groups
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES, Schedule, Watcher, factor, watcher
from netwright.records.run import Run
from netwright.tasks.architectures import (
    Architecture,
    find_architecture,
    recorded_architecture,
    recorded_preprocessing,
    refuse_foreign_data_code,
)
from netwright.tasks.classification import Classification, Update
from netwright.tasks.extras import refuse_absent_extra
from netwright.tasks.recipe import Choice, Recipe
from netwright.tasks.settings import Resolved, changed
from netwright.tasks.speed import asked, is_open, try_out
from netwright.tasks.starting import Start, start_again, with_start
from netwright.tasks.stems import stem_notes
from netwright.train.task import Rhythm

FEWEST_STEPS = 500  # in a shorter run a trial of some 30 steps is no small part of it


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recipe with its data opened and its network built."""

    resolved: Resolved
    dataset: Dataset
    architecture: Architecture
    preprocessing: Preprocessing
    task: Classification
    device: torch.device
    start: Start | None = None
    """Weights of others that the network begins with."""

    @property
    def recipe(self) -> Recipe:
        return self.resolved.recipe


def prepare(
    resolved: Resolved,
    events: e.Events,
    *,
    recorded: Run | None = None,
    trust_code: bool = False,
) -> Prepared:
    """Open the data, build the network.

    `recorded` is the run that goes on: its preprocessing is taken, and its code only if it is
    the user's own and unchanged, or with `trust_code`.
    """
    if recorded is None:
        resolved, start = with_start(resolved, trust_code=trust_code)
    else:
        start = start_again(recorded, resolved)
    recipe = resolved.recipe
    for note in resolved.notes:
        events.emit(note)
    if recipe.run.tensorboard:
        refuse_absent_extra("track", "torch.utils.tensorboard", "run.tensorboard")
    device = find_device(recipe.general.device)
    seed = recipe.general.seed
    if recorded is None:
        architecture = find_architecture(recipe.model.name, recipe.model.options)
    else:
        architecture = recorded_architecture(recorded, trust_code=trust_code)
        refuse_foreign_data_code(recorded, recipe.data.name, trust_code=trust_code)
    opened = open_dataset(
        recipe.data,
        seed=seed,
        announce=events.emit,
        progress=lambda held, total: events.emit(e.BytesCame(held=held, total=total)),
    )
    dataset = with_duplicates_noted(opened)
    for note in dataset.notes:
        events.emit(note)
    if "train" not in dataset.splits:
        raise DataError("{name} has no training images.", name=dataset.name)
    train_images = dataset.splits["train"]
    resolved = _fitting_batch(resolved, len(train_images), events)
    recipe = resolved.recipe
    _refuse_large_batch(recipe, len(train_images))
    if recorded is None:
        preprocessing = _preprocessing(dataset, start)
    else:
        preprocessing = recorded_preprocessing(recorded)
    task = _task(recipe, dataset, architecture, preprocessing, device, start)
    said: list[e.Noted] = stem_notes(architecture.name, architecture.options, preprocessing.size)
    if start is not None:
        warned = start.notes_on_split(dataset, resolved.plain())
        said += [*start.notes(preprocessing), *warned]
        dataset = dataclasses.replace(dataset, notes=(*dataset.notes, *warned))  # for the report
    for note in said:
        events.emit(note)
    _note_parted_norms(task, events)
    resolved = _with_speed(resolved, task, events, new=recorded is None)
    return Prepared(
        resolved=resolved,
        dataset=dataset,
        architecture=architecture,
        preprocessing=preprocessing,
        task=task,
        device=device,
        start=start,
    )


def _fitting_batch(resolved: Resolved, count: int, events: e.Events) -> Resolved:
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


def _takes_all(optimizer: str) -> bool:
    return OPTIMIZERS.get(optimizer).facts.get("batch") == "all"


def _refuse_large_batch(recipe: Recipe, count: int) -> None:
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


def _note_parted_norms(task: Classification, events: e.Events) -> None:
    """Accumulation equals the large batch but for what looks at the whole batch."""
    norms = [m for m in task.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if task.update.accumulate > 1 and any(each.training for each in norms):
        events.emit(
            e.Noted(
                word="NOTE",
                template="Batch norm takes its statistics of each of the {passes} passes, not of "
                "all {images} images of a step; model.norm=group takes them of each image.",
                values={"passes": task.update.accumulate, "images": task.train.batch},
            )
        )


def _with_speed(
    resolved: Resolved, task: Classification, events: e.Events, *, new: bool
) -> Resolved:
    """How steps are computed: as the recipe says, the rest measured at the start of a long run.

    What was found becomes a setting of the run, so that a resume and a repetition compute alike.
    """
    options = resolved.recipe.run
    task.set_speed(asked(options))
    if not new or not is_open(options) or task.update.closure:
        return resolved
    steps = task.rhythm.steps
    if steps < FEWEST_STEPS:
        return resolved
    batch = next(iter(task.train.iterate(0, 1))).part(slice(0, resolved.recipe.general.batch))
    trial = try_out(
        options,
        task.model,
        batch.images,
        lambda logits: task.loss(logits, batch.target),
        steps=steps * task.update.accumulate,
        device=task.device,
    )
    if not trial.ratios:
        return resolved
    task.set_speed(trial.speed)
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in trial.ratios.items())
    events.emit(
        e.Noted(
            word="NOTE",
            template="steps are computed in {speed}: in a trial of {seconds} s the time of a plain "
            "step became {ratios}",
            values={
                "speed": trial.speed.words(),
                "seconds": f"{trial.seconds:.1f}",
                "ratios": shown,
            },
        )
    )
    found = {
        "run.channels_last": trial.speed.channels_last,
        "run.precision": "bf16" if trial.speed.bf16 else "float32",
        "run.compile": trial.speed.compile,
    }
    return changed(resolved, found, origin="measured here")


def _preprocessing(dataset: Dataset, start: Start | None) -> Preprocessing:
    """By the statistics of the training images, or by those that the first weights go with."""
    channels, height, width = dataset.shape
    if start is not None and len(start.mean) == channels:
        mean, std = start.mean, start.std
    else:
        mean, std = channel_statistics(dataset.splits["train"])
    return Preprocessing(channels=channels, size=(height, width), mean=mean, std=std)


def _task(
    recipe: Recipe,
    dataset: Dataset,
    architecture: Architecture,
    preprocessing: Preprocessing,
    device: torch.device,
    start: Start | None,
) -> Classification:
    general, seed = recipe.general, recipe.general.seed
    num_classes = len(dataset.classes)
    train_images = dataset.splits["train"]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(key(seed, "weights"))
        model = architecture.build(
            num_classes=num_classes,
            in_channels=preprocessing.channels,
            input_size=preprocessing.size,
        )
        if start is None:
            _initialise(model, recipe, train_images, preprocessing)
        else:
            start.put_into(model, architecture.name, num_classes=num_classes)
        model = model.to(device)
    augmentation = Augmentation(recipe.aug, mean=preprocessing.mean, std=preprocessing.std)
    feeds = {
        "train": Feed(
            train_images,
            batch=min(general.batch * recipe.accumulate, len(train_images)),
            seed=seed,
            preprocessing=preprocessing,
            augmentation=augmentation or None,
            mixing=augmentation.mixing,
            workers=recipe.data.workers,
            device=device,
            max_unreadable=recipe.data.max_unreadable,
            balance=recipe.data.balance,
        )
    }
    for split in ("val", "test"):
        if split in dataset.splits:
            feeds[split] = evaluation_feed(dataset, split, preprocessing, recipe, device)
    per_epoch = feeds["train"].steps_per_epoch
    steps = general.steps if general.steps is not None else general.epochs * per_epoch
    rhythm = Rhythm(steps=steps, steps_per_epoch=per_epoch, evaluate_every=per_epoch)
    groups_options = _options(OPTIMIZERS, recipe.optim, "optim.")
    groups = parameter_groups(model, groups_options.wd, spare=groups_options.spare)
    if not groups:
        raise SettingError("{model} has no parameters to train.", model=architecture.name)
    schedule = SCHEDULES.get(recipe.sched.name)
    schedule_options = _options(SCHEDULES, recipe.sched, "sched.")
    warmup_steps = round(recipe.sched_common.warmup * per_epoch)
    factor(schedule, schedule_options, 0, max(steps, 1), warmup_steps)  # refuses what cannot be
    loss_options = _options(LOSSES, recipe.loss, "loss.")
    _refuse_parted_loss(recipe, loss_options)
    loss = LOSSES.get(recipe.loss.name).target(
        loss_options, class_counts(train_images, num_classes)
    )
    return Classification(
        model=model,
        optimizer=OPTIMIZERS.get(recipe.optim.name).target(groups, groups_options),
        loss=loss,
        rate_factor=lambda step: factor(
            schedule, schedule_options, step, max(steps, 1), warmup_steps
        ),
        dataset=dataset,
        train=feeds.pop("train"),
        evaluations=feeds,
        preprocessing=preprocessing,
        rhythm=rhythm,
        seed=seed,
        device=device,
        update=Update(
            clip=groups_options.clip,
            l1=groups_options.l1,
            spare=groups_options.spare,
            closure=bool(OPTIMIZERS.get(recipe.optim.name).facts.get("closure")),
            accumulate=recipe.accumulate,
        ),
        watcher=_watcher(schedule, schedule_options, dataset),
        ema=recipe.run.ema,
    )


def _refuse_parted_loss(recipe: Recipe, options: Any) -> None:
    whole = LOSSES.get(recipe.loss.name).facts.get("batchwise")
    if recipe.accumulate > 1 and whole and getattr(options, "over", "batch") == "batch":
        raise SettingError(
            "loss={loss} is a loss of the batch as a whole: optim.accumulate={passes} would change "
            "it.",
            hint="Use a larger batch with optim.accumulate=1.",
            loss=recipe.loss.name,
            passes=recipe.accumulate,
        )


def evaluation_feed(
    dataset: Dataset,
    split: str,
    preprocessing: Preprocessing,
    recipe: Recipe,
    device: torch.device,
) -> Feed:
    """All images of a split in order, in batches that suit a pass without gradients."""
    images = dataset.splits[split]
    return Feed(
        images,
        batch=min(len(images), max(recipe.general.batch, 256)),
        seed=recipe.general.seed,
        preprocessing=preprocessing,
        workers=recipe.data.workers,
        shuffle=False,
        device=device,
        max_unreadable=recipe.data.max_unreadable,
    )


def _initialise(
    model: nn.Module, recipe: Recipe, images: Images, preprocessing: Preprocessing
) -> None:
    """Draw the weights anew by `init.name`; without it the network keeps its own start."""
    if recipe.init is None:
        return
    entry = INITIALISERS.get(recipe.init.name)
    seen = None
    if entry.facts.get("images"):
        count = min(64, len(images))
        seen = preprocessing(torch.stack([images.read(i) for i in range(count)]))
    initialise(
        model,
        recipe.model.options.get("act", "relu"),
        name=entry.name,
        options=_options(INITIALISERS, recipe.init, "init."),
        head=last_layer(model),
        images=seen,
    )


def _watcher(schedule: Entry[Schedule], options: Any, dataset: Dataset) -> Watcher | None:
    """The part of a schedule that answers to measurements, if what it watches is measured."""
    made = watcher(schedule, options)
    if made is not None and made.metric.startswith("val/") and "val" not in dataset.splits:
        raise SettingError(
            'sched.watch: "{metric}" is not measured at evaluations of this run.',
            hint="Set sched.watch=train/loss, or take data with a validation split.",
            metric=made.metric,
        )
    return made


def _options(family: Registry[Any], choice: Choice, prefix: str) -> Any:
    entry = family.get(choice.name)
    return build(entry.options, choice.options, prefix=prefix) if entry.options else None


def find_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:1` as a device that is there."""
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda"}:
        raise SettingError(
            'device: "{name}" is not allowed: expected auto, cpu, cuda or cuda:N.', name=name
        )
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise SettingError(
                "There is no GPU {name} here: torch sees {count}.",
                hint="Use device=cpu, or device=auto.",
                name=name,
                count=count,
            )
        return torch.device("cuda", device.index or 0)
    return device


@contextlib.contextmanager
def reproducible() -> Iterator[None]:
    """Deterministic algorithms, and a private copy of torch's random state, for the block."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
            # Filling fresh memory finds faults in torch, at a cost on every step.
            memory.fill_uninitialized_memory = False
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
            memory.fill_uninitialized_memory = filled
