"""From a recipe to everything a run needs: the data opened, the network built, the task made.

Nothing is written here, so whatever is wrong with data or settings is said before a run folder
exists.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netwright.augment import Augmentation
from netwright.core import events as e
from netwright.core.config import build
from netwright.core.errors import DataError, SettingError
from netwright.core.extras import refuse_absent_extra
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
from netwright.nn.stages import recompute_statistics
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
from netwright.tasks.batch_size import (
    fitting_batch,
    is_of_whole_batch,
    note_parted_norms,
    refuse_large_batch,
    refuse_parted_loss,
)
from netwright.tasks.classification import Classification, Update
from netwright.tasks.computing import find_device
from netwright.tasks.cutting import note_cut, wants_cut
from netwright.tasks.recipe import Choice, Recipe
from netwright.tasks.settings import Resolved
from netwright.tasks.several import compare_data, refuse_unequal_shares
from netwright.tasks.speed_choice import with_speed
from netwright.tasks.start_notes import notes_on_split, start_notes
from netwright.tasks.start_settings import start_again, with_start
from netwright.tasks.starting import Start, fresh_names
from netwright.tasks.stems import stem_notes
from netwright.tasks.transfer import Transfer, plan_transfer, refuse_untrained
from netwright.train.ranks import Alone, Ranks
from netwright.train.synced_norm import synchronise
from netwright.train.task import Rhythm

_NORM_BATCHES, _NORM_BATCH = 16, 64


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recipe with its data opened and its network built."""

    resolved: Resolved
    dataset: Dataset
    architecture: Architecture
    preprocessing: Preprocessing
    task: Classification
    device: torch.device
    ranks: Ranks
    start: Start | None = None
    """Weights of others that the network begins with."""
    begun: tuple[e.Noted, ...] = ()
    """What was said of them, and of what is frozen when."""

    @property
    def recipe(self) -> Recipe:
        return self.resolved.recipe

    def cut(self) -> None:
        """Cut the network among the ranks, if that is wanted. From here on all compute together:
        what one of them does with the network alone comes before."""
        if self.task.to_be_cut:
            self.task.cut(
                lambda: self.architecture.build(
                    num_classes=len(self.dataset.classes),
                    in_channels=self.preprocessing.channels,
                    input_size=self.preprocessing.size,
                )
            )


def prepare(
    resolved: Resolved,
    events: e.Events,
    *,
    recorded: Run | None = None,
    trust_code: bool = False,
    ranks: Ranks | None = None,
    rehearsal: bool = False,
) -> Prepared:
    """Open the data, build the network; for one of several `ranks` its share of both.

    A `rehearsal` takes two steps, of whatever length the run will be.

    `recorded` is the run that goes on: its preprocessing is taken, and its code only if it is
    the user's own and unchanged, or with `trust_code`.
    """
    ranks = ranks or Alone()
    if recorded is None:
        resolved, start = with_start(resolved, events.emit, trust_code=trust_code)
    else:
        start = start_again(recorded, resolved, events.emit)
    recipe = resolved.recipe
    for note in resolved.notes:
        events.emit(note)
    if recipe.run.tensorboard:
        refuse_absent_extra("track", "torch.utils.tensorboard", "run.tensorboard")
    device = find_device(recipe.general.device, local_rank=ranks.local_rank, several=ranks.several)
    seed = recipe.general.seed
    if recorded is None:
        architecture = find_architecture(recipe.model.name, recipe.model.options)
    else:
        architecture = recorded_architecture(recorded, trust_code=trust_code)
        refuse_foreign_data_code(recorded, recipe.data.name, trust_code=trust_code)
    with ranks.in_turn("data"):  # which may be downloaded, or have to be converted once
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
    resolved = fitting_batch(resolved, len(train_images), events)
    recipe = resolved.recipe
    refuse_large_batch(recipe, len(train_images))
    compare_data(dataset, ranks)
    if recorded is None:
        preprocessing = _preprocessing(dataset, start)
    else:
        preprocessing = recorded_preprocessing(recorded)
    task = _task(recipe, dataset, architecture, preprocessing, device, start, recorded, ranks)
    begun: list[e.Noted] = []
    warned: list[e.Noted] = []
    if start is not None:
        begun += start_notes(start, preprocessing)
        warned = notes_on_split(start, dataset, resolved.plain())
        dataset = dataclasses.replace(dataset, notes=(*dataset.notes, *warned))  # for the report
    if task.transfer is not None:
        rate = float(resolved.values["optim.lr"])
        steps = None if rehearsal else task.rhythm.steps
        begun += task.transfer.notes(task.model, lr=rate, steps=steps)
    stem = stem_notes(architecture.name, architecture.options, preprocessing.size)
    for note in (*stem, *begun, *warned):
        events.emit(note)
    note_parted_norms(task, events)
    note_cut(task, events)
    resolved = with_speed(resolved, task, events, new=recorded is None)
    return Prepared(
        resolved=resolved,
        dataset=dataset,
        architecture=architecture,
        preprocessing=preprocessing,
        task=task,
        device=device,
        ranks=ranks,
        start=start,
        begun=tuple(begun),
    )


def _preprocessing(dataset: Dataset, start: Start | None) -> Preprocessing:
    """By the statistics of the training images, or by those that the first weights go with."""
    channels, height, width = dataset.shape
    expected = start.statistics(channels) if start is not None else None
    mean, std = expected or channel_statistics(dataset.splits["train"])
    return Preprocessing(channels=channels, size=(height, width), mean=mean, std=std)


