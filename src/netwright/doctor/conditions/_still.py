"""What weights that stand still cost, where nobody ever trained them."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.core.languages import Phrase
from netwright.doctor.conditions._capacity import LOW, THRICE, far_from_done, outdone
from netwright.doctor.conditions._course import EARLY, course
from netwright.doctor.conditions._trials import end_of
from netwright.records.facts.narrow import Narrow
from netwright.records.facts.setup import Setup
from netwright.records.facts.still import Still, Why
from netwright.records.findings import Evidence
from netwright.records.record import Record

MOST = 0.5
"""Share of the weights that is most of them."""

TWICE = 2.0
"""The same where the run has shown what it comes to."""


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
    harm = _trained_does_better(record, fact) or _plain_does_better(record, fact)
    found = course(record)
    if harm is None:
        return None
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
                unit="share",
                layer=fact.layers[0],
            ),
        ),
        harm,
    )  # fmt: skip


def _trained_does_better(record: Record, fact: Still) -> Evidence | None:
    """Thrice as well; twice where the run itself stands far from done."""
    held, moved = fact.held, fact.moved
    if held is None or moved is None:
        return None
    guess = min(each for each in (held.start, fact.constant) if each is not None)
    times = TWICE if far_from_done(record) is not None else THRICE
    if not moved.end < LOW * guess < end_of(held) or end_of(held) < times * moved.end:
        return None
    return Evidence(
        signal=Phrase("loss of one batch after {steps} steps with these still, against that "
                      "with all weights trained", steps=held.steps),
        value=end_of(held),
        baseline=moved.end,
        witness="harm",
    )  # fmt: skip


def _plain_does_better(record: Record, fact: Still) -> Evidence | None:
    """Most weights stand still, or those that everything passes; a plain network fits the batch,
    and the run does not come far."""
    narrow = record.get(Narrow)
    passed = narrow is not None and narrow.layer in fact.layers
    if (fact.share < MOST and not passed) or outdone(record) is None:
        return None
    return far_from_done(record)
