"""What weights that stand still cost, where nobody ever trained them."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.core.languages import Phrase
from netwright.doctor.conditions._course import EARLY, course
from netwright.doctor.conditions._trials import end_of
from netwright.records.facts.setup import Setup
from netwright.records.facts.still import Still, Why
from netwright.records.findings import Evidence
from netwright.records.record import Record

THRICE = 3.0
"""How many times lower one batch comes with all weights trained."""

LOW = 0.3
"""Share of the loss of guessing under which a batch is fitted, or a run does well on features that
nobody trained."""


@dataclass(frozen=True)
class Stillness:
    fact: Still
    cause: tuple[Evidence, ...]
    harm: Evidence


def stillness(record: Record, *why: Why) -> Stillness | None:
    """Weights that stand still as they were drawn, and a batch that needs them; nothing where the
    run does well all the same, as wide random features can."""
    fact, setup = record.get(Still), record.get(Setup)
    if fact is None or fact.why not in why or (setup is not None and setup.pretrained):
        return None
    guess = min(each for each in (fact.held.start, fact.constant) if each is not None)
    if not fact.moved.end < LOW * guess < end_of(fact.held):
        return None
    if end_of(fact.held) < THRICE * fact.moved.end:
        return None
    found = course(record)
    if found is not None and found.steps >= EARLY and found.latest < LOW * found.ignorance:
        return None
    return Stillness(
        fact,
        (
            Evidence(
                signal=Phrase("share of the weights that stand still, as an initialiser draws "
                              "them"),
                value=fact.share,
                baseline=0.0,
                threshold=0.5,
                unit="share",
                layer=fact.layers[0],
            ),
        ),
        Evidence(
            signal=Phrase("loss of one batch after {steps} steps with these still, against that "
                          "with all weights trained", steps=fact.held.steps),
            value=end_of(fact.held),
            baseline=fact.moved.end,
            witness="harm",
        ),
    )  # fmt: skip
