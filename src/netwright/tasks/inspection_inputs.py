"""What an inspected network is called with: a batch for a shape, and numbers where it computes.

The pass of `nw.inspect` asks for no numbers, so it takes shapes and tensors without values; what
runs the network (a start, an effective field, measured times) puts zeros or noise in their place.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netwright.inspection.inputs import is_shape, with_samples
from netwright.records.inspection import Shape

_ZEROS = 2**22  # elements of an input given as a shape that are made, 16 MiB
_BATCH = 16  # samples of noise where a network is to compute and no batch is given


def batches(args: Sequence[Any]) -> tuple[Any, ...]:
    """`args` with a batch of one in place of each shape: zeros, for a network may branch on
    values, but no more of them than cost nothing; a larger input has none."""

    def filled(value: Any) -> Any:
        if not is_shape(value) or math.prod(value) > _ZEROS:
            return value
        return torch.zeros((1, *value))

    return with_samples(tuple(filled(each) if _positive(each) else each for each in args))


def sample_of(inputs: Sequence[Any]) -> Shape | None:
    """The shape of one sample of the first input, where that is an image."""
    if not inputs:
        return None
    first = inputs[0]
    if isinstance(first, Tensor):
        return tuple(first.shape[1:])
    return tuple(first) if is_shape(first) else None


def with_zeros(value: Any, device: torch.device) -> Any:
    """A tensor on `device`, zeros in place of one without values."""
    if not isinstance(value, Tensor):
        return value
    if value.is_meta:
        return torch.zeros(value.shape, dtype=value.dtype, device=device)
    return value.to(device)


def with_noise(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    drawn: Sequence[bool],
    network: Callable[[], nn.Module],
) -> Any:
    """Inputs as they were given, shapes and empty tensors filled with noise, in a batch that
    statistics can be taken of where all are; arguments by name if some were given so.

    `args` are whole batches; those that are `drawn` were given as shapes. `network` is asked for
    the names of its arguments, where they are needed.
    """
    generator = torch.Generator().manual_seed(0)
    beside = [each for each, was_shape in zip(args, drawn, strict=True) if not was_shape]
    alone = not any(
        isinstance(each, Tensor) and not each.is_meta for each in (*beside, *kwargs.values())
    )

    def filled(value: Any, was_shape: bool) -> Any:
        if not isinstance(value, Tensor) or not (was_shape or value.is_meta):
            return value
        shape = (
            (max(_BATCH if alone else 1, value.shape[0]), *value.shape[1:]) if value.ndim else ()
        )
        if not value.is_floating_point():
            return torch.zeros(shape, dtype=value.dtype)
        return torch.randn(shape, generator=generator, dtype=value.dtype)

    given = tuple(filled(*each) for each in zip(args, drawn, strict=True))
    if not kwargs:
        return given
    named = {name: filled(each, False) for name, each in kwargs.items()}
    bound = inspect.signature(network().forward).bind_partial(*given)
    return {**bound.arguments, **named}


def _positive(value: Any) -> bool:
    return is_shape(value) and min(value) > 0  # else `with_samples` says what is wrong
