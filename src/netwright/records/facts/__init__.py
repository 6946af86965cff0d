"""The kinds of facts a record can hold, by name: each is a frozen dataclass in a file here.

A fact holds numbers, words, tuples, mappings and NumPy arrays, so that it can be written down and
read back. It says what was measured and judges nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T", bound=type)

_known: dict[str, type] = {}
_names: dict[type, str] = {}


def fact(name: str) -> Callable[[T], T]:
    """A decorator that enters a frozen dataclass under `name`, its word in `record.json`.

    Raises `ValueError` for a name that is taken.
    """

    def enter(kind: T) -> T:
        if _known.get(name, kind) is not kind:
            raise ValueError(f"two kinds of facts are called {name}")
        _known[name] = kind
        _names[kind] = name
        # Arrays are taken as they are when a record is read back (a mark for pydantic).
        kind.__pydantic_config__ = {"arbitrary_types_allowed": True}  # type: ignore[attr-defined]
        return kind

    return enter


def name_of(kind: type) -> str:
    """The word of a kind of fact; `TypeError` for a class that is none."""
    try:
        return _names[kind]
    except KeyError:
        raise TypeError(f"{kind.__name__} is no fact: register it with @fact") from None


class _Facts(Mapping[str, type]):
    """Every kind of fact; the folder is read on first use."""

    _read = False

    def _all(self) -> dict[str, type]:
        if not self._read:
            for each in pkgutil.iter_modules(__path__):
                importlib.import_module(f"{__name__}.{each.name}")
            self._read = True
        return _known

    def __getitem__(self, name: str) -> type:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


FACTS: Mapping[str, type] = _Facts()
