"""The same sample again."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import score_gap
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import far_behind, worse_than_guessing
from netwright.records.facts.inputs import Inputs
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SHARE = 0.05
MOST = 0.5
"""Share of copies from which on the set is not what it seems: less than half of it is samples."""

FEWEST = 100
"""Samples read below which a few copies are no share."""

NUMBERS = 16
"""Numbers of a sample below which equal ones come about by themselves in tables of few values."""

FEW = 0.05
"""Share of a typical feature that is its most frequent value: above that a table is of few values,
below it no two rows are equal by chance."""


@CONDITIONS.register(
    "duplicate-samples",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("constant-input", "stuck-data-feed"),
)
def duplicate_samples(record: Record) -> Iterator[Finding]:
    """Training samples are there more than once, bit for bit.

    Why it hurts: copies weigh as much as their number, and make a set look larger than it is; where
    their labels differ, no network can be right on both. A random split puts copies on both sides.

    Evidence: the share of samples that equal an earlier one of the same pass, and of those how
    many have another label. A warning where most samples are copies and validation falls far
    behind training, as it does with few samples.

    Would be wrong if: a sampler draws with replacement to balance the classes.

    Not to be confused with: tables of few distinct values, where equal rows are to be expected.

    Treatment: take them out before splitting; advice, the first pairs are listed.

    Source: Barz & Denzler 2020, Do we train on test data? Purging CIFAR of near-duplicates.
    """
    inputs = record.get(Inputs)
    if inputs is None or inputs.same_on_all or inputs.samples < FEWEST:
        return
    if inputs.kind not in ("image", "features", "series", "tokens"):
        return
    share = inputs.repeats / inputs.samples
    if inputs.kind == "tokens" and share <= MOST:
        return  # short sentences come again by themselves
    # Of rows that are there a thousand times every value is frequent: what counts is the others.
    values = inputs.sparse if inputs.sparse_distinct is None else inputs.sparse_distinct
    if inputs.kind == "features" and values > (FEW if inputs.numbers < NUMBERS else 0.8):
        return
    # More was drawn than there is: then some had to come twice.
    if inputs.total is not None and inputs.samples > inputs.total:
        return
    if share <= SHARE:
        return
    gaps = (score_gap(record), far_behind(record), worse_than_guessing(record))
    harm = any_of(*gaps) if share > MOST else ()
    yield Finding(
        name="duplicate-samples",
        severity="warn" if harm else "note",
        what=Phrase(
            "{repeats} of {samples} training samples equal an earlier one",
            repeats=inputs.repeats,
            samples=inputs.samples,
        ),
        evidence=(
            Evidence(
                signal=Phrase("samples that equal an earlier one, bit for bit"),
                value=share,
                baseline=0.0,
                threshold=SHARE,
                unit="share",
            ),
            Evidence(
                signal=Phrase("of those, with another label"), value=inputs.conflicts, baseline=0
            ),
            *harm,
        ),
        formula="1 - distinct / samples",
        confidence=0.9,
        cause=Phrase("The data hold copies, or a sampler draws with replacement."),
        wrong_if=Phrase("a sampler draws with replacement on purpose"),
        not_to_be_confused_with=Phrase("tables of few distinct values"),
        treatments=(
            Treatment(
                name="remove-copies",
                grade="advice",
                why=Phrase(
                    "Take the copies out before splitting, the first of them: {pairs}.",
                    pairs=", ".join(f"{a}={b}" for a, b in inputs.repeated_pairs),
                ),
            ),
        ),
    )
