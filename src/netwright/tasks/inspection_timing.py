"""Where the time of a forward pass goes on the device that holds the weights of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from netwright.core.errors import SettingError
from netwright.inspection.timing import measure, timing
from netwright.records.inspection import InspectionRecord
from netwright.records.timing import Timing
from netwright.tasks.inspection_inputs import with_zeros


def estimated_timing(record: InspectionRecord, outline: nn.Module) -> Timing:
    """The roofline estimate, layer by layer; that of the CPU for an `outline` without numbers."""
    device = _device(outline)
    return timing(record, device=torch.device("cpu") if device.type == "meta" else device)


def measured_timing(
    record: InspectionRecord, model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Timing:
    """The estimate, and beside it what the layers of `model` really took. Tensors in `args` go to
    its device, and zeros stand for those without values.

    Raises `SettingError` for a network without numbers.
    """
    device = _device(model)
    if device.type == "meta":
        raise SettingError(
            "{kind} has no weights with values: nothing can be run.",
            hint="Give a module that is not on the meta device.",
            kind=type(model).__name__,
        )
    estimated = timing(record, device=device)
    return measure(
        model, tuple(with_zeros(each, device) for each in args), kwargs, estimated=estimated
    )


def _device(model: nn.Module) -> torch.device:
    return next((each.device for each in model.parameters()), torch.device("cpu"))
