"""The live line of a download: a bar, bytes, rate and time left, as parts that can be left out."""

from __future__ import annotations

from netwright.core.cache import amount
from netwright.core.languages import say

LEAST_WANTED = ("bar", "rate", "left", "share")
"""The parts that go first where there is no room; the bytes stay."""

_CELLS = 20


class TransferLine:
    """Remembers where a download began, for the rate is that of the bytes which came since.

    >>> line = TransferLine(1_000_000, now=10.0)
    >>> parts = line.parts(3_000_000, 9_000_000, now=12.0)
    >>> parts["bar"], parts["share"], parts["bytes"], parts["rate"]
    ('[######..............]', '33 %', '3.00 MB of 9.00 MB', '1.00 MB/s')
    >>> line.seconds_left(3_000_000, 9_000_000, now=12.0)
    6.0
    """

    def __init__(self, held: int, *, now: float) -> None:
        """`held` bytes are there when the first are told of: a part may be from before."""
        self._held = held
        self._began = now

    def parts(self, held: int, total: int | None, *, now: float) -> dict[str, str]:
        """What the line is made of, in its order; without a total there is no bar to fill."""
        found = {}
        if total:
            filled = _CELLS * min(held, total) // total
            found["bar"] = f"[{'#' * filled}{'.' * (_CELLS - filled)}]"
            found["share"] = f"{100 * held // total} %"
            found["bytes"] = say("{held} of {total}", held=amount(held), total=amount(total))
        else:
            found["bytes"] = amount(held)
        rate = self._rate(held, now)
        if rate > 0:
            found["rate"] = say("{amount}/s", amount=amount(round(rate)))
        return found

    def seconds_left(self, held: int, total: int | None, *, now: float) -> float | None:
        """The time to go at the rate so far; None where nobody knows."""
        rate = self._rate(held, now)
        return (total - held) / rate if total and rate > 0 else None

    def _rate(self, held: int, now: float) -> float:
        return (held - self._held) / (now - self._began) if now > self._began else 0.0
