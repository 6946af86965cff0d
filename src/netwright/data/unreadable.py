"""How many unreadable files a set may have before it is refused."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.errors import DataError
from netwright.core.languages import Phrase, Series
from netwright.data.files import Bad

FORGIVEN = 5


def allowance(count: int, share: float) -> int:
    """How many of `count` files may be unreadable: `share` of them, but always five.

    A share alone would refuse a set of ninety photos for one bad file; five bad files are worth
    a warning with their names and no more. A share of 0 forgives none.

    >>> allowance(50_000, 0.01), allowance(90, 0.01), allowance(90, 0)
    (500, 5, 0)
    """
    return max(int(count * share), FORGIVEN) if share > 0 else 0


def refuse_many(bad: Sequence[Bad], count: int, share: float) -> None:
    """`DataError` that names the first few when more than `allowance` of `count` files are bad."""
    allowed = allowance(count, share)
    if len(bad) <= allowed:
        return
    raise DataError(
        "{bad} of {count} images cannot be read; {allowed} are forgiven. The first: {first}.",
        hint="Mend or remove them, or raise data.max_unreadable (now {share}).",
        bad=len(bad),
        count=count,
        allowed=allowed,
        first=first_of(bad),
        share=share,
    )


def first_of(bad: Sequence[Bad]) -> Series:
    """The first three of `bad`, each with its reason, for a message."""
    named = [Phrase("{name} ({reason})", name=name, reason=reason) for name, reason in bad[:3]]
    return Series([*named, *(["..."] if len(bad) > 3 else [])], between="; ")
