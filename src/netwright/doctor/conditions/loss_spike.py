"""The loss leaps far above its own history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import Array, course, steps_of
from netwright.doctor.conditions._rate import DEEPER
from netwright.doctor.conditions._too_high import too_high
from netwright.records.facts.restarts import Restarts
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

HISTORY = 30
"""Rows before a step that are its history."""

DEVIATIONS = 8.0
"""Robust deviations of the logarithm of the loss that make a spike."""

SOME = 4.0
"""Deviations that do where the loss is ten times its level: batches of runs that are nearly done
scatter widely in logarithms."""

LASTING = 3
"""Rows that a spike lasts at least: one odd batch is none."""

RECOVERY = 50

TIMES = 10.0
"""Of its level: a loss of one batch alone that is out of all proportion."""

SEVERAL = 2
"""Such batches that are no accident."""

FEW = 10
"""Rows after the time to recover, twice, below which nobody knows whether it came back."""


@dataclass(frozen=True)
class Spike:
    row: int
    step: int
    height: float
    level: float
    score: float
    after: float | None
    """The median loss of the later half of what follows the time to recover, None where the run
    ended before."""
    falling: bool = False
    """Whether the loss was still coming down there."""


@CONDITIONS.register(
    "loss-spike",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="warn",
    yields_to=(
        *DEEPER,
        "learning-rate-too-high",
        "scheduler-misuse",
        "over-regularised",
        "divergence",
    ),
)
def loss_spike(record: Record) -> Iterator[Finding]:
    """The loss leaps far above its own history, for several steps.

    Why it hurts: one step threw the weights away from what they had learned. Most spikes heal; a
    run that does not come back has lost that part of its time.

    Evidence: of the cause, the robust deviation of the logarithm of the loss from the 30 steps
    before, over at least three steps, beyond 8 at 1.5 times its level, or 4 at ten times. Of the
    harm: from 50 steps later on the loss has come to rest at 1.5 times what it was. A spike that
    healed, or heals, is a note. Or single steps, two and more, at ten times their level, in a run
    that ends far above what a plain network came to on the same data.

    Would be wrong if: the data changed at that step.

    Not to be confused with: the scatter of small batches, a restart of a cyclic rate; harder
    samples that come in (a curriculum), whose loss leaps and then falls as the first loss did;
    weights that were loaded there, which `nondeterministic-restart` tells.

    Treatment: go back to before the spike and leave that batch out, clip by the global norm; ask.

    Source: Chowdhery et al. 2022, PaLM, section 5.1.
    """
    steps, found = steps_of(record), course(record)
    if steps is None or found is None or found.broken is not None:
        return
    if too_high(record) is not None:
        return
    spikes = [each for each in spikes_of(steps) if not _loaded(record, each)]
    odd = _now_and_then(steps)
    harm = behind(record, found) if len(odd) >= SEVERAL else None
    if harm is not None:
        yield _repeated(odd, harm)
        return
    if not spikes:
        return
    lasting = [
        s for s in spikes if s.after is not None and s.after > 1.5 * s.level and not s.falling
    ]
    # What was lost must be worth a word: a loss of 1e-5 that becomes 2e-5 is none.
    lasting = [s for s in lasting if s.after is not None and s.after > 0.05 * found.reference]
    worst = max(lasting or spikes, key=lambda s: s.height / s.level)
    if not lasting and worst.height < 0.3 * found.reference:
        return
    evidence = [
        Evidence(
            signal=Phrase("deviations of the loss from its own history, robust, in logarithms"),
            value=worst.score,
            threshold=DEVIATIONS,
            step=worst.step,
        ),
        Evidence(
            signal=Phrase("loss at the spike, against its level before"),
            value=worst.height,
            baseline=worst.level,
            step=worst.step,
        ),
    ]
    if lasting and worst.after is not None:
        evidence.append(
            Evidence(
                signal=Phrase("loss {steps} steps after the spike, against its level before",
                              steps=RECOVERY),
                value=worst.after,
                baseline=worst.level,
                threshold=1.5 * worst.level,
                witness="harm",
                step=worst.step + RECOVERY,
            )
        )  # fmt: skip
    yield Finding(
        name="loss-spike",
        severity="warn" if lasting else "note",
        step=worst.step,
        what=(
            Phrase("The loss leapt at step {step} and has not come back", step=worst.step)
            if lasting
            else Phrase("The loss leapt at step {step}", step=worst.step)
            if worst.after is None or worst.after > 1.5 * worst.level
            else Phrase("The loss leapt at step {step} and came back", step=worst.step)
        ),
        evidence=tuple(evidence),
        cause=Phrase("One step, or a few, threw the weights far from where they were."),
        wrong_if=Phrase("the data changed at that step"),
        treatments=(
            Treatment(
                name="roll-back",
                grade="ask",
                why=Phrase("Go back to before the spike, and clip the gradient by its norm."),
                code="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            ),
        ),
    )


def _now_and_then(steps: Steps) -> list[tuple[int, float, float]]:
    """Single steps whose loss is ten times that of the thirty before, and those losses."""
    finite = np.isfinite(steps.loss) & (steps.loss > 0)
    loss, at = steps.loss[finite], steps.step[finite]
    if len(loss) < 2 * HISTORY:
        return []
    levels = np.median(sliding_window_view(loss, HISTORY)[:-1], axis=1)
    high = np.flatnonzero(loss[HISTORY:] > TIMES * levels)
    return [
        (int(at[HISTORY + row]), float(loss[HISTORY + row]), float(levels[row])) for row in high
    ]


def _repeated(odd: list[tuple[int, float, float]], harm: Evidence) -> Finding:
    """Batches now and then whose loss is out of all proportion, in a run that comes to nothing."""
    step, height, level = max(odd, key=lambda each: each[1] / each[2])
    return Finding(
        name="loss-spike",
        severity="warn",
        step=odd[0][0],
        what=Phrase("The loss leapt at {count} single steps, {times} times its level and more",
                    count=len(odd), times=f"{TIMES:g}"),
        evidence=(
            Evidence(
                signal=Phrase("steps with such a loss"),
                value=len(odd),
                baseline=0,
                threshold=SEVERAL,
            ),
            Evidence(
                signal=Phrase("loss at the spike, against its level before"),
                value=height,
                baseline=level,
                step=step,
            ),
            harm,
        ),
        cause=Phrase("Some batches are of another size than all others, and each throws the "
                     "weights off."),
        wrong_if=Phrase("a run without these batches comes to no lower loss"),
        treatments=(
            Treatment(
                name="look-at-batches",
                grade="advice",
                why=Phrase("Look at what these batches hold, leave out what is broken, and clip "
                           "the gradient by its norm."),
                code="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            ),
            Treatment(
                name="clip",
                grade="ask",
                why=Phrase("Clip the gradient by its global norm, at its usual length."),
                code="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            ),
        ),
    )  # fmt: skip


def spikes_of(steps: Steps) -> list[Spike]:
    """The spikes of a run, the second of two within the time to recover left out."""
    finite = np.isfinite(steps.loss) & (steps.loss > 0)
    loss, at = steps.loss[finite], steps.step[finite]
    logs = np.log(np.maximum(loss, 1e-12))
    if len(logs) < HISTORY + LASTING:
        return []
    # Of every row at once: what came before it, and the least of the few that follow.
    before = sliding_window_view(logs, HISTORY)[: len(logs) - HISTORY - LASTING + 1]
    levels = np.median(before, axis=1)
    spreads = np.maximum(1.4826 * np.median(np.abs(before - levels[:, None]), axis=1), 0.05)
    heights = sliding_window_view(logs, LASTING)[HISTORY:].min(axis=1) - levels
    scores = heights / spreads
    high = (scores > DEVIATIONS) & (heights > np.log(1.5))
    high |= (scores > SOME) & (heights > np.log(10))
    found: list[Spike] = []
    row = 0
    for each in (np.flatnonzero(high) + HISTORY).tolist():
        if each >= row:
            row, score = each, float(scores[each - HISTORY])
            level = float(levels[each - HISTORY])
            end = row + RECOVERY
            rest = loss[end:]
            half = len(rest) // 2
            found.append(
                Spike(
                    row=row,
                    step=int(at[row]),
                    height=float(loss[row:end].max()),
                    level=float(np.exp(level)),
                    score=score,
                    after=float(np.median(rest[half:])) if half >= FEW else None,
                    falling=half >= FEW and _falls(rest[:half], rest[half:]),
                )
            )
            row += RECOVERY + 1
    return found


def _loaded(record: Record, spike: Spike) -> bool:
    """Whether weights were loaded there: no step threw them, and the restart is told by itself."""
    found = record.get(Restarts)
    seen = found.restarts if found is not None else ()
    return any(0 <= spike.step - each.step <= LASTING for each in seen)


def _falls(earlier: Array, later: Array) -> bool:
    """Whether the loss comes down by a tenth from one half to the next."""
    return bool(np.median(later) < 0.9 * np.median(earlier))
