"""One forward pass without values, and all that is to know about a network from it."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from typing import Any

import torch
from torch import Tensor, nn

from netwright.arithmetic.fields import TensorField
from netwright.inspection.calls import Listener
from netwright.inspection.ledger import META, Ledger, NeedsValuesError
from netwright.inspection.modes import Functions, Operations
from netwright.inspection.refusals import check_call, lazy_layers, opened, refuse, without_values
from netwright.inspection.rows import record_of
from netwright.inspection.rules.registry import tensors_in
from netwright.inspection.untouched import untouched
from netwright.records.inspection import InspectionRecord

_ONE_AT_A_TIME = threading.RLock()


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
    model = opened(model, notes)
    check_call(model, args, kwargs)
    if lazy_layers(model):
        model = copy.deepcopy(model)
        notes.append("Lazy layers were given their shapes on a copy.")
    with _ONE_AT_A_TIME:
        try:
            done = _Pass(model, args, kwargs, concrete=False).run(training)
        except NeedsValuesError as asked:
            why = asked.operation
            twin, inputs, names = without_values(model, args, kwargs, why)
            notes.append(f"The network asks for values ({why}): it was computed.")
            try:
                done = _Pass(twin, inputs, names, concrete=True).run(training)
            except NeedsValuesError as again:
                raise refuse_quantized(again) from again
    return record_of(
        done, model=name or type(model).__name__, notes=notes, seconds=time.perf_counter() - began
    )


def refuse_quantized(asked: NeedsValuesError) -> Exception:
    from netwright.core.errors import SettingError

    return SettingError("The network cannot be run without values: {what}.", what=asked.operation)


class _Pass:
    """One pass over one network: the carriers of its inputs, the ledger and the calls."""

    def __init__(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *, concrete: bool
    ) -> None:
        self.model = model
        self.given = (args, kwargs)
        self.concrete = concrete
        self.inputs = list(_distinct(tensors_in((args, kwargs))))
        self.spatial = tuple(
            (number, dim)
            for number, each in enumerate(self.inputs)
            for dim in _spatial_dims(model, each)
        )
        self.parameters = parameter_paths(model)
        paths = {id(parameter): names[0] for parameter, names in self.parameters}
        self.ledger = Ledger(
            paths, len(self.spatial), concrete=concrete, device=_device(self.parameters)
        )
        self.listener = Listener(self.ledger)
        self.output: Any = None

    def run(self, training: bool) -> _Pass:
        modules = {module: path for path, module in self.model.named_modules()}
        with contextlib.ExitStack() as stack:
            stack.enter_context(untouched(self.model, training=training))
            args, kwargs = self._carriers()
            stack.enter_context(self.listener.on(modules))
            stack.enter_context(Operations(self.ledger))
            stack.enter_context(Functions(self.ledger))
            try:
                self.output = self.model(*args, **kwargs)
            except NeedsValuesError:
                raise
            except Exception as error:
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
            field = (
                TensorField.of_input(tuple(tensor.shape), axes, ledger.axes) if axes else None
            )
            ledger.adopt(carrier, field, -1 - number)
            if not self.concrete and not tensor.dtype.is_floating_point and not tensor.is_meta:
                if type(tensor) is Tensor and tensor.numel() <= 4096 and tensor.device.type == "cpu":
                    ledger.keep_value(carrier, tensor.detach().clone())
        return _replaced(self.given, made)


def parameter_paths(model: nn.Module) -> list[tuple[nn.Parameter, tuple[str, ...]]]:
    """Each distinct parameter with all its paths, in the order of `named_parameters`."""
    found: dict[int, tuple[nn.Parameter, list[str]]] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        found.setdefault(id(parameter), (parameter, []))[1].append(path)
    return [(parameter, tuple(paths)) for parameter, paths in found.values()]


def _device(parameters: list[tuple[nn.Parameter, tuple[str, ...]]]) -> torch.device:
    for parameter, _ in parameters:
        if parameter.device.type != "meta":
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


def _spatial_dims(model: nn.Module, tensor: Tensor) -> tuple[int, ...]:
    """The spatial dimensions of an image-like input: all after batch and channels; of an image
    without a batch all after its channels, where the network's convolutions say so."""
    rank = tensor.ndim
    if not tensor.dtype.is_floating_point or not 3 <= rank <= 5:
        return ()
    axes = _axes_of_layers(model)
    if rank - 2 in axes or rank > 3 and rank - 1 not in axes:
        return tuple(range(2, rank))
    if rank - 1 in axes:
        return tuple(range(1, rank))
    return ()


def _axes_of_layers(model: nn.Module) -> set[int]:
    """How many spatial axes the convolutions and pools of a network have."""
    found = set()
    for module in model.modules():
        kind = type(module).__name__
        if kind[-2:] in ("1d", "2d", "3d") and ("Conv" in kind or "Pool" in kind):
            found.add(int(kind[-2]))
    return found
