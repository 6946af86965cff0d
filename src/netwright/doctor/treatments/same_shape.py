"""Output and target in one shape before they are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.core.unheard import unheard
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers
from netwright.doctor.treatments._right import right_losses
from netwright.doctor.trials.course import Course, Loss
from netwright.records.findings import Finding

Shape = Literal["as it is", "like the other", "without axes of one", "transposed"]

SHAPES: dict[Shape, Callable[[Tensor, Tensor], Tensor]] = {
    "as it is": lambda one, other: one,
    "like the other": lambda one, other: one.reshape(other.shape),
    "without axes of one": lambda one, other: one.squeeze().reshape(len(one), *_rest(one)),
    "transposed": lambda one, other: one.mT if one.ndim > 1 else one[None, :],
}


@TREATMENTS.register("same-shape", grade="safe", cures=("silent-broadcast",))
def same_shape(course: Course, finding: Finding) -> Iterator[Plan]:
    """The loss is given output and target in shapes of which each sample meets its own target.

    They are tried in turn: of a loss that compares all with all, another target for one sample
    changes the gradient of every other's output.

    Source: none: it follows from the shapes.
    """
    found = answers(course)
    if found is None or found.output.numel() != found.target.numel():
        return
    output, target = found.output, found.target
    if not crossed(course.loss, output, target):
        return
    for of_target in SHAPES:
        for of_output in SHAPES:
            loss = Shaped(course.loss, of_output, of_target)
            if crossed(loss, output, target):
                continue

            def apply(course: Course, one: Shape = of_output, other: Shape = of_target) -> None:
                course.loss = Shaped(course.loss, one, other)

            yield Plan(says=Phrase("output and target in one shape"), apply=apply)
            return
    for says, right in right_losses(output, target)[:1]:

        def take(course: Course, right: Loss = right) -> None:
            course.loss = right

        yield Plan(says=Phrase("loss: {loss}", loss=says), apply=take)


@dataclass(frozen=True)
class Shaped:
    """The loss of output and target in other shapes."""

    loss: Loss
    of_output: Shape
    of_target: Shape

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return self.loss(
            SHAPES[self.of_output](output, target), SHAPES[self.of_target](target, output)
        )


def _rest(one: Tensor) -> tuple[int, ...]:
    return tuple(each for each in one.shape[1:] if each > 1)


def crossed(loss: Loss, output: Tensor, target: Tensor) -> bool:
    """Whether the target of the first sample has a part in the gradient of the others' outputs, or
    the loss cannot be had.

    >>> output, target = torch.arange(3.0)[:, None], torch.ones(3)
    >>> crossed(lambda o, t: ((o - t) ** 2).mean(), output, target)
    True
    >>> crossed(lambda o, t: ((o - t[:, None]) ** 2).mean(), output, target)
    False
    """
    if len(output) < 2:
        return False
    other = target.clone()
    other[0] = other[1] + (other.float().std() + 1).to(other.dtype)
    slopes = []
    for each in (target, other):
        free = output.detach().clone().requires_grad_()
        try:
            with torch.enable_grad(), unheard():
                (slope,) = torch.autograd.grad(loss(free, each), free)
        except Exception:  # somebody's loss, in shapes that it was not made for
            return True
        slopes.append(slope[1:])
    return not torch.allclose(slopes[0], slopes[1], rtol=1e-3, atol=1e-7)
