"""Where the batches come from: the loaders of a loop, which of them is for training, how long the
loop waits for them, and where an epoch begins."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset

from netwright.doctor.patient import Source
from netwright.doctor.watching.living import living
from netwright.doctor.watching.roots import guarded
from netwright.doctor.watching.sources import Pair, pair_of, readable, reader, source_of
from netwright.doctor.watching.taps import BACKWARD, DELIVERED, ITERATED
from netwright.doctor.watching.watcher import Watcher
from netwright.records.facts.feed import Feed

KEPT = 8
"""Batches of a loader that are kept, of data that must not be read a second time."""

KEPT_BYTES = 16_000_000


@dataclass(eq=False)
class Fed:
    """One loader: how often its batches were trained on, and how often only looked at."""

    loader: weakref.ref[DataLoader[Any]]
    length: int | None = None
    passes: int = 0
    delivered: int = 0
    """Batches of the present pass."""
    graded: int = 0
    looked: int = 0
    epoch: int = 0
    kept: list[Pair] = field(default_factory=list)
    bytes: int = 0

    @property
    def judges(self) -> bool:
        """Whether it is for validation: batches run through the model, none with a gradient."""
        return self.looked > 0 and not self.graded


class Feeding:
    """Hears every loader of the process, and tells the watchers."""

    def __init__(self) -> None:
        self.training: dict[int, Fed] = {}
        self.guessed: dict[int, DataLoader[Any] | None] = {}
        """What is likely to be for validation, of a watcher, before anything was used for it."""
        """By the id of a watcher."""
        self._watchers: list[Watcher] = []
        self._known: dict[int, Fed] = {}
        self._of_iterator: weakref.WeakKeyDictionary[Any, Fed] = weakref.WeakKeyDictionary()
        self._asked = 0.0
        self._waited = 0.0
        self._last: Fed | None = None
        self._since: tuple[int, int] = (0, 0)
        self._ends: list[Callable[[], None]] = []

    def attach(self) -> None:
        self._ends = [
            ITERATED.listen(None, guarded(self._iterated, self._failed)),
            DELIVERED.listen(
                guarded(self._asks, self._failed), guarded(self._delivered, self._failed)
            ),
            BACKWARD.listen(guarded(self._backward, self._failed)),
        ]

    def detach(self) -> None:
        for end in self._ends:
            end()
        self._ends.clear()

    def attend(self, watcher: Watcher) -> None:
        if watcher not in self._watchers:
            self._watchers.append(watcher)

    def leave(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        self.training.pop(id(watcher), None)
        self.guessed.pop(id(watcher), None)

    def _failed(self, error: BaseException) -> None:
        for each in self._watchers:
            each.failed(error)

    # What is heard

    def _fed(self, loader: DataLoader[Any]) -> Fed:
        fed = self._known.get(id(loader))
        if fed is None or fed.loader() is not loader:
            fed = self._known[id(loader)] = Fed(weakref.ref(loader), _batches(loader))
        return fed

    def _iterated(self, iterator: Any, loader: DataLoader[Any]) -> None:
        if any(each.ours for each in self._watchers):
            return
        self.settle()
        fed = self._fed(loader)
        # A loop that takes one batch from a new iterator each step has no epochs.
        if fed.delivered > 1 or not fed.passes or fed.length == 1:
            fed.passes += 1
        fed.delivered = 0
        self._of_iterator[iterator] = fed

    def _asks(self, iterator: Any) -> None:
        self.settle()
        self._asked = time.perf_counter()

    def _delivered(self, batch: Any, iterator: Any) -> None:
        fed = self._of_iterator.get(iterator)
        if fed is None:
            return
        if not fed.judges:
            self._waited += time.perf_counter() - self._asked
        fed.delivered += 1
        self._last, self._since = fed, self._counts()
        if len(fed.kept) < KEPT and fed.bytes < KEPT_BYTES:
            self._keep(fed, batch)

    def _keep(self, fed: Fed, batch: Any) -> None:
        loader = fed.loader()
        if loader is None or readable(loader):
            return
        pair = pair_of(batch)
        if pair is None:
            return
        # A copy: the loop may write into its batch.
        kept = (pair[0].detach().clone(), None if pair[1] is None else pair[1].detach().clone())
        fed.bytes += sum(each.numel() * each.element_size() for each in kept if each is not None)
        fed.kept.append(kept)

    def _counts(self) -> tuple[int, int]:
        """Forwards and backwards so far, of all watchers."""
        orders = [each.order for each in self._watchers]
        return sum(each.forwards for each in orders), sum(each.backwards for each in orders)

    def settle(self) -> None:
        """What became of the batch before: run through a model with no gradient taken?"""
        if self._last is None:
            return
        forwards, backwards = self._counts()
        if forwards > self._since[0] and backwards == self._since[1]:
            self._last.looked += 1
        self._last = None

    def _backward(self, *args: Any, **kwargs: Any) -> None:
        active = [each for each in self._watchers if each.order.began and not each.ours]
        if not active:
            return
        fed = self._last
        for watcher in active:
            watcher.wait += self._waited
            if fed is not None:
                fed.graded += 1
                self.training[id(watcher)] = fed
                fed.epoch = fed.epoch or fed.passes
                epoch = fed.passes - fed.epoch + 1
                if epoch > watcher.epoch:
                    watcher.epoch = epoch
                    watcher.order.epoch_begins()
        self._waited = 0.0

    # What is known

    def sources(
        self, watcher: Watcher, *, guess: bool = False
    ) -> tuple[Source | None, Source | None]:
        """The training and the validation data of a watcher, as far as they are known; with
        `guess`, data that are likely to be for validation before they were used for it."""
        fed = self.training.get(id(watcher)) or self._last
        loader = fed.loader() if fed is not None else None
        if fed is None or loader is None:
            return None, None
        train = source_of(loader, "train", fed.kept)
        judge = next((each for each in self._known.values() if each.judges), None)
        judging = self.judges()
        if judging is None and guess:
            judging = _likely_judge(loader, [each for each in self._known.values() if each.graded])
            self.guessed[id(watcher)] = judging
        if judging is None or judging is loader:
            return train, None
        return train, source_of(judging, "val", judge.kept if judge is not None else ())

    def judges(self, *, trained: Any = None) -> DataLoader[Any] | None:
        """The loader that was used for validation; none of the data set `trained`, which somebody
        knows to be trained on."""
        for each in self._known.values():
            loader = each.loader() if each.judges else None
            if loader is not None and (trained is None or loader.dataset is not trained):
                return loader
        return None

    def mistaken(self, watcher: Watcher) -> bool:
        """Whether the loop turned out to judge by other data than were guessed: by those of another
        loader, be it the one it trains with, of which it has looked at a whole pass."""
        guess = self.guessed.get(id(watcher))
        if guess is None:
            return False
        known = list(self._known.values())
        if any(each.looked and each.loader() is guess for each in known):
            return False
        return any(each.judges or each.looked >= max(2, each.length or 2) for each in known)

    def empty(self) -> Feed | None:
        """The loader that was gone through and has no batch to give, of a loop that never took the
        gradient of anything."""
        if self.training or any(each.order.backwards for each in self._watchers):
            return None
        for fed in self._known.values():
            loader = fed.loader()
            if loader is None or fed.length != 0 or not fed.passes or fed.delivered:
                continue
            samples = _samples(loader)
            dropped = samples if loader.drop_last and samples is not None else 0
            return Feed(complete=True, samples=samples, dropped=dropped, batch=loader.batch_size)
        return None

    def steps_per_epoch(self, watcher: Watcher) -> int | None:
        fed = self.training.get(id(watcher))
        return fed.length if fed is not None else None


def _likely_judge(training: DataLoader[Any], graded: Sequence[Fed]) -> DataLoader[Any] | None:
    """Before any validation was seen: the only other loader alive that gives samples of the same
    shape in a fixed order, of data that may be read. One that gives the training data once more,
    to score them, or as what a framework has put its own loader around, is none; nor is one that
    another training used (`graded`)."""
    spent = [each.loader() for each in graded]
    own = _shapes(training)
    found = [
        each
        for each in living(DataLoader)
        if each is not training
        and all(each is not one for one in spent)
        and not _within(each.dataset, training.dataset)
        and source_of(each, "val").shuffled is False
        and _shapes(each) == own is not None
    ]
    return found[0] if len(found) == 1 else None


def _within(data: Any, whole: Any) -> bool:
    """Whether `data` are `whole`, or a part of them."""
    while data is not whole and type(data) is Subset:
        data = data.dataset
    return data is whole


def _shapes(loader: DataLoader[Any]) -> list[Any] | None:
    """The shapes of one sample's columns, of data that may be read."""
    read = reader(loader.dataset) if readable(loader) and len(loader.dataset) else None  # type: ignore[arg-type]
    return [each.shape[1:] for each in read(torch.tensor([0]))] if read is not None else None


def _samples(loader: DataLoader[Any]) -> int | None:
    try:
        return len(loader.dataset)  # type: ignore[arg-type]
    except TypeError:
        return None


def _batches(loader: DataLoader[Any]) -> int | None:
    try:
        return len(loader)
    except TypeError:  # an endless or unmeasured stream
        return None