def _task(
    recipe: Recipe,
    dataset: Dataset,
    architecture: Architecture,
    preprocessing: Preprocessing,
    device: torch.device,
    start: Start | None,
    recorded: Run | None,
    ranks: Ranks,
) -> Classification:
    general, seed = recipe.general, recipe.general.seed
    refuse_untrained(
        recipe.transfer, weights=recipe.model_common.weights, registered=architecture.registered
    )
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
            start.put_into(
                model, architecture.name, classes=dataset.classes, shape=preprocessing.shape
            )
        optim_options = _options(OPTIMIZERS, recipe.optim, "optim.")
        to_be_cut = wants_cut(recipe, model, optim_options, device, ranks)
        place = torch.device("cpu") if to_be_cut else device  # it may not fit there whole
        model = model.to(place)
        if recipe.transfer.norm == "recompute":
            _measure_norms(model, train_images, preprocessing, place)
    ranks.equalise([each for each in model.state_dict().values() if isinstance(each, Tensor)])
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
            share=ranks.share,
            local=ranks.local_size,
        )
    }
    refuse_unequal_shares(feeds["train"])
    for split in ("val", "test"):
        if split in dataset.splits:
            feeds[split] = evaluation_feed(dataset, split, preprocessing, recipe, device, ranks)
    per_epoch = feeds["train"].steps_per_epoch
    steps = general.steps if general.steps is not None else general.epochs * per_epoch
    rhythm = Rhythm(steps=steps, steps_per_epoch=per_epoch, evaluate_every=per_epoch)
    transfer = plan_transfer(
        model, recipe.transfer, head=fresh_names(start, recorded), steps_per_epoch=per_epoch
    )
    if transfer is not None:
        _refuse_closure(recipe, transfer)
        if transfer.freeze_steps is None:  # the optimizer need not know what never moves
            transfer.hold(model, 0)
    groups = parameter_groups(
        model,
        optim_options.wd,
        spare=optim_options.spare,
        lr=optim_options.lr,
        factors=transfer.factors() if transfer is not None else None,
        begins=transfer.begins() if transfer is not None else None,
    )
    if not groups:
        raise SettingError("{model} has no parameters to train.", model=architecture.name)
    schedule = SCHEDULES.get(recipe.sched.name)
    schedule_options = _options(SCHEDULES, recipe.sched, "sched.")
    warmup_steps = round(recipe.sched_common.warmup * per_epoch)
    factor(schedule, schedule_options, 0, max(steps, 1), warmup_steps)  # refuses what cannot be
    loss_options = _options(LOSSES, recipe.loss, "loss.")
    refuse_parted_loss(recipe, loss_options, ranks.size)
    loss = LOSSES.get(recipe.loss.name).target(
        loss_options, class_counts(train_images, num_classes)
    )
    task = Classification(
        model=model,
        optimizer=OPTIMIZERS.get(recipe.optim.name).target(groups, optim_options),
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
            clip=optim_options.clip,
            l1=optim_options.l1,
            spare=optim_options.spare,
            closure=bool(OPTIMIZERS.get(recipe.optim.name).facts.get("closure")),
            accumulate=recipe.accumulate,
            parted=not is_of_whole_batch(recipe, loss_options),
        ),
        watcher=_watcher(schedule, schedule_options, dataset),
        ema=recipe.run.ema,
        transfer=transfer,
        ranks=ranks,
    )
    task.to_be_cut = to_be_cut
    if ranks.several and recipe.run.sync_norm:
        task.gradients.norms = synchronise(model, ranks)
    return task


def evaluation_feed(
    dataset: Dataset,
    split: str,
    preprocessing: Preprocessing,
    recipe: Recipe,
    device: torch.device,
    ranks: Ranks | None = None,
) -> Feed:
    """All images of a split in order, in batches that suit a pass without gradients."""
    images, ranks = dataset.splits[split], ranks or Alone()
    return Feed(
        images,
        batch=min(len(images), max(recipe.general.batch, 256)),
        seed=recipe.general.seed,
        preprocessing=preprocessing,
        workers=recipe.data.workers,
        shuffle=False,
        device=device,
        max_unreadable=recipe.data.max_unreadable,
        share=ranks.share,
        local=ranks.local_size,
    )


def _refuse_closure(recipe: Recipe, transfer: Transfer) -> None:
    """An optimizer that searches its step has one rate, and one set of weights to search with."""
    closure = OPTIMIZERS.get(recipe.optim.name).facts.get("closure")
    if closure and (transfer.factors() or transfer.freeze_steps):
        raise SettingError(
            "optim={optim} moves all that is trained together: it takes neither "
            "transfer.rate_of_layers nor a number of epochs as transfer.freeze.",
            hint="transfer.freeze=all goes with it; else take another optimizer.",
            optim=recipe.optim.name,
        )


def _measure_norms(
    model: nn.Module, images: Images, preprocessing: Preprocessing, device: torch.device
) -> None:
    """The running statistics of norms, from images that lie evenly in the training set."""
    count = min(len(images), _NORM_BATCHES * _NORM_BATCH)
    chosen = [i * len(images) // count for i in range(count)]
    batches = [chosen[at : at + _NORM_BATCH] for at in range(0, count, _NORM_BATCH)]
    recompute_statistics(
        model,
        (
            preprocessing(torch.stack([images.read(i) for i in batch])).to(device)
            for batch in batches
            if len(batch) > 1 or len(batches) == 1
        ),
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
