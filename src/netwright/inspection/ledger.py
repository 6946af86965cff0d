"""The account kept during one pass: each operation that ran, with what it read and wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor

from netwright.arithmetic.fields import TensorField
from netwright.inspection.carriers import META, Carriers, Field, Known, Storage
from netwright.inspection.overwriting import BOUND, overwritten
from netwright.records.inspection import AxisField, Operation, Shape

_EMPTY: tuple[Any, ...] = ()
_new = object.__new__
_set = object.__setattr__
_empty = torch.empty_strided
_unguarded = torch._C._DisableTorchDispatch


_Fact = TypeVar("_Fact")


def made(kind: type[_Fact], facts: dict[str, Any]) -> _Fact:
    """A frozen record of all its `facts`, a fraction as dear as by its constructor: a pass makes
    some thousand of them. The dict becomes the record's own."""
    record = _new(kind)
    _set(record, "__dict__", facts)
    return record


class Ledger(Carriers):
    """`axes` is how many spatial axes of inputs are followed, `paths` the parameters' by id."""

    def __init__(self, paths: dict[int, str], axes: int, *, concrete: bool, device: Any) -> None:
        super().__init__(paths)
        self.axes = axes
        self.concrete = concrete
        self.device = device
        self.operations: list[Operation] = []
        self.used: set[int] = set()
        self.layer = ""
        self.written: list[int] = [0]
        """Bytes of new results after so many operations."""
        self.notes: dict[str, None] = {}
        self.compute: Callable[[], Any] | None = None
        self.geometry: dict[Any, Any] = {}
        """What a rule worked out from shapes and settings alone, for the next such layer."""
        self.blank: tuple[AxisField, ...] = TensorField.blank((), axes).axes() if axes else ()
        """The facts of what sees nothing."""
        self._held: dict[int, _Held] = {}

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
        number = len(self.operations)
        inputs, weights, read = self._read(reads)
        known = self.known
        fresh = 0
        if of is None and not inplace and fields is None and isinstance(out, Tensor):
            # The hot case: one new tensor; or the very one that came in.
            seen = known.get(id(out))
            if seen is None:
                seen = self.adopt(out, field, number)
                wrote = fresh = seen.bytes
                shape = seen.shape
            else:
                seen.origin = number
                wrote = 0
                shape = tuple(out.shape)
        elif inplace and fields is None and id(out) in known:
            seen = known[id(out)]
            shape = seen.shape
            wrote = seen.bytes
            if seen.value is not None:
                self.drop_values(out)
            self._overwrite(seen, field, number)
        else:
            outs = (out,) if isinstance(out, Tensor) else tuple(out)
            if fields is None:
                fields = (field,) * len(outs)
            field = fields[0] if fields else None
            shape = tuple(outs[0].shape) if outs else ()
            wrote, fresh = self._results(number, outs, fields, of, inplace)
            if of is not None:
                read = wrote = 0
        facts = {
            "number": number,
            "name": name,
            "layer": self.layer,
            "inputs": inputs,
            "output": shape,
            "macs": macs,
            "other_ops": other,
            "bytes_read": read,
            "bytes_written": wrote,
            "weights": weights,
            "options": options,
            "fields": self.blank if field is None else field.axes(),
            "ruled": ruled,
            "view": of is not None,
        }
        operation = _new(Operation)
        _set(operation, "__dict__", facts)
        self.operations.append(operation)
        self.written.append(self.written[-1] + fresh)
        return out

    def make(
        self,
        name: str,
        reads: Iterable[Any],
        shape: Shape,
        dtype: torch.dtype,
        field: Field,
        *,
        macs: int = 0,
        other: int = 0,
        options: tuple[tuple[str, Any], ...] = (),
    ) -> Tensor:
        """The one new result of an operation, written down: `fresh` and `note` in one step, which
        most operations of most networks are."""
        if self.compute is not None:
            out: Tensor = self.ask()
            self.note(name, reads, out, field, macs=macs, other=other, options=options)
            return out
        strides, count = self._layouts.get(shape) or self._layout(shape)
        guard = _unguarded()  # and no `empty`: it takes twice as long
        out = _empty(shape, strides, dtype=dtype, device=META)
        del guard
        number = len(self.operations)
        inputs, weights, read = self._read(reads)
        known = Known(out, self._forget)
        known.key = key = id(out)
        known.shape = shape
        known.bytes = size = count * dtype.itemsize
        known.field = field
        known.origin = number
        known.weights = _EMPTY
        known.value = None
        known.storage = storage = Storage(size)
        storage.alive = 1
        storage.members.add(key)
        self.known[key] = known
        self.live += size
        if self.live > self.peak:
            self.peak = self.live
        operation = _new(Operation)
        facts = {
            "number": number,
            "name": name,
            "layer": self.layer,
            "inputs": inputs,
            "output": shape,
            "macs": macs,
            "other_ops": other,
            "bytes_read": read,
            "bytes_written": size,
            "weights": weights,
            "options": options,
            "fields": self.blank if field is None else field.axes(),
            "ruled": True,
            "view": False,
        }
        _set(operation, "__dict__", facts)
        self.operations.append(operation)
        self.written.append(self.written[-1] + size)
        return out

    def _read(self, reads: Iterable[Any]) -> tuple[tuple[int, ...], tuple[str, ...], int]:
        """The operations that made `reads`, the weights among them, and their bytes."""
        inputs: tuple[int, ...] = _EMPTY
        weights: tuple[str, ...] = _EMPTY
        read = 0
        known, held = self.known, self._held
        for each in reads:
            key = id(each)
            seen = known.get(key)
            if seen is not None:
                origin = seen.origin
                if origin is not None and origin not in inputs:
                    inputs += (origin,)
                if seen.weights:
                    weights += tuple([w for w in seen.weights if w not in weights])
                read += seen.bytes
            elif each is not None:
                _, path, size = held.get(key) or self._hold(each)
                if path is not None and path not in weights:
                    weights += (path,)
                read += size
        return inputs, weights, read

    def _results(
        self,
        number: int,
        outs: tuple[Tensor, ...],
        fields: Sequence[Field],
        of: Tensor | None,
        inplace: bool,
    ) -> tuple[int, int]:
        """Know the results of operation `number`; the bytes it wrote, and those that are new."""
        wrote = fresh = 0
        for each, sight in zip(outs, fields, strict=False):
            seen = self.known.get(id(each))
            if seen is not None:
                if inplace:
                    wrote += seen.bytes
                    if seen.value is not None:
                        self.drop_values(each)
                    self._overwrite(seen, sight, number)
                else:  # the very tensor that came in
                    seen.origin = number
            elif of is not None:
                base = self.known.get(id(of))
                if base is not None:
                    self.adopt(each, sight, number, base.storage, base.weights)
                else:
                    path = self._paths.get(id(of))
                    self.adopt(each, sight, number, Storage(0), () if path is None else (path,))
            elif inplace:  # a buffer or weight written over
                self.overwritten.add(id(each))
                wrote += prod(each.shape) * each.dtype.itemsize
            else:
                size = self.adopt(each, sight, number).bytes
                wrote += size
                fresh += size
        return wrote, fresh

    def _hold(self, tensor: Tensor) -> _Held:
        """Remember a weight, buffer or constant that was read; the parameter is used from now."""
        key = id(tensor)
        path = self._paths.get(key)
        if path is not None:
            self.used.add(self._originals.get(key, key))
        found = self._held[key] = (tensor, path, tensor.numel() * tensor.dtype.itemsize)
        return found

    def axes_of(self, tensor: Any) -> tuple[AxisField, ...]:
        field = self.field(tensor)
        return self.blank if field is None else field.axes()

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


_Held = tuple[Tensor, str | None, int]
"""What is read and is no carrier (held, so that its id stays its own), its path, its bytes."""
