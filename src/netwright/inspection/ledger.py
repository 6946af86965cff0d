"""The account kept during one pass: every tensor alive, what it sees, and each operation that ran.

A tensor of the pass is a carrier: a meta tensor, which has a shape and no values. The ledger knows
each carrier by its identity while it lives, and forgets it when Python does; so what lives at once
is what would live in a real forward pass. Weights are never carriers: they are read as they are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor

from netwright.arithmetic.fields import TensorField
from netwright.inspection.overwriting import BOUND, overwritten
from netwright.records.inspection import AxisField, Operation, Shape

META = torch.device("meta")
Field = TensorField | None
"""What a tensor sees; None: nothing of the inputs, as a weight or a constant."""

_EMPTY: tuple[Any, ...] = ()
_unguarded = torch._C._DisableTorchDispatch


class NeedsValuesError(BaseException):
    """The network asks for the value of a tensor, which a carrier does not have.

    No `Exception`, so that a network that catches its own failures does not catch it.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation


_Fact = TypeVar("_Fact")


def made(kind: type[_Fact], facts: dict[str, Any]) -> _Fact:
    """A frozen record of all its `facts`, a fraction as dear as by its constructor: a pass makes
    some thousand of them. The dict becomes the record's own."""
    record = object.__new__(kind)
    object.__setattr__(record, "__dict__", facts)
    return record


class Storage:
    """Memory that one tensor or several share."""

    __slots__ = ("alive", "bytes", "members")

    def __init__(self, size: int) -> None:
        self.bytes = size
        self.alive = 0
        self.members: set[int] = set()


class Known(weakref.ref):  # type: ignore[type-arg]
    """What the ledger knows of one carrier, kept until the carrier dies."""

    __slots__ = ("bytes", "field", "key", "origin", "shape", "storage", "value", "weights")

    shape: Shape
    bytes: int
    field: Field
    origin: int | None
    """Number of the operation (or input) that made it; None for what no operation made."""
    weights: tuple[str, ...]
    """Paths of the parameters it is a view of."""
    storage: Storage
    value: Tensor | None
    key: int


