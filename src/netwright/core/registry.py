"""The one registry idiom: a family is a folder, a leaf file registers what it defines.

    MODELS = Registry("model", "netwright.models")

    @MODELS.register("lenet5", options=LeNet5Options)
    def lenet5(*, num_classes: int, ...) -> nn.Module: ...

The folder is read on first use, so a new leaf is one new file and no list to edit. A family whose
leaves are a line of code each may be one module, with its registry at the top.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from netwright.core.errors import UnknownNameError, fold

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[T]):
    """One leaf: its readable name, what it registered, its settings and its published facts."""

    name: str
    target: T
    options: type | None = None
    facts: MappingProxyType[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def doc(self) -> str:
        """The first line of the leaf's docstring."""
        return (self.target.__doc__ or "").strip().partition("\n")[0]


class Registry(Generic[T]):
    """The leaves of one family, found by name."""

    def __init__(self, kind: str, package: str, *, listing: str = "") -> None:
        """`kind` is the word for one leaf in messages, `package` the folder of the leaves, or the
        one module that holds them all; `listing` the command that lists them."""
        self.kind = kind
        self.package = package
        self.listing = listing
        self._entries: dict[str, Entry[T]] = {}
        self._read = False

    def register(self, name: str, *, options: type | None = None, **facts: Any) -> Callable[[F], F]:
        """A decorator that enters its function or class under `name`.

        `options` is the dataclass of its settings; `facts` is what else the family publishes
        about a leaf. A name that is taken, in any spelling, raises `ValueError`.
        """

        def enter(target: F) -> F:
            key = fold(name)
            if key in self._entries and self._entries[key].target is not target:
                raise ValueError(
                    f'{self.kind} "{name}" is registered twice: by '
                    f"{self._entries[key].target!r} and {target!r}"
                )
            self._entries[key] = Entry(
                name=name,
                target=target,  # type: ignore[arg-type]  # the decorated function is the T
                options=options,
                facts=MappingProxyType(facts),
            )
            return target

        return enter

    def get(self, name: str) -> Entry[T]:
        """The leaf called `name`; `UnknownNameError` with the nearest names if there is none."""
        entries = self._loaded()
        try:
            return entries[fold(name)]
        except KeyError:
            raise UnknownNameError(self.kind, name, self.names(), listing=self.listing) from None

    def names(self) -> list[str]:
        """Every name, in natural order (resnet20 before resnet110)."""
        return [entry.name for entry in self]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and fold(name) in self._loaded()

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(sorted(self._loaded().values(), key=lambda entry: _natural(entry.name)))

    def __len__(self) -> int:
        return len(self._loaded())

    def _loaded(self) -> dict[str, Entry[T]]:
        if not self._read:
            folder = importlib.import_module(self.package)
            for leaf in pkgutil.iter_modules(getattr(folder, "__path__", [])):
                if not leaf.name.startswith("_"):
                    importlib.import_module(f"{self.package}.{leaf.name}")
            self._read = True  # only now: a leaf that fails to import fails again, not silently
        return self._entries


def _natural(name: str) -> list[tuple[int, int, str]]:
    """The parts of a name as they are ordered: numbers by their value, before words."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]
