"""How the loss of a run goes: where it began, how low it came, where it is now."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._harm import entropy_of_labels, of_one_form
from netwright.doctor.conditions._once import once
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence
from netwright.records.record import Record

Array = np.ndarray[Any, np.dtype[np.float64]]

EARLY = 40
"""Steps before which the run itself says little: the check-up speaks then."""

GAME = 5
"""Steps from which on the order of forwards, backwards and steps is known."""

SOME = 5
"""Epochs after which a loss next to that of guessing is no beginning any more."""

UNLEARNED = 0.9
"""Of what guessing costs: a loss above that has learned next to nothing."""

DONE = 0.1
"""Share of the loss of guessing under which a run has learned most of what there is."""


@dataclass(frozen=True)
class Course:
    """`begin` is the first loss (of small batches the median of the first ten), `guess` that of the
    best constant where the batch is large enough to tell; `windows` are medians over twelfths of
    the run, `ends` the step at which each ends, `scatter` how far such a median is off by chance.
    `broken` is the step from which on the loss is not finite."""

    begin: float
    guess: float | None
    windows: Array
    ends: Array
    steps: int
    broken: int | None
    scatter: float = 0.0

    @property
    def reference(self) -> float:
        """What a network that knows nothing would have: the first loss, or that of guessing."""
        return min(self.begin, self.guess) if self.guess is not None else self.begin

    @property
    def ignorance(self) -> float:
        """The loss of guessing, or the first one where that is not known. A network that was
        trained before begins far below it."""
        return self.guess if self.guess is not None else self.begin

    @property
    def least(self) -> float:
        return float(self.windows.min())

    @cached_property
    def latest(self) -> float:
        """The median of the last three windows."""
        return float(np.median(self.windows[-3:]))

    @property
    def learned(self) -> bool:
        """Whether it is clearly better than at the beginning and than guessing, and still is."""
        return self.broken is None and self.latest < 0.9 * self.reference

    @property
    def done(self) -> bool:
        return self.broken is None and self.latest < DONE * self.ignorance

    @property
    def fall(self) -> float:
        """Relative fall from the first window to the last ones."""
        return (float(self.windows[0]) - self.latest) / max(abs(float(self.windows[0])), 1e-30)


def steps_of(record: Record) -> Steps | None:
    """The steps of a record; columns that nobody wrote are NaN all along."""
    steps = record.get(Steps)
    if steps is None:
        return None
    missing: dict[str, Any] = {
        each.name: np.full(len(steps.loss), np.nan)
        for each in fields(Steps)
        if each.name != "total" and not len(getattr(steps, each.name))
    }
    if "step" in missing:
        missing["step"] = np.arange(1.0, len(steps.loss) + 1)
    return replace(steps, **missing) if missing else steps


@once
def course(record: Record) -> Course | None:
    """None where no step was seen, where the loss is negative, or where no single loss is made
    smaller (adversarial loops, rewards)."""
    steps, setup = steps_of(record), record.get(Setup)
    if steps is None or not len(steps.loss) or special(record):
        return None
    loss = steps.loss
    finite = np.isfinite(loss)
    broken = None
    if not finite[-1] and (len(loss) < 5 or not finite[-5:].any()):
        last = int(np.flatnonzero(finite)[-1]) if finite.any() else -1
        broken = int(steps.step[min(last + 1, len(loss) - 1)])
    kept, at = loss[finite], steps.step[finite]
    if not len(kept) or kept.min() < 0:
        return None
    rows = max(1, min(200, len(kept) // 12))
    count = len(kept) // rows
    cut = kept[-count * rows :].reshape(count, rows)
    windows = np.median(cut, axis=1)
    late = cut[count // 2 :]
    spread = 1.4826 * float(np.median(np.abs(late - np.median(late, axis=1, keepdims=True))))
    batch = setup.batch if setup is not None else None
    small = (batch or _rows(record) or 16) < 16
    begin = float(np.median(kept[:10]) if small else kept[0])
    return Course(
        begin=begin,
        guess=_guess(record, begin),
        windows=windows,
        scatter=1.25 * spread / rows**0.5,
        ends=at[-count * rows :].reshape(count, rows)[:, -1],
        steps=steps.total,
        broken=broken,
    )


def special(record: Record) -> bool:
    """Whether no single loss is made smaller: as somebody said, or as the loop shows, in which
    several backwards pass between two steps and each takes several forwards. A judge in a game is
    asked so, about what is real, what is not, and once more for the other player."""
    setup, loop = record.get(Setup), record.get(Loop)
    if setup is not None and setup.special:
        return True
    if loop is None or loop.steps < GAME:
        return False
    return loop.backwards > 1.2 * loop.steps and loop.training_forwards > 1.2 * loop.backwards


def _guess(record: Record, begin: float) -> float | None:
    """The loss of guessing, in the unit of the loop: it may divide the loss for accumulation.

    The constant is of one batch: a batch of four knows two or three classes of ten, and its own
    best constant is far better than any network can be expected to guess. Where all labels were
    read their shares tell instead.
    """
    objective = record.get(Objective)
    if objective is None or not objective.first_loss or objective.first_loss <= 0:
        return None
    if not of_one_form(record):
        return None
    constant, size = objective.constant, _rows(record) or 0
    if not constant or size < max(16, 3 * (objective.classes or 1)):
        return entropy_of_labels(record) if objective.factor == 1.0 else None
    unit = begin / objective.first_loss
    return constant * (unit if abs(unit - 1) > 0.2 else 1.0)


def _rows(record: Record) -> int | None:
    """How many targets the first batch had."""
    objective = record.get(Objective)
    return objective.target_shape[0] if objective is not None and objective.target_shape else None


def broken(found: Course) -> Evidence | None:
    """The harm that the loss is no number any more."""
    if found.broken is None:
        return None
    return Evidence(
        signal=Phrase("step from which on the loss is not finite"),
        value=found.broken,
        witness="harm",
        step=found.broken,
    )


def risen(found: Course, factor: float = 1.25) -> Evidence | None:
    """The harm that the loss stands above what it had reached, and is not small."""
    if len(found.windows) < 5 or found.done or found.latest < 0.3 * found.reference:
        return None
    if found.latest < max(factor * found.least, found.least + 4 * found.scatter):
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against the least it had reached"),
        value=found.latest,
        baseline=found.least,
        threshold=factor * found.least,
        witness="harm",
        step=found.steps,
    )


def hardly_falls(found: Course, share: float = 0.02, steps: int = 100) -> Evidence | None:
    """The harm that the loss hardly moves, over many steps, far from being small."""
    if found.steps < steps or found.broken is not None or found.latest < 0.5 * found.ignorance:
        return None
    if found.fall > share:
        return None
    return Evidence(
        signal=Phrase("relative fall of the loss in {steps} steps", steps=found.steps),
        value=max(0.0, found.fall),
        threshold=share,
        unit="share",
        witness="harm",
        step=found.steps,
    )


def halted(found: Course, share: float = 0.02) -> Evidence | None:
    """The harm that the later half of the run brought nothing, far from being done. Where nobody
    knows what guessing costs the loss may be one that is not to fall (adversarial games)."""
    if found.guess is None or len(found.windows) < 8 or found.done or found.broken is not None:
        return None
    half = len(found.windows) // 2
    early, late = (
        float(np.median(found.windows[half - half // 2 : half])),
        float(np.median(found.windows[half:])),
    )
    fall = (early - late) / max(early, 1e-30)
    if fall > share:
        return None
    return Evidence(
        signal=Phrase("relative fall of the loss over the later half"),
        value=fall,
        threshold=share,
        unit="share",
        witness="harm",
        step=found.steps,
    )


def swings(found: Course, share: float = 0.3) -> tuple[Evidence, ...]:
    """The harm that the loss goes up and down over the later half and comes no lower."""
    if len(found.windows) < 8 or found.done:
        return ()
    half = len(found.windows) // 2
    late, early = found.windows[half:], found.windows[1:half]
    swing = float(late.std() / max(late.mean(), 1e-30))
    if swing <= share or late.mean() < 0.9 * early.mean():
        return ()
    return (
        Evidence(
            signal=Phrase("spread of the loss over the later half, over its mean"),
            value=swing,
            threshold=share,
            witness="harm",
        ),
        Evidence(
            signal=Phrase("mean loss of the later half, against the earlier"),
            value=float(late.mean()),
            baseline=float(early.mean()),
            witness="harm",
        ),
    )


def unlearned(record: Record, found: Course) -> Evidence | None:
    """The harm that after some epochs the loss is next to that of guessing."""
    epochs = record.get(Epochs)
    long = found.steps >= 100 or (epochs is not None and len(epochs.epochs) >= SOME)
    if not long or found.steps < EARLY or found.guess is None or len(found.windows) < 8:
        return None
    if found.latest < UNLEARNED * found.guess:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against that of knowing nothing"),
        value=found.latest,
        baseline=found.guess,
        threshold=UNLEARNED * found.guess,
        witness="harm",
        step=found.steps,
    )
