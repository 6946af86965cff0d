"""Batches that are never twice the same: flips and shifts of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.doctor.trials.course import Course


@dataclass(frozen=True)
class Shifts:
    """Each image moved by up to `most` pixels each way, with zeros behind it, and where `flips`,
    half of them mirrored from left to right.

    What is drawn depends on the batch alone: reading the data leaves no trace in any generator,
    and a batch that shuffling has put together anew is moved anew.
    """

    most: int
    flips: bool = False

    def __call__(self, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        count, height, width = len(inputs), inputs.shape[-2], inputs.shape[-1]
        draw = torch.Generator().manual_seed(_number_of(inputs))
        wide = F.pad(inputs, (self.most,) * 4)
        down, right = torch.randint(0, 2 * self.most + 1, (2, count, 1), generator=draw)
        rows = (down + torch.arange(height)).to(inputs.device)
        columns = (right + torch.arange(width)).to(inputs.device)
        each = torch.arange(count, device=inputs.device)
        moved = wide[each[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        moved = moved.permute(0, 3, 1, 2)
        if self.flips:
            mirrored = (torch.rand(count, generator=draw) < 0.5).to(inputs.device)
            moved = torch.where(mirrored[:, None, None, None], moved.flip(-1), moved)
        return moved, target


def _number_of(inputs: Tensor) -> int:
    """The same of the same batch."""
    places = torch.arange(1, len(inputs) + 1, dtype=torch.float64)
    sums = inputs.detach().flatten(1).sum(1).double().cpu().nan_to_num()
    return hash(float((places * sums).sum())) & 0x7FFFFFFF


def of_images(course: Course) -> bool:
    """Whether the inputs are images, and the targets are of a whole image each."""
    inputs, target = next(iter(course.train.batches()))
    return (
        inputs.ndim == 4
        and inputs.is_floating_point()
        and inputs.shape[1] in (1, 3, 4)
        and min(inputs.shape[2:]) >= 8
        and (target.ndim == 1 or (target.ndim == 2 and target.shape[1] < 1000))
    )
