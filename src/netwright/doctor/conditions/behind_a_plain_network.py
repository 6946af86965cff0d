"""A run that ends well behind what two plain layers learn of the same data in a moment."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import entropy_of_labels
from netwright.records.facts.judged import Judged
from netwright.records.facts.objective import Objective
from netwright.records.facts.reference import Reference
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

PART = 0.02
"""Of what guessing costs: by so much a run at its end must be above the loss of the plain network,
which had 300 steps, and has two standard errors on top. Of twelve healthy trainings eleven ended at
0.55 of it at most, and one at 0.012 of guessing above it."""

EARLY_TIMES, EARLY_PART = 4.0, 0.25
"""The same of a run under way, which may be slow and come there yet, and times that loss."""

UNDER_WAY = 0.3
"""Part of the plan from which on a run is asked at all."""

LEARNED = 0.7
"""Of what guessing costs: a plain network above that has shown nothing."""


@CONDITIONS.register(
    "behind-a-plain-network",
    reads=Record,
    when="while it is healed",
    group="structure",
    severity="warn",
)
def behind_a_plain_network(record: Record) -> Iterator[Finding]:
    """Two plain layers learn more of the same data in a moment than this training does.

    Why it hurts: the data hold what the training does not find; something stands in its way,
    whether it has a name or not.

    Evidence: the least loss on data that judge, over the whole training, is above that of two
    hidden layers of 128 ReLUs after 300 steps of Adam on samples they did not learn from, by a
    fiftieth of what guessing costs. Under way it must be above four times that, and by a
    quarter. Only healing judges a training as it goes, so nothing is said elsewhere.

    Would be wrong if: the network is small or held back on purpose.

    Not to be confused with: the conditions that name a cause; these are treated first.

    Treatment: what mends most trainings, tried together and in parts; ask.

    Source: Karpathy 2019, A recipe for training neural networks (a plain baseline first).
    """
    judged, plain = record.get(Judged), record.get(Reference)
    objective, setup = record.get(Objective), record.get(Setup)
    if judged is None or plain is None or objective is None or (setup and setup.special):
        return
    if objective.terms > 1 or objective.factor not in (None, 1.0):
        return
    guess = entropy_of_labels(record) or objective.constant
    if not guess or plain.unseen > LEARNED * guess:
        return
    if not judged.ended and judged.step < UNDER_WAY * judged.planned:
        return
    bound = plain.unseen + PART * guess
    if not judged.ended:
        bound = max(EARLY_TIMES * plain.unseen, plain.unseen + EARLY_PART * guess)
    if judged.least is not None and judged.least < bound:
        return
    least = guess if judged.least is None else judged.least
    yield Finding(
        name="behind-a-plain-network",
        severity="warn",
        step=judged.step,
        what=Phrase("A plain network learns more of these data in a moment than this training"),
        evidence=(
            Evidence(
                signal=Phrase("loss of two hidden layers of {width} on samples they did not learn "
                              "from, against guessing", width=plain.width),
                value=plain.unseen,
                baseline=guess,
                threshold=LEARNED * guess,
            ),
            Evidence(
                signal=Phrase("least loss of this training on the data that judge"),
                value=least,
                baseline=plain.unseen,
                threshold=bound,
                witness="harm",
                step=judged.step,
            ),
        ),
        confidence=0.6,
        cause=Phrase("What the data hold does not arrive, or is not learned in the time there is."),
        wrong_if=Phrase("the network is small or held back on purpose"),
        not_to_be_confused_with=Phrase("causes with a name: these are treated first"),
        treatments=(
            Treatment(
                name="sound-recipe",
                grade="ask",
                why=Phrase(
                    "Standardised inputs, ReLU, norms, a matched start and AdamW, together or in "
                    "parts."
                ),
            ),
        ),
    )  # fmt: skip
