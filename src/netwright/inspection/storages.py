"""The storages a step allocates, each from its birth to its end: a ledger over its moments.

A tensor is a view of a storage; memory is taken by storages, so these are counted, once each. A
moment is an operation that allocated something; a storage that dies between two moments is
alive at the first and gone at the second.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from itertools import accumulate

from torch import Tensor

from netwright.records.memory import Moment


@dataclass(eq=False)
class Storage:
    """One storage: `born` at a moment, gone at moment `died` (None: it outlives the step)."""

    kind: str
    bytes: int
    born: int
    died: int | None = None


@dataclass
class Ledger:
    """Every storage that was seen, and every moment with the scratch its operation takes."""

    moments: list[Moment] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)
    storages: list[Storage] = field(default_factory=list)
    _alive: dict[int, tuple[Storage, weakref.ref[object]]] = field(default_factory=dict)

    def admit(self, tensor: Tensor, kind: str) -> Storage:
        """The storage of `tensor`, entered as one of `kind` if it is new; born at this moment,
        the one that `happened` adds next."""
        memory = tensor.untyped_storage()
        key = memory._cdata
        known = self._alive.get(key)
        if known is not None:
            return known[0]
        storage = Storage(kind, memory.nbytes(), born=len(self.moments))
        self._alive[key] = (storage, weakref.ref(memory, lambda _: self._ended(key)))
        self.storages.append(storage)
        return storage

    def find(self, tensor: Tensor) -> Storage | None:
        """The storage of `tensor` if it was seen."""
        known = self._alive.get(tensor.untyped_storage()._cdata)
        return known[0] if known else None

    def happened(self, moment: Moment, scratch: int) -> None:
        """The moment the storages admitted last were born at is over."""
        self.moments.append(moment)
        self.scratch.append(scratch)

    def alive(self) -> list[Storage]:
        return [storage for storage, _ in self._alive.values()]

    def totals(self) -> list[int]:
        """The bytes alive at each moment, with the scratch of its operation."""
        change = [0] * (len(self.moments) + 1)
        for each in self.storages:
            # What is born after the last operation, or dies before it ran, is in no moment.
            change[min(each.born, len(self.moments))] += each.bytes
            if each.died is not None:
                change[each.died] -= each.bytes
        held = accumulate(change)
        return [live + extra for live, extra in zip(held, self.scratch, strict=False)]

    def parts(self, moment: int) -> dict[str, int]:
        """The bytes of the storages alive at `moment` by their kind."""
        found: dict[str, int] = {}
        for each in self.storages:
            if each.born <= moment and (each.died is None or each.died > moment):
                found[each.kind] = found.get(each.kind, 0) + each.bytes
        return found

    def rewind(self, moment: int, kind: str) -> int:
        """Forget the moments from `moment` on, as if what they left had been there from the
        first; that becomes of `kind`, and its bytes are returned."""
        for each in self.storages:
            if each.died is not None:
                each.died = min(each.died, moment)
        self.storages = [each for each in self.storages if each.born < moment or each.died is None]
        left = [each for each in self.storages if each.born >= moment]
        for each in left:
            each.born, each.kind = 0, kind
        del self.moments[moment:], self.scratch[moment:]
        return sum(each.bytes for each in left)

    def _ended(self, key: int) -> None:
        storage, _ = self._alive.pop(key)
        storage.died = len(self.moments)
