"""Why a receptive field varies or is not known: the reasons of a record, to be said in words.

A record holds them in English. Here are the templates they were made of, which have translations.
"""

from __future__ import annotations

import functools
import re

from netwright.core.languages import Phrase

REASONS = (
    "a transposed convolution: the field depends on the phase",
    "resizing: the field depends on the position",
    "adaptive pooling that does not divide: the windows differ",
    "padding that shows the image again: the field differs at the rim",
    "a cyclic shift: the field jumps where the image ends",
    "positions were picked by index",
    "paths with different advance meet: their fields drift apart",
    "a part that sees the same everywhere meets one that moves",
    "positions were mixed in a way that is not followed",
    "neighbouring positions see the same",
    "positions of several dimensions are numbered in one row",
    "parts with fields of their own stand one behind the other",
    "every pair of positions sees its own rows",
    "unpooling by index: at most what could have been put there",
    "fold adds up windows: at most what all that lie over a position see",
    "a view as another type",
    "a complex view",
    "rows {low} to {high} of {size}: no others came through",
    "{name} has no rule",
)
"""Every `why` of an `AxisField`, as a template."""


def reason(why: str) -> Phrase:
    """`why`, in English in a record, as what can be said in another language.

    >>> reason("sort has no rule").template
    '{name} has no rule'
    """
    return matching(why, REASONS)


def matching(text: str, templates: tuple[str, ...]) -> Phrase:
    """`text` as the phrase of the template it was made of; of none, as it is."""
    for template in templates:
        found = _pattern(template).fullmatch(text)
        if found is not None:
            return Phrase(template, **found.groupdict())
    return Phrase("{text}", text=text)


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(template)))
