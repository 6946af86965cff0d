"""An inspection as the command line asks for it: names, and inputs written as text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from netwright.core.errors import SettingError, nearest
from netwright.nn.activations import ACTIVATIONS
from netwright.nn.initialisers import INITIALISERS
from netwright.records.initial_state import InitialState
from netwright.tasks.first_images import first_images
from netwright.tasks.inspectable import find_inspectable
from netwright.tasks.inspecting import inspect_found
from netwright.tasks.inspection import Inspection

_INPUT = re.compile(r"(-?\d+(?:[x×,*]-?\d+)*)(?::(\w+))?", re.ASCII)

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "uint8": torch.uint8,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}

_MOST = 2**46  # elements: beyond this a size is a slip of the finger, and torch overflows


def inspect_asked(
    model: str,
    inputs: Sequence[str],
    *,
    options: Mapping[str, Any],
    batch: int = 1,
    trust_code: bool = False,
) -> Inspection:
    """The inspection of what `model` names on `inputs` such as `3x224x224`, each of one sample.

    Raises `SettingError` for an input that is none.
    """
    samples = [parse_input(each) for each in inputs]
    first = samples[0][0] if samples else None
    found = find_inspectable(model, options=options, sample=first, trust_code=trust_code)
    if not samples and found.sample is not None:
        samples = [(found.sample, torch.float32)]
    return inspect_found(found, [_batch(size, dtype, batch) for size, dtype in samples])


def initial_asked(found: Inspection, data: str) -> InitialState:
    """The initial state on images of `data`, or on `noise`."""
    return found.initial_state(*_first_batch(found, data))


def initials_asked(
    found: Inspection, data: str, *, init: str | None, act: str | None
) -> tuple[InitialState, ...]:
    """The same for each named initialiser and activation, on fresh copies. Names stand with commas
    between them, or `all`; without `init` all are taken, without `act` the network keeps its own.
    """
    images, target = _first_batch(found, data)
    return found.initial_states(
        images,
        target,
        initialisers=_chosen(init, INITIALISERS.names()),
        activations=_chosen(act, ACTIVATIONS.names()),
    )


def _chosen(names: str | None, every: Sequence[str]) -> list[str]:
    """
    >>> _chosen("he, xavier", []), _chosen("all", ["he"]), _chosen(None, ["he"])
    (['he', 'xavier'], ['he'], [])
    """
    if names == "all":
        return list(every)
    return [each.strip() for each in (names or "").split(",") if each.strip()]


def _first_batch(found: Inspection, data: str) -> tuple[Any, torch.Tensor | None]:
    """Images and targets of `data`; neither for `noise`, which the inspection draws itself."""
    if data == "noise":
        return None, None
    if not found.record.inputs or len(found.record.inputs[0]) != 4:
        raise SettingError(
            "{model} takes no images: its start can be looked at on noise.",
            hint="--initial noise",
            model=found.record.model or found.record.kind,
        )
    images, target = first_images(data, found.record.inputs[0][1:])
    classes = found.outputs[0][-1] if found.outputs and len(found.outputs[0]) == 2 else 0
    if int(target.max()) >= classes:  # its loss is not one over these classes
        return images, None
    return images, target


def parse_input(text: str) -> tuple[tuple[int, ...], torch.dtype]:
    """The shape and type of one sample.

    >>> parse_input("3x224x224"), parse_input("16:int64")
    (((3, 224, 224), torch.float32), ((16,), torch.int64))
    """
    match = _INPUT.fullmatch(text.strip())
    if match is None:
        raise SettingError(
            '--input: "{text}" is no shape.',
            hint="Expected sizes of one sample such as 3x224x224, with a type where it is not "
            "float32, as in 16:int64.",
            text=text,
        )
    sizes = tuple(int(each) for each in re.split(r"[x×,*]", match[1]))
    if min(sizes) < 1:
        raise SettingError(
            '--input: "{text}" has a size of {size}; sizes are at least 1.',
            hint="Expected sizes of one sample such as 3x224x224.",
            text=text,
            size=min(sizes),
        )
    if math.prod(sizes) > _MOST:
        raise SettingError(
            '--input: "{text}" holds {count} values.',
            hint="Expected sizes of one sample such as 3x224x224.",
            text=text,
            count=f"{math.prod(sizes):.3g}",
        )
    kind = match[2] or "float32"
    if kind not in DTYPES:
        near = nearest(kind, DTYPES)
        raise SettingError(
            '--input: no type called "{kind}".',
            hint="Nearest: {near}." if near else "Known: {known}.",
            kind=kind,
            near=", ".join(near),
            known=", ".join(DTYPES),
        )
    return sizes, DTYPES[kind]


def _batch(sizes: tuple[int, ...], dtype: torch.dtype, batch: int) -> Any:
    """One sample's shape as it is; a batch of several, or of another type, as a tensor: zeros
    where they cost nothing, else without values."""
    if batch == 1 and dtype == torch.float32:
        return sizes
    device = "cpu" if batch * math.prod(sizes) <= 2**22 else "meta"
    return torch.zeros((batch, *sizes), dtype=dtype, device=device)
