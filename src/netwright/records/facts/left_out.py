"""Which probes of a check-up say nothing, and why: what is silent was not necessarily looked at."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("left-out")
@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """`failed`: (probe, what it raised on this patient); `late`: probes no time was left for."""

    failed: tuple[tuple[str, str], ...] = ()
    late: tuple[str, ...] = ()
