"""The effective receptive field of a layer, measured by gradients (Luo et al. 2016)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netwright.arithmetic.fields import TensorField
from netwright.core.errors import SettingError
from netwright.inspection.activations import named_layer
from netwright.inspection.anatomy import anatomy
from netwright.inspection.refusals import opened
from netwright.inspection.tracing import sights_of_calls, trace
from netwright.inspection.untouched import untouched
from netwright.records.effective_field import EffectiveField
from netwright.records.inspection import AxisField, InspectionRecord

# Images whose graph is held at once.
_BATCH = 8


def noise(shape: tuple[int, ...], count: int = 16, seed: int = 0) -> Tensor:
    """`count` images (count, *shape) of standard normal noise; torch's generators stay as they
    are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator)


def effective_field(
    model: nn.Module,
    layer: str,
    images: Tensor,
    *,
    unit: tuple[int, int] | None = None,
    others: tuple[Any, ...] = (),
    named: Mapping[str, Any] | None = None,
) -> EffectiveField:
    """Which pixels of `images` (N, C, H, W) move one unit of `layer`, and how much.

    The unit is the place (row, column) of the layer's map, by default its middle, all channels
    summed; the mass of a pixel is the mean over the images of its squared gradient. The network
    runs in evaluation mode on the device of its weights, up to the layer's first run; mode,
    statistics, gradients and random numbers are left as they were. `others` and `named` are what
    forward takes beside the images; a tensor with one sample stands for each.

    Raises `UnknownNameError` for an unknown layer; `SettingError` for one that puts out no map,
    a unit outside it, and a unit that no pixel moves.

    >>> net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    >>> found = effective_field(net, "1", noise((1, 9, 9), count=2))
    >>> found.unit, found.rows, found.columns
    ((4, 4), (2, 6), (2, 6))
    """
    model = opened(model, [])  # names are those of the network inside of DataParallel
    module = named_layer(model, layer)
    if images.ndim != 4 or not len(images):
        raise SettingError(
            "An effective receptive field is measured on images (N, C, H, W); these are {given}.",
            given=tuple(images.shape),
        )
    _refuse_valueless(model)
    record = trace(model, *_beside(images[:1], others, named))  # refuses what does not fit
    summed = torch.zeros(images.shape[2:], dtype=torch.float64)
    place = unit
    with untouched(anatomy(model), training=False), torch.enable_grad():
        weight = next((each for each in model.parameters() if each.is_floating_point()), None)
        for part in images.detach().split(_BATCH):
            given = part.clone() if weight is None else part.to(weight.device, weight.dtype).clone()
            given.requires_grad_(True)
            maps = _maps(model, module, layer, _beside(given, others, named))
            place = _place(maps, layer, module, unit)
            moved = maps[:, :, place[0], place[1]].sum()
            (gradient,) = torch.autograd.grad(moved, given, allow_unused=True)
            if gradient is not None:
                summed += gradient.double().square().sum((0, 1)).cpu()
    assert place is not None
    total = float(summed.sum())
    if not total > 0 or not np.isfinite(total):
        raise SettingError(
            "No pixel moves unit {unit} of {layer} ({kind}): its gradient is {total}.",
            hint="A dead unit, or a layer behind one; try other images or another unit.",
            unit=place,
            layer=layer or "(model)",
            kind=type(module).__name__,
            total=total,
        )
    rows, columns = _theoretical(
        record, layer, place, lambda: sights_of_calls(model, *_beside(images[:1], others, named))
    )
    return EffectiveField(
        layer=layer,
        kind=type(module).__name__,
        unit=place,
        mass=(summed / total).numpy(),
        rows=rows,
        columns=columns,
        images=len(images),
    )


class _ReachedError(Exception):
    """The layer has run: what comes behind it is of no interest."""


Given = tuple[tuple[Any, ...], dict[str, Any]]


def _refuse_valueless(model: nn.Module) -> None:
    for each in model.parameters():
        if each.is_meta:
            raise SettingError(
                "{kind} has no weights with values: nothing can be run.",
                hint="Give a module that is not on the meta device.",
                kind=type(model).__name__,
            )
        if each.is_inference():
            raise SettingError(
                "{kind} was made in inference mode: no gradient can flow through it.",
                hint="Make it outside of torch.inference_mode().",
                kind=type(model).__name__,
            )


def _beside(images: Tensor, others: tuple[Any, ...], named: Mapping[str, Any] | None) -> Given:
    """The arguments of forward: the images, and one row of the other tensors for each."""

    def rows(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.ndim or len(value) != 1:
            return value
        return value.expand(len(images), *value.shape[1:])

    return (
        (images, *(rows(each) for each in others)),
        {name: rows(each) for name, each in (named or {}).items()},
    )


def _maps(model: nn.Module, module: nn.Module, layer: str, given: Given) -> Tensor:
    """What the layer puts out for `given`, (N, C, h, w), as part of the graph."""
    caught: list[Any] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        caught.append(output)
        raise _ReachedError

    handle = module.register_forward_hook(keep)
    try:
        with contextlib.suppress(_ReachedError):
            model(*given[0], **given[1])
    finally:
        handle.remove()
    if not caught:
        raise SettingError(
            "{layer} ({kind}) does not run when the network looks at an image.",
            hint="It may only hold other layers, or be part of training alone.",
            layer=layer or "(model)",
            kind=type(module).__name__,
        )
    output = caught[0]
    while isinstance(output, list | tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.ndim != 4:
        raise SettingError(
            "{layer} ({kind}) puts out no maps (N, C, H, W), so it has no unit in their middle.",
            layer=layer or "(model)",
            kind=type(module).__name__,
        )
    return output


def _place(
    maps: Tensor, layer: str, module: nn.Module, unit: tuple[int, int] | None
) -> tuple[int, int]:
    height, width = maps.shape[2:]
    if unit is None:
        return height // 2, width // 2
    row, column = unit
    if not (0 <= row < height and 0 <= column < width):
        raise SettingError(
            "{layer} ({kind}) has maps of {height}x{width}; unit {unit} is outside.",
            hint="Rows and columns are counted from 0.",
            layer=layer or "(model)",
            kind=type(module).__name__,
            height=height,
            width=width,
            unit=(row, column),
        )
    return row, column


Side = tuple[int, int] | None


def _theoretical(
    record: InspectionRecord,
    layer: str,
    unit: tuple[int, int],
    sights: Callable[[], Sequence[TensorField | None]],
) -> tuple[Side, Side]:
    """First and last row, first and last column of the unit's theoretical field, exactly: by
    `sights`, another pass, where it varies with the position."""
    number = next((k for k, each in enumerate(record.layers) if each.name == layer), None)
    if number is None or record.spatial[:2] != ((0, 2), (0, 3)):
        return None, None
    found = record.layers[number]
    if len(found.fields) < 2:
        return None, None
    exact = sights()[number] if any(each.sight == "varies" for each in found.fields) else None
    sides = []
    for axis in range(2):
        facts, length = found.fields[axis], record.inputs[0][2 + axis]
        if facts.sight == "varies" and exact is not None:
            rows = exact.rows(axis, (2, 3))
            sides.append(None if rows is None else rows.at(*unit))
        else:
            sides.append(_side(facts, unit[axis], length))
    return sides[0], sides[1]


def _side(facts: AxisField, unit: int, length: int) -> Side:
    if facts.sight == "all":
        return 0, length - 1
    if facts.sight != "window" or facts.size is None:
        return None
    assert facts.stride is not None
    assert facts.padding is not None
    first = round(unit * facts.stride) - facts.padding
    return first, first + facts.size - 1
