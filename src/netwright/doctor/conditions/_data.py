"""What the conditions on data share: numbers from the loop that show what a fault of data costs."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.feed import Feed
from netwright.records.facts.passing import Passing
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence
from netwright.records.record import Record

FAR = 2.5
"""Images of 0 .. 1 standardised in one split alone are 3 (MNIST) and 4 (CIFAR-10) times as wide."""

GAP = 0.3
"""H6: training scores above validation scores by more than this."""


def splits_of(record: Record) -> Splits | None:
    """The two splits as they were read, else as they went by."""
    read = record.get(Splits)
    passing = record.get(Passing)
    return read if read is not None or passing is None else passing.splits


def feeds_of(record: Record) -> tuple[Feed, ...]:
    """The order of the data as it was read, and as it went by."""
    passing = record.get(Passing)
    both = (record.get(Feed), None if passing is None else passing.feed)
    return tuple(each for each in both if each is not None)


def far(splits: Splits) -> bool:
    """Whether spreads are so far apart that no sample of one looks like one of the other, though a
    line between them need not exist: the dark samples of both are alike."""
    ratios = splits.spread_ratios
    off = [each for each in ratios if each > FAR or each < 1 / FAR]
    return bool(ratios) and len(off) > len(ratios) / 2


def all_moved(splits: Splits) -> bool:
    """Whether most channels or features are off at once, as another preprocessing makes them."""
    gaps = [each for each in splits.mean_gaps if abs(each) > 1]
    inverted = (splits.mean_correlation or 0) < 0 and (splits.halves_correlation or 0) > 0.5
    moved = bool(splits.mean_gaps) and len(gaps) > len(splits.mean_gaps) / 2
    return far(splits) or moved or inverted or bool(splits.channel_order)


def score_gap(record: Record, bound: float = GAP) -> Evidence | None:
    """H6: what was learned in training is not there in validation."""
    epochs = record.get(Epochs)
    for each in reversed(epochs.epochs if epochs is not None else ()):
        if each.train_score is None or each.val_score is None:
            continue
        if each.train_score - each.val_score <= bound:
            return None
        return Evidence(
            signal=Phrase("score on validation, against that in training"),
            value=each.val_score,
            baseline=each.train_score,
            threshold=each.train_score - bound,
            unit="share",
            witness="harm",
            step=each.step,
        )
    return None


def listed_numbers(numbers: tuple[int, ...], whole: int) -> str:
    """
    >>> listed_numbers((3, 17), 5)
    '3, 17, ...'
    """
    return ", ".join(str(each) for each in numbers) + (", ..." if whole > len(numbers) else "")
