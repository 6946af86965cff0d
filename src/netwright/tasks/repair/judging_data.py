"""The data that a script validates by and trains on, read in the same order in every run."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset

from netwright.doctor.watching.living import living
from netwright.doctor.watching.program import Program
from netwright.doctor.watching.sources import pair_of
from netwright.tasks.repair.hearing import MOST, Hearing, Pair


class JudgingData:
    """Finds the loaders of a program, and holds them: those of a function or an object are gone
    when the script has ended."""

    def __init__(self, program: Program, hearing: Hearing) -> None:
        self._program, self._hearing = program, hearing
        self._training: DataLoader[Any] | None = None
        self._judging: DataLoader[Any] | None = None

    def hold(self) -> None:
        self._training = self._training_loader() or self._training
        self._judging = self._judging_loader() or self._judging

    def sources(self) -> Iterator[tuple[str, Read]]:
        """What may judge, the best first: validation data, training data, what went by."""
        for name, loader in (("validation", self._judging), ("training", self._training)):
            if loader is not None:
                yield name, Read(loader, self._hearing)
        yield "passed", Read(None, self._hearing)

    def _training_loader(self) -> DataLoader[Any] | None:
        case = self._hearing.case
        if case is None or case.doctor is None:
            return None
        fed = self._program.feeding.training.get(id(case.doctor.watcher))
        return fed.loader() if fed is not None else None

    def _judging_loader(self) -> DataLoader[Any] | None:
        training = self._training
        trained = self._hearing.trained_on
        known = self._program.feeding.judges(trained=trained)
        if known is not None and known is not training:
            return known
        own = vars(sys.modules["__main__"])
        for name, each in own.items():
            said = re.search(r"val|test|dev|eval", name, re.IGNORECASE)
            if said and isinstance(each, DataLoader) and each is not training:
                return each
        others = [each for each in living(DataLoader) if each is not training]
        if training is not None and len(others) == 1 and others[0].dataset is not training.dataset:
            return others[0]
        return None


class Read:
    """Batches of one source as the model and the loss would get them, at most `MOST` samples."""

    def __init__(self, loader: DataLoader[Any] | None, hearing: Hearing) -> None:
        self._loader, self._hearing = loader, hearing
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of the labels that were read, as the loader gives them, and of how many samples there are
        in all; "" of the batches that went by, which are others whenever the data are shuffled."""
        return "" if self._loader is None else self._digest.hexdigest()[:16]

    def __iter__(self) -> Iterator[Pair]:
        if self._loader is None:
            yield from self._hearing.pairs
            return
        data = self._loader.dataset
        inputs, targets = self._hearing.inputs, self._hearing.targets
        if inputs is None or targets is None or isinstance(data, IterableDataset):
            return
        count = len(data)  # type: ignore[arg-type]
        self._digest.update(f"{count} ".encode())
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:MOST]
        reader = DataLoader(
            Subset(data, order.tolist()),
            batch_size=self._loader.batch_size or 64,
            collate_fn=self._loader.collate_fn,
        )
        for batch in reader:
            pair = pair_of(batch)
            if pair is None or pair[1] is None:
                return
            self._digest.update(_bytes(pair[1]))
            yield inputs(pair[0]), targets(pair[1])


def _bytes(labels: Tensor) -> bytes:
    return labels.detach().cpu().contiguous().double().numpy().tobytes()
