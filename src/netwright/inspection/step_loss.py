"""The scalar a traced step goes backward from, where its user names no loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def tensors_of(output: Any) -> list[Tensor]:
    """The tensors in an output, whatever holds them, in its order."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        return [each for part in output.values() for each in tensors_of(part)]
    if isinstance(output, list | tuple):
        return [each for part in output for each in tensors_of(part)]
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        names = [each.name for each in dataclasses.fields(output)]
        return [each for name in names for each in tensors_of(getattr(output, name))]
    return []


def usual_loss(output: Any) -> Tensor | None:
    """A scalar over all of `output`; None where nothing in it has a gradient.

    A mapping's own scalar "loss" is taken as it is. Else every output that has a gradient adds
    its part: logits (N, classes) their cross-entropy with class 0, a scalar itself, anything
    else its mean.

    >>> logits = torch.zeros(4, 2, requires_grad=True)
    >>> round(usual_loss({"main": logits, "seen": torch.ones(3)}).item(), 4)  # log 2
    0.6931
    """
    if isinstance(output, Mapping):
        own = output.get("loss")
        if isinstance(own, Tensor) and own.numel() == 1 and own.requires_grad:
            return own.reshape(())
    parts = [_part(each) for each in tensors_of(output) if each.requires_grad]
    if not parts:
        return None
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _part(output: Tensor) -> Tensor:
    if output.is_complex():
        output = output.abs()
    if output.dim() == 2 and output.shape[1] > 1:
        target = torch.zeros(output.shape[0], dtype=torch.long, device=output.device)
        return F.cross_entropy(output, target)
    return output if output.dim() == 0 else output.mean()
