"""Which objects of a kind are alive, whoever holds them: a model that nobody handed over is found.

One scan takes some hundredths of a second, so it is made when something new has come up, not
every step.
"""

from __future__ import annotations

import gc
from typing import TypeVar

T = TypeVar("T")


def living(kind: type[T]) -> list[T]:
    """Every object of that class that Python's collector knows.

    >>> class Rare: ...
    >>> one = Rare()
    >>> living(Rare) == [one]
    True
    """
    # By type, not isinstance: a proxy would answer that with code of its own. There are some
    # hundred thousand objects, of some thousand types.
    objects = gc.get_objects()
    kinds = {each for each in set(map(type, objects)) if issubclass(each, kind)}
    return [each for each in objects if type(each) in kinds] if kinds else []
