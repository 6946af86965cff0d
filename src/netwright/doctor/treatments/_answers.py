"""What a network answers on one batch at the beginning of a course, and which module says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.unheard import unheard
from netwright.doctor.quiet import quiet
from netwright.doctor.trials.course import Course, Loss

ROUNDING = 1e-3
"""Of sums of probabilities, in single precision and of many classes."""


@dataclass(frozen=True)
class Last:
    """The module whose result is the answer, with what went in."""

    path: str
    module: nn.Module
    given: Tensor
    made: Tensor

    @property
    def bare(self) -> bool:
        """Whether it is a function of its input alone, and keeps its shape: it can be left out."""
        own = next(self.module.parameters(), next(self.module.buffers(), None))
        return own is None and self.given.shape == self.made.shape

    @property
    def is_softmax(self) -> bool:
        """By its numbers: the logarithm of what came out lies a constant a row from what went in.

        >>> z = torch.tensor([[1.0, 3.0, 0.0]])
        >>> Last("", nn.Softmax(1), z, z.softmax(1)).is_softmax
        True
        """
        if not self.bare or not are_probabilities(self.made):
            return False
        apart = self.made.log() - self.given
        spread = apart.amax(1) - apart.amin(1)
        return bool((spread[spread.isfinite()] < 1e-2).all())

    @property
    def is_sigmoid(self) -> bool:
        if not self.bare:
            return False
        return bool(torch.allclose(self.made, self.given.sigmoid(), atol=1e-4))


@dataclass(frozen=True)
class Answers:
    inputs: Tensor
    target: Tensor
    output: Tensor
    last: Last | None


def answers(course: Course) -> Answers | None:
    """The first batch and what the model answers; None where that is no tensor. The model stays
    as it is."""
    inputs, target = next(iter(course.train.batches()))
    model, seen = course.model, list[tuple[str, nn.Module, Tensor, Tensor]]()
    names = {each: path for path, each in model.named_modules()}

    def hear(module: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(made, Tensor):
            seen.append((names[module], module, given[0], made))

    with quiet(model), torch.no_grad():
        model.eval()
        hooks = [
            each.register_forward_hook(hear)
            for each in model.modules()
            if next(each.children(), None) is None
        ]
        try:
            output = model(inputs)
        except Exception:  # somebody's model
            return None
        finally:
            for hook in hooks:
                hook.remove()
    if not isinstance(output, Tensor):
        return None
    for path, module, given, made in seen:
        passes = made.data_ptr() == given.data_ptr()
        if not passes and made.data_ptr() == output.data_ptr() and made.numel() == output.numel():
            return Answers(inputs, target, output, Last(path, module, given, made))
    return Answers(inputs, target, output, None)


def are_probabilities(output: Tensor) -> bool:
    """Of classes along axis 1: none negative, each row sums to 1.

    >>> are_probabilities(torch.tensor([[0.2, 0.8], [0.5, 0.5]]))
    True
    """
    if output.ndim < 2 or output.shape[1] < 2 or not output.is_floating_point():
        return False
    return bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() < ROUNDING).all())


def within_0_and_1(output: Tensor) -> bool:
    return bool(((output >= 0) & (output <= 1)).all())


def cost(loss: Loss, output: Tensor, target: Tensor) -> float | None:
    """The loss of some outputs; None where it raises or gives no number."""
    try:
        with torch.no_grad(), unheard():
            found = float(loss(output, target))
    except Exception:  # somebody's loss, of outputs that it was not made for
        return None
    return found if found == found else None
