"""Memory that grows with the steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.growth import Growth
from netwright.records.findings import Evidence, Finding, Treatment, amount
from netwright.records.record import Record

# Graphs of old losses still alive, of those that were marked: a loop that keeps the last loss of
# an epoch has one or two.
_KEPT = 0.8
_MARKS = 8
# Growth over a thousand steps, against what is held: below a hundredth nobody runs out.
_MUCH = 0.01
# Rows that rise, of all pairs of neighbours: caches that fill grow in leaps and stop.
_STEADY = 0.5


@CONDITIONS.register(
    "memory-growth",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="warn",
)
def memory_growth(record: Record) -> Iterator[Finding]:
    """Each step leaves something behind in memory, mostly its loss with its graph.

    Why it hurts: the run ends for want of memory, hours later; and a sum of such losses makes a
    graph that grows with every step.

    Evidence: graphs of losses, marked when they were made, that are still there thirty steps
    later; and the memory of the process, or of its graphics card, over the later half of the
    steps.

    Would be wrong if: the losses are gathered for one backward later on.

    Not to be confused with: caches that fill in the first epoch and stop; the allocator's reserve;
    records that are kept as plain numbers.

    Treatment: keep the number and not the tensor: loss.item() or loss.detach(); code.

    Source: PyTorch documentation, FAQ: My model reports out of memory.
    """
    growth = record.get(Growth)
    if growth is None or growth.graphs < _MARKS or growth.kept < _KEPT * growth.graphs:
        return
    slope = growth.bytes_per_step
    held = float(growth.memory[-1]) if len(growth.memory) else 0.0
    half = np.diff(growth.memory[len(growth.memory) // 2 :])
    steady = float(np.mean(half > 0)) if len(half) else 0.0
    harm = []
    if slope is not None and held and slope * 1000 > _MUCH * held and steady >= _STEADY:
        harm.append(
            Evidence(
                signal=Phrase("bytes that are added in a thousand steps, to {held}",
                              held=amount(held)),
                value=slope * 1000,
                baseline=0,
                threshold=_MUCH * held,
                witness="harm",
            )
        )  # fmt: skip
    yield Finding(
        name="memory-growth",
        severity="warn" if harm else "note",
        what=Phrase("The graphs of {kept} of {all} old losses are still in memory",
                    kept=growth.kept, all=growth.graphs),
        evidence=(
            Evidence(
                signal=Phrase("losses whose graph is alive thirty steps later"),
                value=growth.kept / growth.graphs,
                baseline=0.0,
                threshold=_KEPT,
                unit="share",
            ),
            *harm,
        ),
        cause=Phrase("The loop keeps its losses as tensors, and with each the graph behind it."),
        wrong_if=Phrase("the losses are gathered for a backward later on"),
        treatments=(
            Treatment(
                name="keep-the-number",
                grade="advice",
                why=Phrase("Keep the number of the loss, not the tensor."),
                code="total += loss.item()   # or loss.detach()",
            ),
        ),
    )  # fmt: skip
