"""What many conditions ask of one record, worked out once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from netwright.records.record import Record

T = TypeVar("T")


def once(asked: Callable[[Record], T]) -> Callable[[Record], T]:
    """`asked`, which remembers its answer for as long as the record is there.

    >>> facts = once(lambda record: print("counted") or len(record))
    >>> record = Record()
    >>> facts(record) + facts(record)
    counted
    0
    """
    known: WeakKeyDictionary[Record, T] = WeakKeyDictionary()

    @functools.wraps(asked)
    def answer(record: Record) -> T:
        if record not in known:
            known[record] = asked(record)
        return known[record]

    return answer
