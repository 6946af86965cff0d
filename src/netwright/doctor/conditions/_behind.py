"""The harm that a run ends far above what a plain network came to on the same data in a moment."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.doctor.conditions._course import EARLY, Course
from netwright.doctor.conditions._harm import entropy_of_labels
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.reference import Reference
from netwright.records.findings import Evidence
from netwright.records.record import Record

TIMES = 4.0
"""Times the loss of the plain network that a run must be above: a run may be short, small or held
back on purpose, and end at twice of that in good health."""

PART = 0.25
"""And by how much, of what guessing costs."""

SHORT, TWICE = 12, 2
"""Steps, and validations, that make a short loop a training."""

LEARNED = 0.5
"""Of what guessing costs: a plain network above that has shown nothing."""


def behind(record: Record, found: Course) -> Evidence | None:
    """At the end of the loop neither its training nor its validation loss has come near to that of
    a plain network on samples which that did not learn from."""
    plain, loop, objective = record.get(Reference), record.get(Loop), record.get(Objective)
    told = record.get(Epochs)
    losses = [e.val_loss for e in (told.epochs if told else ()) if e.val_loss is not None]
    few = SHORT if len(losses) >= TWICE else EARLY
    if plain is None or loop is None or not loop.ended or found.steps < few:
        return None
    if objective is None or objective.terms > 1 or objective.factor not in (None, 1.0):
        return None
    guess = entropy_of_labels(record) or objective.constant
    if guess is None or plain.unseen > LEARNED * guess:
        return None
    # What is learned from may be distorted on purpose; what is validated on is not.
    now = min([*losses[-1:], found.latest]) if found.broken is None else guess
    bound = max(TIMES * plain.unseen, plain.unseen + PART * guess)
    if now < bound:
        return None
    return Evidence(
        signal=Phrase("loss at the end, against that of two hidden layers of {width} on samples "
                      "they did not learn from, after {steps} steps", width=plain.width, steps=300),
        value=now,
        baseline=plain.unseen,
        threshold=bound,
        witness="harm",
        step=found.steps,
    )  # fmt: skip
