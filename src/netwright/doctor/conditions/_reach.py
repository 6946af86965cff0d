"""What the conditions on the reach of a loss share: that parameters have no gradient from it."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.records.facts.loop import Loop
from netwright.records.facts.reach import Reach
from netwright.records.findings import Evidence
from netwright.records.record import Record

LOOKS = 3
"""Steps looked at after which a parameter without a gradient has none from any loss of the loop."""


def no_gradient(reach: Reach) -> Evidence:
    """The loss moves nothing."""
    return Evidence(
        signal=Phrase("parameters that this loss can move through the model's output")
        if reach.besides
        else Phrase("parameters that this loss can move"),
        value=0,
        baseline=reach.held,
        witness="harm",
    )


def flat(record: Record, names: tuple[str, ...]) -> Evidence | None:
    """Parameters, all of `names`, whose gradient was exactly 0 at each of several steps."""
    loop = record.get(Loop)
    if loop is None or loop.looked < LOOKS or not set(names) <= set(loop.zero_graded):
        return None
    return Evidence(
        signal=Phrase("parameters whose gradient was 0 at each of {looked} steps",
                      looked=loop.looked),
        value=len(names),
        baseline=0,
        witness="harm",
        step=loop.steps,
    )  # fmt: skip


def never_reached(record: Record, names: tuple[str, ...] | None = None) -> Evidence | None:
    """Parameters, of `names` where given, that had no gradient at any of several steps."""
    loop = record.get(Loop)
    if loop is None or loop.looked < LOOKS:
        return None
    silent = [each for each in loop.never_graded if names is None or each in names]
    if not silent:
        return None
    return Evidence(
        signal=Phrase("parameters without a gradient at any of {looked} steps", looked=loop.looked),
        value=len(silent),
        baseline=0,
        witness="harm",
        step=loop.steps,
    )
