"""The tensors of one pass: each carrier with what it sees, its memory, and its values if known.

A tensor of the pass is a carrier: a meta tensor, which has a shape and no values. The ledger knows
each carrier by its identity while it lives, and forgets it when Python does; so what lives at once
is what would live in a real forward pass. Weights are never carriers: they are read as they are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from netwright.arithmetic.fields import TensorField
from netwright.records.inspection import Shape

META = torch.device("meta")
SMALL = 16384  # elements of a constant that is still worth having with its values
Field = TensorField | None
"""What a tensor sees; None: nothing of the inputs, as a weight or a constant."""

_unguarded = torch._C._DisableTorchDispatch


class NeedsValuesError(BaseException):
    """The network asks for the value of a tensor, which a carrier does not have.

    No `Exception`, so that a network that catches its own failures does not catch it.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation


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


class Carriers:
    """See the module; a `Ledger` is one, and enters what was done with them."""

    concrete: bool
    compute: Callable[[], Any] | None
    """What the call under way really computes, in a concrete pass."""

    def __init__(self, paths: dict[int, str]) -> None:
        self.known: dict[int, Known] = {}
        self.live = self.peak = 0
        self.overwritten: set[int] = set()
        self.constants: set[int] = set()
        """Carriers whose values are known."""
        self._paths = paths
        self._twins: dict[int, tuple[Tensor, Tensor]] = {}
        self._originals: dict[int, int] = {}
        self._layouts: dict[Shape, tuple[Shape, int]] = {}

    def fresh(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A new contiguous carrier (in a concrete pass: what the operation really gives)."""
        if self.compute is not None:
            return self.ask()
        shape = tuple(shape)
        strides, _ = self._layouts.get(shape) or self._layout(shape)
        guard = _unguarded()  # and no `empty`: it takes twice as long
        out = torch.empty_strided(shape, strides, dtype=dtype, device=META)
        del guard
        return out

    def _layout(self, shape: Shape) -> tuple[Shape, int]:
        """Strides and elements of a contiguous tensor."""
        found = self._layouts[shape] = (_contiguous(shape), prod(shape))
        return found

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


def _contiguous(shape: Shape) -> Shape:
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size or 1
    return tuple(reversed(strides))
