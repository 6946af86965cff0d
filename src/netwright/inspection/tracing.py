"""One forward pass without values, and all that is to know about a network from it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import torch
from torch import Tensor, nn

from netwright.arithmetic.fields import TensorField
from netwright.core.errors import SettingError
from netwright.inspection.anatomy import Anatomy, anatomy
from netwright.inspection.calls import Listener
from netwright.inspection.carriers import META, NeedsValuesError
from netwright.inspection.ledger import Ledger
from netwright.inspection.modes import Functions, Operations
from netwright.inspection.refusals import (
    check_call,
    copied,
    lazy_layers,
    opened,
    refuse,
    without_values,
)
from netwright.inspection.rows import record_of
from netwright.inspection.rules.registry import tensors_in
from netwright.inspection.untouched import no_collection, untouched
from netwright.records.inspection import InspectionRecord

_ONE_AT_A_TIME = threading.RLock()


@no_collection()
def trace(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    training: bool = False,
    name: str = "",
) -> InspectionRecord:
    """Run `model(*args, **kwargs)` once on shapes alone and give what was found.

    Nothing is computed and no activation allocated: weights and inputs may be real, meta or fake
    tensors, on any device. The pass is in evaluation mode unless `training`. A network that
    branches on values is copied and computed, and the record says so (`concrete`). The network,
    its mode, statistics, gradients and random numbers are left as they were. `name` is what the
    record calls it.

    Raises `SettingError` where the network cannot take its input: the message names the layer
    that refused it.

    >>> record = trace(nn.Conv2d(3, 8, 3), (torch.empty(1, 3, 32, 32),))
    >>> record.params, record.macs, record.outputs
    (224, 194400, ((1, 8, 30, 30),))
    """
    began = time.perf_counter()
    kwargs = kwargs or {}
    notes: list[str] = []
    done = _passed(model, args, kwargs, training, notes)
    return record_of(
        done, model=name or type(model).__name__, notes=notes, seconds=time.perf_counter() - began
    )


def sights_of_calls(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[TensorField | None]:
    """What each element of the first result of each call, as the record counts them, sees.

    The record holds one set of facts for each layer; where the field varies with the position
    they are a bound, and this repeats the pass of `trace` to have every position."""
    return [call.sight for call in _passed(model, args, kwargs, False, []).listener.calls]


def sight_of_call(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], number: int
) -> TensorField | None:
    """The same of call `number` alone."""
    return sights_of_calls(model, args, kwargs)[number]


def _passed(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    training: bool,
    notes: list[str],
) -> _Pass:
    """The finished pass; what is to be said of how it went is added to `notes`."""
    model = opened(model, notes)
    check_call(model, args, kwargs)
    parts = anatomy(model)
    lazy = lazy_layers(parts)
    if lazy:
        model = copied(model, parts)
        parts = anatomy(model)
        notes.append("Lazy layers were given their shapes on a copy.")
    with _ONE_AT_A_TIME:
        try:
            if lazy:
                _Pass(model, parts, args, kwargs, concrete=False).run(training, restored=False)
                parts = anatomy(model)
            done = _Pass(model, parts, args, kwargs, concrete=False).run(training)
        except NeedsValuesError as asked:
            why = asked.operation
            twin, inputs, names = without_values(model, args, kwargs, why)
            notes.append(f"The network asks for values ({why}): it was computed.")
            try:
                done = _Pass(twin, anatomy(twin), inputs, names, concrete=True).run(training)
            except NeedsValuesError as again:
                raise SettingError(
                    "{kind} cannot be run step by step: {what} has no plain form.",
                    kind=type(model).__name__,
                    what=again.operation,
                ) from again
    return done


class _Pass:
    """One pass over one network: the carriers of its inputs, the ledger and the calls."""

    def __init__(
        self,
        model: nn.Module,
        parts: Anatomy,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        concrete: bool,
    ) -> None:
        self.model = model
        self.given = (args, kwargs)
        self.concrete = concrete
        self.parts = parts
        self.inputs = list(_distinct(tensors_in((args, kwargs))))
        axes = _axes_of_layers(parts)
        self.spatial = tuple(
            (number, dim)
            for number, each in enumerate(self.inputs)
            for dim in _spatial_dims(axes, each)
        )
        paths = {id(parameter): names[0] for parameter, names in parts.parameters}
        self.ledger = Ledger(paths, len(self.spatial), concrete=concrete, device=_device(parts))
        self.listener = Listener(self.ledger)
        self.output: Any = None

    def run(self, training: bool, *, restored: bool = True) -> _Pass:
        with contextlib.ExitStack() as stack:
            stack.enter_context(untouched(self.parts, training=training, restored=restored))
            args, kwargs = self._carriers()
            stack.enter_context(self.listener.on(self.parts.modules))
            stack.enter_context(Operations(self.ledger))
            stack.enter_context(Functions(self.ledger))
            try:
                self.output = self.model(*args, **kwargs)
            except NeedsValuesError:
                raise
            except (Exception, SystemExit) as error:  # a user's code can raise anything
                raise refuse(self.model, self.listener.failure, error) from error
        return self

    def _carriers(self) -> Any:
        """Arguments with a carrier (in a concrete pass a copy) for each tensor."""
        made: dict[int, Tensor] = {}
        ledger = self.ledger
        for number, tensor in enumerate(self.inputs):
            if self.concrete:
                carrier = tensor.detach().clone()
            else:
                carrier = torch.empty_strided(
                    tuple(tensor.shape), tensor.stride(), dtype=tensor.dtype, device=META
                )
            made[id(tensor)] = carrier
            axes = {dim: axis for axis, (mine, dim) in enumerate(self.spatial) if mine == number}
            field = TensorField.of_input(tuple(tensor.shape), axes, ledger.axes) if axes else None
            ledger.adopt(carrier, field, -1 - number)
            if not self.concrete and _small_numbers(tensor):
                ledger.keep_value(carrier, tensor.detach().clone())
        return _replaced(self.given, made)


def _device(parts: Anatomy) -> torch.device:
    for parameter, _ in parts.parameters:
        if not parameter.is_meta:
            return parameter.device
    return torch.device("cpu")


def _distinct(tensors: Any) -> Any:
    seen = set()
    for each in tensors:
        if id(each) not in seen:
            seen.add(id(each))
            yield each


def _replaced(value: Any, made: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return made[id(value)]
    if isinstance(value, list):
        return [_replaced(each, made) for each in value]
    if isinstance(value, tuple):
        parts = [_replaced(each, made) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return type(value)((key, _replaced(each, made)) for key, each in value.items())
    return value


def _spatial_dims(axes: set[int], tensor: Tensor) -> tuple[int, ...]:
    """The spatial dimensions of an image-like input: all after batch and channels; of an image
    without a batch all after its channels, where the network's convolutions say so."""
    rank = tensor.ndim
    if not tensor.dtype.is_floating_point or not 3 <= rank <= 5:
        return ()
    if rank - 2 in axes or (rank > 3 and rank - 1 not in axes):
        return tuple(range(2, rank))
    if rank - 1 in axes:
        return tuple(range(1, rank))
    return ()


def _axes_of_layers(parts: Anatomy) -> set[int]:
    """How many spatial axes the convolutions and pools of a network have."""
    found = set()
    for module, _ in parts.modules:
        kind = type(module).__name__
        if kind[-2:] in ("1d", "2d", "3d") and ("Conv" in kind or "Pool" in kind):
            found.add(int(kind[-2]))
    return found


def _small_numbers(tensor: Tensor) -> bool:
    """Lengths, classes, masks: what a network may branch on, and costs nothing to keep."""
    return (
        type(tensor) is Tensor
        and not tensor.dtype.is_floating_point
        and not tensor.dtype.is_complex
        and tensor.device.type == "cpu"
        and tensor.numel() <= _SMALL
    )


_SMALL = 4096
