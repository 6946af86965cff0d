"""What the conditions on labels share: from where to where they go, and whether by one too far."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts.failure import Failure
from netwright.records.facts.labels import Labels
from netwright.records.record import Record

BY_INDEX = (
    "cross_entropy", "nll_loss", "multi_margin_loss", "getitem", "gather", "take_along_dim",
    "one_hot",
)  # fmt: skip

SURE = 0.05
"""The chance at most that a batch lacks a class that the set has: then its absence tells."""


@dataclass(frozen=True)
class LabelRange:
    """Labels as integers, of the batch whose loss failed, or else as far as they were read."""

    low: int
    high: int
    distinct: int
    known: int
    outside: int
    room: int | None
    failed: bool
    complete: bool
    binary: bool = False
    step: int | None = None
    distinct_outside: int = 0

    @property
    def ignore_code(self) -> str:
        return f"loss = F.cross_entropy(logits, target, ignore_index={self.low})"


def range_of(record: Record) -> LabelRange | None:
    """The labels that are known, the failed batch before all."""
    failure = record.get(Failure)
    if (
        failure is not None
        and failure.kind in BY_INDEX
        and failure.target_min is not None
        and failure.target_max is not None
        and not failure.target_floating
        and failure.outside
    ):
        return LabelRange(
            low=int(failure.target_min),
            high=int(failure.target_max),
            distinct=failure.target_distinct or 0,
            known=failure.target_count,
            outside=failure.outside,
            room=failure.classes,
            failed=True,
            complete=False,
            step=failure.step,
            distinct_outside=1 if failure.target_min < 0 else 0,
        )
    labels = record.get(Labels)
    if labels is None or not labels.values:
        return None
    room = labels.classes
    outside = [
        (value, count)
        for value, count in zip(labels.values, labels.counts, strict=True)
        if value < 0 or (room is not None and value >= room)
    ]
    return LabelRange(
        low=labels.values[0],
        high=labels.values[-1],
        distinct=len(labels.values),
        known=labels.known,
        outside=sum(count for _, count in outside),
        room=room,
        failed=False,
        complete=labels.source == "train",
        binary=labels.binary,
        distinct_outside=len(outside) if outside and outside[0][0] < 0 else 0,
    )


def shifted(found: LabelRange) -> int | None:
    """By how much labels are too high: 1 where they are 1 .. C for C outputs, None otherwise."""
    if found.room is None or found.room < 2 or found.low != 1 or found.high != found.room:
        return None
    if found.complete and found.distinct == found.room:
        return 1
    # Class 0 has its share of the labels: that none of so many is one hardly happens by chance.
    missing = (1 - 1 / found.room) ** found.known
    return 1 if missing < SURE else None
