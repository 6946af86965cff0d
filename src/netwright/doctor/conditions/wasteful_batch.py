"""A batch so large that its parts all say the same."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.noise import GradientNoise
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

LARGE = 256

ALIKE = 0.95


@CONDITIONS.register(
    "wasteful-batch",
    reads=Record,
    when="before the first step",
    group="rate",
    severity="note",
)
def wasteful_batch(record: Record) -> Iterator[Finding]:
    """The quarters of a large batch all give the same gradient.

    Why it hurts: four steps on the quarters would go about four times as far, for the same work.
    Large batches pay where they run side by side; noise grows during training, and with it the
    size of batch that pays. So this is a note.

    Evidence: mean cosine between the gradients of the quarters above 0.95, in a batch of 256 or
    more, with fewer than 20 steps an epoch.

    Would be wrong if: a quarter of the batch needs as many steps.

    Not to be confused with: full-batch training on purpose.

    Treatment: a smaller batch; ask.

    Source: McCandlish et al. 2018, An empirical model of large-batch training.
    """
    noise, setup = record.get(GradientNoise), record.get(Setup)
    if noise is None or setup is None or noise.batch < LARGE or noise.cosine < ALIKE:
        return
    if setup.steps_per_epoch is None or not 1 < setup.steps_per_epoch < 20:
        return
    yield Finding(
        name="wasteful-batch",
        severity="note",
        what=Phrase("The quarters of a batch of {count} all give the same gradient",
                    count=noise.batch),
        evidence=(
            Evidence(
                signal=Phrase("mean cosine between the gradients of the quarters of the batch"),
                value=noise.cosine,
                threshold=ALIKE,
            ),
            Evidence(
                signal=Phrase("steps an epoch"),
                value=setup.steps_per_epoch,
                threshold=20,
            ),
        ),
        cause=Phrase("At the start all samples ask for the same; fewer of them tell as much."),
        confidence=0.5,
        wrong_if=Phrase("a quarter of the batch needs as many steps"),
        treatments=(
            Treatment(
                name="smaller-batch",
                grade="ask",
                why=Phrase("Try a quarter of the batch, at least in the first epochs."),
            ),
        ),
    )  # fmt: skip
