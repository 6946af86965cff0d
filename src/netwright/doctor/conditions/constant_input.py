"""Every sample is the same."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import any_of
from netwright.records.facts.inputs import Inputs
from netwright.records.facts.objective import Objective
from netwright.records.facts.passing import Passing
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

DEAD = 0.75
"""Share of the numbers of a sample that never change, from which on hardly anything is left."""

MANY = 4
"""Batches looked at that must each hold one sample alone."""

FEWEST = 8
"""Samples below which one picture given again and again may be the experiment itself."""


@CONDITIONS.register(
    "constant-input",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
    yields_to=("nonfinite-input",),
)
def constant_input(record: Record) -> Iterator[Finding]:
    """All samples are the same, number for number, and their targets are not.

    Why it hurts: what does not differ cannot be told apart. The best that any network can do is to
    guess by the shares of the classes.

    Evidence: the smallest and the largest value of every number of a sample, over all that were
    read, are equal; the loss cannot fall below the entropy of the labels.

    Would be wrong if: the samples differ in something that is not a tensor, or in another input.

    Not to be confused with: a fixed input that is meant (one image to be reconstructed, a constant
    seed of a generator), where there are no labels to tell apart; single features that are dead.

    Treatment: look where the samples become equal: a transform, an index that does not move, an
    image that could not be read and was replaced by zeros; advice.

    Source: the entropy of the labels bounds the cross-entropy of any constant prediction (Cover &
    Thomas 2006, Elements of information theory, section 2.6).
    """
    inputs = record.get(Inputs)
    if (found := _of_a_batch(record)) is not None:
        yield found
        return
    if inputs is None or inputs.samples < FEWEST:
        return
    if not inputs.same_on_all:
        yield from _nearly(inputs)
        return
    harm = (
        (
            Evidence(
                signal=Phrase(
                    "the least that the loss can reach: the entropy of the labels, in nats"
                ),
                value=inputs.label_entropy,
                baseline=0.0,
                witness="harm",
            ),
        )
        if inputs.label_entropy and (inputs.classes or 0) > 1
        else any_of(_constant(record) if inputs.low == inputs.high else None)
    )
    yield Finding(
        name="constant-input",
        severity="stop" if harm else "note",
        what=Phrase("All {samples} samples that were read are the same", samples=inputs.samples),
        evidence=(
            Evidence(
                signal=Phrase(
                    "numbers of a sample that differ between samples, of {numbers}",
                    numbers=inputs.numbers,
                ),
                value=0,
                baseline=inputs.numbers,
            ),
            *harm,
        ),
        formula="loss >= H(labels)",
        cause=Phrase("Something on the way from the files to the network makes the samples equal."),
        wrong_if=Phrase("the samples differ in something that was not read as a tensor"),
        not_to_be_confused_with=Phrase("a fixed input that is meant, as one image to rebuild"),
        treatments=(
            Treatment(
                name="follow-one-sample",
                grade="advice",
                why=Phrase(
                    "Follow two samples from file to batch, and see where they become equal."
                ),
            ),
        ),
    )


def _nearly(inputs: Inputs) -> Iterator[Finding]:
    """Hardly a number differs, and samples that are the same to the last one bear other labels."""
    if not inputs.numbers or inputs.dead < DEAD * inputs.numbers:
        return
    if inputs.repeats <= inputs.samples / 2 or inputs.conflicts <= inputs.samples / 4:
        return
    yield Finding(
        name="constant-input",
        severity="warn",
        what=Phrase("{dead} of {numbers} numbers of a sample never change, and samples that are "
                    "equal bear different labels", dead=inputs.dead, numbers=inputs.numbers),
        evidence=(
            Evidence(
                signal=Phrase("numbers of a sample that are the same in all"),
                value=inputs.dead / inputs.numbers,
                baseline=0.0,
                threshold=DEAD,
                unit="share",
            ),
            Evidence(
                signal=Phrase("samples that equal an earlier one with another label"),
                value=inputs.conflicts / inputs.samples,
                baseline=0.0,
                threshold=0.25,
                unit="share",
                witness="harm",
            ),
        ),
        formula="var(x_j) = 0",
        confidence=0.9,
        cause=Phrase("Something on the way from the files to the network makes the samples equal."),
        wrong_if=Phrase("the samples differ in something that was not read as a tensor"),
        treatments=(
            Treatment(
                name="follow-one-sample",
                grade="advice",
                why=Phrase(
                    "Follow two samples from file to batch, and see where they become equal."
                ),
            ),
        ),
    )  # fmt: skip


def _of_a_batch(record: Record) -> Finding | None:
    """Each batch holds one sample in all its places, under labels that differ."""
    passing = record.get(Passing)
    feed = passing.feed if passing is not None else None
    if passing is None or feed is None or passing.alike < MANY:
        return None
    if passing.alike < passing.looked or not feed.within_entropy:
        return None
    return Finding(
        name="constant-input",
        severity="stop",
        what=Phrase("All samples of a batch are the same one, and their labels differ"),
        evidence=(
            Evidence(
                signal=Phrase("batches of one sample in all places, of {looked} looked at",
                              looked=passing.looked),
                value=passing.alike,
                baseline=0,
            ),
            Evidence(
                signal=Phrase("the least that the loss can reach: the entropy of the labels within "
                              "a batch, in nats"),
                value=feed.within_entropy,
                baseline=0.0,
                witness="harm",
            ),
        ),
        formula="loss >= H(labels of a batch)",
        cause=Phrase("What makes the batch puts one sample into all its places."),
        wrong_if=Phrase("the samples differ in something that was not read as a tensor"),
        not_to_be_confused_with=Phrase("a fixed input that is meant, as one image to rebuild"),
        treatments=(
            Treatment(
                name="follow-one-sample",
                grade="advice",
                why=Phrase(
                    "Follow two samples from file to batch, and see where they become equal."
                ),
            ),
        ),
    )  # fmt: skip


def _constant(record: Record) -> Evidence | None:
    """H5: of one input there is one output, and targets that differ cost the best constant. Asked
    of blank inputs alone: a pattern that never changes may be meant, as the seed of a generator."""
    objective, setup = record.get(Objective), record.get(Setup)
    if objective is None or not objective.constant or (setup is not None and setup.special):
        return None
    least = objective.least or 0.0
    if objective.terms > 1 or objective.constant - least <= 1e-3 * abs(objective.constant):
        return None
    return Evidence(
        signal=Phrase("the least that the loss can reach: that of the best constant"),
        value=objective.constant,
        baseline=least,
        witness="harm",
    )
