"""Copies of weights and states, made on the loop's thread for the thread that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Copies:
    """Copies of tensors, in the memory of the copies of the save before.

    Fresh memory costs more than the copy: the kernel clears each page first. The save before
    was written when the next one begins, so its memory is free, and the peak is the same.
    """

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    def weight(self, tensor: Tensor, name: str) -> Tensor:
        """A contiguous copy on the CPU, as safetensors wants it."""
        return self._copied(tensor, f"weights[{name!r}]", torch.contiguous_format)

    def state(self, value: Any, where: str = "state") -> Any:
        """A copy of a state that shares no memory with it, of plain types only.

        Tensors keep their layout: a fused optimizer pairs the memory of its state and the
        weights element by element.
        """
        if isinstance(value, Tensor):
            return self._copied(value, where, torch.preserve_format)
        if value is None or isinstance(value, bool):
            return value
        for kind in (int, float, str):
            if isinstance(value, kind):
                return kind(value)
        if isinstance(value, Mapping):
            assert all(isinstance(key, (str, int)) for key in value), where
            return {key: self.state(each, f"{where}[{key!r}]") for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.state(each, f"{where}[{index}]") for index, each in enumerate(value)]
        raise AssertionError(f"{where} is a {type(value).__name__}; a state is of plain types")

    def _copied(self, tensor: Tensor, name: str, layout: torch.memory_format) -> Tensor:
        tensor = tensor.detach()
        fresh = torch.empty_like(tensor, device="cpu", memory_format=layout)
        copy = self._tensors.get(name)
        if copy is None or _shape(copy) != _shape(fresh):
            copy = self._tensors[name] = fresh
        return copy.copy_(tensor)


def _shape(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype


def num_bytes(value: Any) -> int:
    """Bytes of the tensors in a state."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(num_bytes, value.values()))
    return sum(map(num_bytes, value)) if isinstance(value, (list, tuple)) else 0


def ties_of(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Names whose tensor is the very tensor of an earlier name: {later: earlier}."""
    first: dict[tuple[Any, ...], str] = {}
    found = {}
    for name, tensor in weights.items():
        if tensor.numel() == 0:
            continue
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        earlier = first.setdefault(place, name)
        if earlier != name:
            found[name] = earlier
    return found
