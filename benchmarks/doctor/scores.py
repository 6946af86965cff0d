"""How good outputs are: scores, and how many of a batch are right."""

from __future__ import annotations

from torch import Tensor


def accuracy(output: Tensor, target: Tensor) -> float:
    return float((output.argmax(1) == target).float().mean())


def right(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(1) == target).sum()


def accuracy_of_two(output: Tensor, target: Tensor) -> float:
    return float(((output > 0) == (target > 0.5)).float().mean())


def right_of_two(output: Tensor, target: Tensor) -> Tensor:
    return ((output > 0).float() == target).sum()


def explained(output: Tensor, target: Tensor) -> float:
    """Share of the variance, the mean over the targets."""
    left = (output - target).square().flatten(1).mean(0)
    there = (target - target.mean(0)).square().flatten(1).mean(0)
    return float((1 - left.sum() / there.sum()).clamp(-10, 1))


def overlap(output: Tensor, target: Tensor) -> float:
    """Intersection over union of the pixels that are covered."""
    said, there = output > 0, target > 0.5
    return float((said & there).sum() / (said | there).sum().clamp(min=1))
