"""A schedule whose optimizer is not the one that trains: it turns nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.loose_schedule import LooseSchedule
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

APART = 2.0
"""Times: a rate that is so much higher or lower than the schedule's makes another training."""

OFTEN = 0.25
"""Of the plan at such a rate."""


@CONDITIONS.register(
    "stale-schedule",
    reads=Record,
    when="before the first step",
    group="wiring",
    severity="warn",
)
def stale_schedule(record: Record) -> Iterator[Finding]:
    """The schedule was made for another optimizer than the one that trains.

    Why it hurts: it lowers and raises a rate that nobody uses. The rate of the training stays what
    it was: too high without its warm-up, or never lowered.

    Evidence: by identity, the optimizer that the schedule holds is not the one that is stepped. The
    harm is the part of the plan at a rate at least twice, or at most half, that of the schedule.

    Would be wrong if: the schedule belongs to another optimizer on purpose.

    Not to be confused with: scheduler-misuse, a schedule of the right optimizer that is stepped too
    often or too seldom.

    Treatment: make the schedule after the optimizer, and of the one that trains; ask.

    Source: PyTorch documentation, torch.optim.lr_scheduler: a schedule changes the rates of the
    optimizer that it was made for.
    """
    found = record.get(LooseSchedule)
    if found is None:
        return
    share = _apart(record, found)
    harm = Evidence(
        signal=Phrase("part of the plan at a rate at least twice, or at most half, of that which "
                      "the schedule says"),
        value=share,
        baseline=0.0,
        threshold=OFTEN,
        unit="share",
        witness="harm",
    )  # fmt: skip
    yield Finding(
        name="stale-schedule",
        severity="warn" if share >= OFTEN else "note",
        what=Phrase("The schedule turns the rate of another optimizer: here it stays {rate:.3g}",
                    rate=found.rate),
        evidence=(
            Evidence(
                signal=Phrase("schedules whose optimizer is not the one that trains"),
                value=len(found.kinds),
                baseline=0,
            ),
            *([harm] if share > 0 else []),
        ),
        cause=Phrase("{kinds} was made for an optimizer of before, or for another one.",
                     kinds=", ".join(found.kinds)),
        wrong_if=Phrase("the schedule belongs to another optimizer on purpose"),
        treatments=(
            Treatment(
                name="bind-schedule",
                grade="ask",
                why=Phrase("Make the schedule after the optimizer, and of the one that trains."),
                code="scheduler = type(scheduler)(optimizer, ...)  # the one that is stepped",
            ),
        ),
    )  # fmt: skip


def _apart(record: Record, found: LooseSchedule) -> float:
    """It may be stepped with every batch or once an epoch: the smaller share of the two."""
    setup, rates = record.get(Setup), found.rates
    if len(rates) < 2 or found.rate <= 0:
        return 0.0
    ratio = np.maximum(rates, 1e-300) / found.rate
    far = (ratio >= APART) | (ratio <= 1 / APART)
    plans = {len(rates), (setup.epochs if setup is not None else None) or len(rates)}
    return min(float(far[:plan].mean()) for plan in plans)
