"""The network waits for its data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Share of the time: at a half, training would be twice as fast with data at hand.
_HALF, _SOME = 0.5, 0.25
_STEPS = 50
# Seconds a step: below a millisecond nothing is gained by workers.
_SHORT = 1e-3
# Seconds of waiting: what a worker takes to hand over a batch that the loop itself has in 0.3 ms;
# measured on two cores with 2 workers: 0.6 to 1.5 ms. Waiting for less than that has no cure.
_HANDED_OVER = 2e-3


@CONDITIONS.register(
    "data-starvation",
    reads=Record,
    when="in the first steps",
    group="data",
    severity="warn",
)
def data_starvation(record: Record) -> Iterator[Finding]:
    """Much of the time goes by waiting for the next batch.

    Why it hurts: the device stands idle; the run takes as much longer.

    Evidence: seconds between the end of a step and the arrival of the next batch, over the seconds
    of the whole step, by the median of the steps after the first ones, which start the workers.

    Would be wrong if: the waiting is for something else that happens while a batch is fetched.

    Not to be confused with: the first batch of an epoch, for which workers are started; very small
    networks on a processor, where a step takes less than a batch whatever one does.

    Treatment: workers, persistent ones, pinned memory, decoded data kept; safe.

    Source: PyTorch documentation, performance tuning guide.
    """
    steps = record.get(Steps)
    if steps is None or len(steps.wait) < _STEPS:
        return
    wait, seconds = steps.wait[10:], steps.seconds[10:]
    known = np.isfinite(wait) & np.isfinite(seconds) & (seconds > 0) & (wait > 0)
    if np.count_nonzero(known) < _STEPS // 2 or float(np.median(seconds[known])) < _SHORT:
        return
    waited, whole = float(wait[known].sum()), float(seconds[known].sum())
    share = float(np.median(np.minimum(1.0, wait[known] / seconds[known])))
    if share < _SOME or waited / whole < _SOME:
        return
    pays = float(np.median(wait[known])) > _HANDED_OVER
    harm = Evidence(
        signal=Phrase("time of the run, against that with the data at hand"),
        value=1 / max(1e-3, 1 - share),
        baseline=1.0,
        unit="times",
        witness="harm",
    )
    yield Finding(
        name="data-starvation",
        severity="warn" if share >= _HALF and pays else "note",
        what=Phrase("{share:.0%} of a step is spent waiting for its batch", share=share),
        evidence=(
            Evidence(
                signal=Phrase("waiting, of the time of a step"),
                value=share,
                baseline=0.0,
                threshold=_SOME,
                unit="share",
            ),
            harm,
        ),
        formula="1 / (1 - share)",
        cause=Phrase("Batches are made more slowly than the network takes them."),
        wrong_if=Phrase("something else is done while the batch is fetched"),
        treatments=(
            Treatment(
                name="workers",
                grade="safe",
                why=Phrase("Load in worker processes, and keep what is decoded."),
                code="DataLoader(..., num_workers=4, persistent_workers=True, pin_memory=True)",
            ),
        ),
    )
