"""How the report writes names and numbers: short, aligned, with their units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from netwright.core import languages
from netwright.core.escaping import html_attribute, html_text, terminal
from netwright.core.languages import say

NONE = "–"

# Between a number and its unit: a line never breaks there, and it is narrower than a space.
_THIN = "\u202f"


def number(value: Any) -> float | None:
    """`value` as a finite float, None for anything else.

    >>> number(3), number("3"), number(float("nan")), number(True)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        plain = float(value)
    except OverflowError:  # an integer of 400 digits
        return None
    return plain if math.isfinite(plain) else None


def share(value: Any) -> float | None:
    """`value` as a share from 0 to 1, None for anything else.

    >>> share(0.25), share(25), share(None)
    (0.25, None, None)
    """
    plain = number(value)
    return plain if plain is not None and 0 <= plain <= 1 else None


def whole(value: Any) -> int | None:
    """`value` as an integer of at most 18 digits, None for anything else."""
    plain = number(value)
    return int(plain) if plain is not None and abs(plain) < 1e18 else None


def short(text: object, limit: int = 40) -> str:
    r"""A name on one line, at most `limit` characters; the middle gives way, ends tell more.

    >>> short("a\nb"), short("abcdefghijkl", 7)
    ('a\\x0ab', 'abc…jkl')
    """
    # Cut before making visible as well: a name of a megabyte costs nothing.
    plain = (
        terminal(str(text)[: 4 * limit] + str(text)[-4 * limit :])
        if len(str(text)) > 8 * limit
        else terminal(text)
    )
    if len(plain) <= limit:
        return plain
    tail = (limit - 1) // 2
    return plain[: limit - 1 - tail] + "…" + plain[len(plain) - tail :]


def named(text: object, limit: int = 40) -> str:
    """HTML of a name: `short`, with the longer form where the pointer rests."""
    brief, long = short(text, limit), short(text, 200)
    if brief == long:
        return html_text(brief)
    return f'<span title="{html_attribute(long)}">{html_text(brief)}</span>'


def percent(part: float | None, places: int = 1) -> str:
    """A share as per cent; never 100 when a part is missing, never 0 when one is there.

    >>> percent(0.98611), percent(0.99999), percent(1.0)
    ('98.6\\u202f%', '99.9\\u202f%', '100.0\\u202f%')
    """
    if share(part) is None or part is None:
        return NONE
    scale = 10**places
    points = 100 * part * scale
    if abs(points - round(points)) < 1e-6:  # 0.29 * 100 is 28.999999999999996
        points = round(points)
    elif points > 100 * scale - 1:
        points = math.floor(points)
    elif 0 < points < 1:
        points = math.ceil(points)
    return f"{round(points) / scale:.{places}f}{_THIN}%"


def digits(value: float | None, significant: int = 3) -> str:
    """A number with so many significant digits, and no exponent where it can be read without.

    >>> digits(0.0612345), digits(2.3026), digits(1.2e-7), digits(0.0)
    ('0.0612', '2.30', '1.20e-07', '0')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if not -5 < power < 7:
        return f"{value:.{significant - 1}e}"
    return f"{value:,.{max(0, significant - 1 - power)}f}"


def count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def magnitude(value: float | None) -> str:
    """A count in thousands, millions, ... with three digits.

    >>> magnitude(9408), magnitude(272_474), magnitude(1.814e9), magnitude(512)
    ('9.41\\u202fk', '272\\u202fk', '1.81\\u202fG', '512')
    """
    if value is None or not math.isfinite(value):
        return NONE
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{digits(value / factor)}{_THIN}{unit}"
    return f"{value:,.0f}"


def size(num_bytes: float | None) -> str:
    """Bytes in decimal units.

    >>> size(412_300), size(1.5e9)
    ('412\\u202fkB', '1.50\\u202fGB')
    """
    if num_bytes is None:
        return NONE
    text = magnitude(num_bytes)
    return f"{text}B" if _THIN in text else f"{text}{_THIN}B"


def duration(seconds: float | None) -> str:
    """A time a person reads at a glance.

    >>> duration(0.42), duration(48.3), duration(672), duration(4320)
    ('0.42\\u202fs', '48\\u202fs', '11\\u202fmin', '1\\u202fh 12\\u202fmin')
    """
    if seconds is None or seconds < 0:
        return NONE
    if seconds < 9.95:
        return f"{digits(seconds, 2)}{_THIN}s"
    if seconds < 120:
        return f"{seconds:.0f}{_THIN}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes}{_THIN}min"
    return f"{minutes // 60:,}{_THIN}h {minutes % 60}{_THIN}min"


def together(sentences: Sequence[str]) -> str:
    """Sentences one after the other; Chinese ones have no space between them."""
    return ("" if languages.current() == "zh" else " ").join(sentences)


def spoken(message: Any, *, limit: int = 400, depth: int = 3) -> str:
    """A message of a run folder in the reader's language, as plain text.

    It is either text, or `{"template", "values"}` with an English template; a value may be such a
    message itself. The template is of unknown origin, so places are filled one by one:
    `str.format` would obey it.
    """
    if not isinstance(message, Mapping):
        return short(message, limit) if isinstance(message, str) else ""
    values = message.get("values")
    known = values if isinstance(values, Mapping) else {}
    template = str(message.get("template") or message.get("text") or "")[:2000]

    def fill(place: re.Match[str]) -> str:
        value = known.get(place[1], place[0])
        plain = number(value)
        if place[2] and plain is not None:
            return format(value if type(value) is int else plain, place[2][1:])
        if isinstance(value, list | tuple):
            value = ", ".join(str(each) for each in value[:20])
        if isinstance(value, Mapping) and depth:
            return spoken(value, limit=limit, depth=depth - 1)
        return short(value, 120)

    return short(_PLACE.sub(fill, say(template)), limit)


# A place such as {count}, {share:.1%} or {total:,}; no width, no attribute, no index.
_PLACE = re.compile(r"\{(\w+)(:,?(?:\.\d)?[efg%]?)?\}")
