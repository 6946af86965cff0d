"""What of an input no output depends on."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("unread")
@dataclass(frozen=True, kw_only=True)
class Unread:
    """Of the numbers of a sample `varied` differ between the samples of a batch; `idle` of these
    can be exchanged for those of another sample, all at once, and the outputs change by no more
    than `change` of their size. `example` is the place of the first of them."""

    varied: int
    idle: int
    change: float
    example: tuple[int, ...] = ()
