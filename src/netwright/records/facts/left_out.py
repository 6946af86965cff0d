"""Which probes of a check-up say nothing or less, and why: what is silent was not necessarily
looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netwright.core.languages import Phrase
from netwright.records.facts import fact

WORK = {
    "rates": Phrase("rates tried on one batch"),
    "steps": Phrase("steps of one trial on a batch"),
    "variants": Phrase("trials that tell why no rate fits"),
    "samples": Phrase("samples of the batch"),
    "batches": Phrase("batches whose loss is compared"),
    "neighbours": Phrase("outputs with other neighbours"),
    "power steps": Phrase("steps of the search for the top curvature"),
    "gradients": Phrase("gradients of parts of the batch"),
    "passes": Phrase("passes through the network"),
}
"""What a probe may do less of, in words."""


@dataclass(frozen=True, kw_only=True)
class Shed:
    """`probe` did `done` of `planned` pieces of its work for want of time."""

    probe: str
    what: str
    done: int
    planned: int


@fact("left-out")
@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """`failed`: (probe, what it raised on this patient); `late`: probes no time was left for;
    `shed`: what others did less of; `seconds`: the time that the check-up had."""

    failed: tuple[tuple[str, str], ...] = ()
    late: tuple[str, ...] = ()
    shed: tuple[Shed, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def lines(self) -> Iterator[Phrase]:
        """Each thing that was left out, in one sentence."""
        for probe, reason in self.failed:
            yield Phrase("{probe} could not look: {reason}", probe=probe, reason=reason)
        if self.late:
            yield Phrase(
                "not looked at, for the {seconds:g} s were over: {probes}",
                seconds=self.seconds,
                probes=", ".join(self.late),
            )
        for each in self.shed:
            yield Phrase(
                "{probe}, for want of time: {done} of {planned} {what}",
                probe=each.probe,
                done=each.done,
                planned=each.planned,
                what=WORK.get(each.what, each.what),
            )