class Ledger:
    """See the module. `axes` is how many spatial axes of inputs are followed."""

    def __init__(self, paths: dict[int, str], axes: int, *, concrete: bool, device: Any) -> None:
        self.axes = axes
        self.concrete = concrete
        self.device = device
        self.known: dict[int, Known] = {}
        self.operations: list[Operation] = []
        self.used: set[int] = set()
        self.layer = ""
        self.live = self.peak = 0
        self.written: list[int] = [0]
        """Bytes of new results after so many operations."""
        self.notes: dict[str, None] = {}
        self.compute: Callable[[], Any] | None = None
        self._paths = paths
        self._blank: tuple[AxisField, ...] = TensorField.blank((), axes).axes() if axes else ()
        self._twins: dict[int, tuple[Tensor, Tensor]] = {}
        self._sizes: dict[int, tuple[Tensor, int]] = {}
        self.geometry: dict[Any, Any] = {}
        """What a rule worked out from shapes and settings alone, for the next such layer."""
        self._originals: dict[int, int] = {}
        self.overwritten: set[int] = set()
        self.constants: set[int] = set()
        """Carriers whose values are known."""

    # --- tensors ---------------------------------------------------------------------------

    def fresh(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A new contiguous carrier (in a concrete pass: what the operation really gives)."""
        if self.compute is not None:
            return self.ask()
        guard = _unguarded()
        out = torch.empty(shape, dtype=dtype, device=META)
        del guard
        return out

    def ask(self) -> Any:
        """What torch itself gives for the call under way, not listened to."""
        assert self.compute is not None
        guard = _unguarded()
        try:
            return self.compute()
        finally:
            del guard

    def adopt(
        self,
        tensor: Tensor,
        field: Field,
        origin: int | None,
        storage: Storage | None = None,
        weights: tuple[str, ...] = (),
    ) -> Known:
        """Know `tensor` from now on."""
        known = Known(tensor, self._forget)
        known.key = key = id(tensor)
        known.shape = shape = tuple(tensor.shape)
        known.bytes = size = prod(shape) * tensor.dtype.itemsize
        known.field = field
        known.origin = origin
        known.weights = weights
        known.value = None
        if storage is None:
            storage = Storage(size)
            self.live += size
            if self.live > self.peak:
                self.peak = self.live
        storage.alive += 1
        storage.members.add(key)
        known.storage = storage
        self.known[key] = known
        return known

    def _forget(self, known: Any) -> None:
        storage = known.storage
        storage.alive -= 1
        storage.members.discard(known.key)
        if not storage.alive:
            self.live -= storage.bytes
        key = known.key
        if self.known.get(key) is known:
            del self.known[key]
            self.constants.discard(key)

    def field(self, tensor: Any) -> Field:
        known = self.known.get(id(tensor))
        return None if known is None else known.field

    def twin(self, tensor: Tensor) -> Tensor:
        """The carrier that stands for a real weight, buffer or constant; one for each."""
        if id(tensor) in self.known:
            return tensor
        found = self._twins.get(id(tensor))
        if found is None:
            if tensor.is_meta and type(tensor) in (Tensor, torch.nn.Parameter):
                return tensor
            if tensor.layout is not torch.strided or tensor.is_quantized:
                kind = "quantized" if tensor.is_quantized else str(tensor.layout)
                raise NeedsValuesError(kind)
            guard = _unguarded()
            twin = torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META
            )
            del guard
            found = self._twins[id(tensor)] = (tensor, twin)
            path = self._paths.get(id(tensor))
            if path is not None:
                self._paths[id(twin)] = path
                self._originals[id(twin)] = id(tensor)
        return found[1]

    def value(self, tensor: Tensor) -> Tensor | None:
        """The values of a constant, where they are known without computing the network."""
        known = self.known.get(id(tensor))
        if known is not None:
            return known.value
        if tensor.is_meta or id(tensor) in self._paths or id(tensor) in self.overwritten:
            return None
        return tensor if tensor.numel() <= SMALL else None

    def keep_value(self, carrier: Tensor, value: Tensor) -> None:
        known = self.known.get(id(carrier))
        if known is not None:
            known.value = value
            self.constants.add(known.key)

    def all_constant(self, args: Iterable[Any]) -> bool:
        """Whether there are tensors among `args` and the values of all are known."""
        found = False
        for each in args:
            if isinstance(each, Tensor):
                if id(each) not in self.constants:
                    return False
                found = True
            elif isinstance(each, list | tuple):
                if any(isinstance(e, Tensor) and id(e) not in self.constants for e in each):
                    return False
                found = found or any(isinstance(e, Tensor) for e in each)
        return found

    def drop_values(self, carrier: Tensor) -> None:
        """Forget the values of a constant that something unknown was written into."""
        known = self.known.get(id(carrier))
        if known is not None:
            for key in known.storage.members:
                self.constants.discard(key)
                self.known[key].value = None

    # --- operations ------------------------------------------------------------------------

    def note(
        self,
        name: str,
        reads: Iterable[Any],
        out: Any,
        field: Field = None,
        *,
        macs: int = 0,
        other: int = 0,
        options: tuple[tuple[str, Any], ...] = (),
        ruled: bool = True,
        fields: Sequence[Field] | None = None,
        of: Tensor | None = None,
        inplace: bool = False,
    ) -> Any:
        """Write down an operation that ran; gives `out` (a tensor, or several) back.

        `reads` are all tensors it read, weights too. `of`: the tensor whose memory `out` shares,
        for a view. `inplace`: `out` is one of the tensors read, written over. `fields` are the
        fields of several results, `field` that of the only one.
        """
        known = self.known
        number = len(self.operations)
        inputs: list[int] = []
        weights: list[str] = []
        read = 0
        for each in reads:
            if each is None:
                continue
            seen = known.get(id(each))
            if seen is not None:
                if seen.origin is not None and seen.origin not in inputs:
                    inputs.append(seen.origin)
                if seen.weights:
                    weights.extend(w for w in seen.weights if w not in weights)
                read += seen.bytes
            else:
                path = self._paths.get(id(each))
                if path is not None:
                    self.used.add(self._originals.get(id(each), id(each)))
                    if path not in weights:
                        weights.append(path)
                read += self._size(each)
        outs = (out,) if isinstance(out, Tensor) else tuple(out)
        if fields is None:
            fields = (field,) if len(outs) == 1 else (field,) * len(outs)
        wrote = fresh = 0
        for each, sight in zip(outs, fields, strict=False):
            seen = known.get(id(each))
            if seen is not None:
                if inplace:
                    wrote += seen.bytes
                    if seen.value is not None:
                        self.drop_values(each)
                    self._overwrite(seen, sight, number)
                else:  # the very tensor that came in
                    seen.origin = number
                continue
            if of is not None:
                base = known.get(id(of))
                if base is not None:
                    self.adopt(each, sight, number, base.storage, base.weights)
                else:
                    path = self._paths.get(id(of))
                    storage = _weight_storage()
                    self.adopt(each, sight, number, storage, () if path is None else (path,))
            else:
                if inplace:  # a buffer or weight written over
                    self.overwritten.add(id(each))
                    wrote += self._size(each)
                    continue
                size = self.adopt(each, sight, number).bytes
                wrote += size
                fresh += size
        if of is not None:
            read = wrote = 0
        first = fields[0] if fields else None
        facts = {
            "number": number,
            "name": name,
            "layer": self.layer,
            "inputs": tuple(inputs),
            "output": tuple(outs[0].shape) if outs else (),
            "macs": macs,
            "other_ops": other,
            "bytes_read": read,
            "bytes_written": wrote,
            "weights": tuple(weights) if weights else _EMPTY,
            "options": options,
            "fields": self._blank if first is None else first.axes(),
            "ruled": ruled,
            "view": of is not None,
        }
        self.operations.append(made(Operation, facts))
        self.written.append(self.written[-1] + fresh)
        return out

    def axes_of(self, tensor: Any) -> tuple[AxisField, ...]:
        field = self.field(tensor)
        return self._blank if field is None else field.axes()

    def _overwrite(self, known: Known, field: Field, number: int) -> None:
        """A tensor was written in place: so were those that share its memory."""
        known.field = field
        known.origin = number
        storage = known.storage
        if storage.alive > 1:
            found = [self.known.get(key) for key in storage.members]
            others = [each for each in found if each is not None and each is not known]
            for each in others:
                each.origin = number
            if overwritten(known, others, self.axes):
                self.remark(BOUND)

    def _size(self, tensor: Any) -> int:
        found = self._sizes.get(id(tensor))
        if found is None:
            size = prod(tensor.shape) * tensor.dtype.itemsize
            found = self._sizes[id(tensor)] = (tensor, size)
        return found[1]

    def remark(self, note: str) -> None:
        self.notes[note] = None

    # --- fields ----------------------------------------------------------------------------

    def union(self, out: Shape, tensors: Iterable[Any]) -> Field:
        """What an elementwise operation on `tensors` sees."""
        found: list[TensorField] = []
        for each in tensors:
            field = self.field(each)
            if field is not None:
                found.append(field)
        if not found:
            return None
        if len(found) == 1 and found[0].shape == out:
            return found[0]
        return TensorField.join(out, *found)

    def unknown(self, out: Shape, tensors: Iterable[Any], why: str) -> Field:
        for each in tensors:
            field = self.field(each)
            if field is not None:
                return field.unknown(out, why)
        return None

    def everything(self, out: Shape, tensors: Iterable[Any]) -> Field:
        """What each element of a result sees that all elements of `tensors` go into."""
        found = []
        for each in tensors:
            field = self.field(each)
            if field is not None:
                found.append(field.reduced(tuple(range(len(field.shape))), False))
        return TensorField.join(out, *found) if found else None


SMALL = 16384  # elements of a constant that is still worth having with its values


def _weight_storage() -> Storage:
    return Storage(0)
