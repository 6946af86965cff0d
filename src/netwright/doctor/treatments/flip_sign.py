"""The loss made smaller and not larger."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers, cost
from netwright.doctor.treatments._losses import Negative, OfNegatives
from netwright.doctor.treatments._right import right_losses
from netwright.doctor.trials.course import Course, Loss
from netwright.records.findings import Finding

SAME = 1e-3
"""Of what the sign of the answers changes in a loss: it does not see what changes less."""


@TREATMENTS.register("flip-sign", grade="ask", cures=("loss-sign",))
def flip_sign(course: Course, finding: Finding) -> Iterator[Plan]:
    """Whatever turns the steps round is turned back: the optimizer, a layer, the plan, the loss.

    Of a loss over answers of yes and no there are two ways: its own sign, and that of the outputs
    in it (a margin that was written the wrong way round has no least value with a minus before it).
    A score that is the same for answers of another size and level (a correlation) leaves these to
    chance with either sign: the loss that belongs to the targets is tried as well.

    Source: by arithmetic: descent on -L is ascent on L.
    """
    if any(group.get("maximize") for group in course.optimizer.param_groups):
        yield Plan(says=Phrase("the optimizer minimises"), apply=_minimise)
        return
    turned = [path for path, each in course.model.named_modules() if _reverses(each)]
    if turned:
        yield Plan(
            says=Phrase("without the reversal {path}", path=turned[0] or "(model)"),
            apply=lambda course: course.replace_modules({each: nn.Identity() for each in turned}),
        )
        return
    if any(group["lr"] < 0 for group in course.optimizer.param_groups if "lr" in group):
        yield Plan(says=Phrase("a constant rate above zero"), apply=_constant_rate)
        return
    yield Plan(says=Phrase("the loss with the other sign"), apply=_negative)
    found = answers(course)
    if found is not None and _blind(course.loss, found.target):
        for says, loss in right_losses(found.output, found.target)[:1]:
            yield Plan(
                says=Phrase("loss: {loss}", loss=says),
                apply=lambda course, loss=loss: _take(course, loss),  # type: ignore[misc]
            )
    if found is not None and course.judge.kind == "accuracy of labels":
        yield Plan(says=Phrase("the loss of the outputs with the other sign"), apply=_of_negatives)


def _blind(loss: Loss, target: Tensor) -> bool:
    """Whether answers twice as large and one spread off are as good as the targets themselves."""
    if not target.is_floating_point() or target.numel() < 2:
        return False
    exact, other = cost(loss, target, target), cost(loss, 2 * target + target.std(), target)
    far = cost(loss, -target, target)
    if exact is None or other is None or far is None:
        return False
    return abs(other - exact) < SAME * abs(far - exact)


def _take(course: Course, loss: Loss) -> None:
    course.loss = loss


def _minimise(course: Course) -> None:
    course.set_in_groups(maximize=False)


def _constant_rate(course: Course) -> None:
    for group in course.optimizer.param_groups:
        group["lr"] = abs(group["lr"])
    course.scheduler = None


def _negative(course: Course) -> None:
    course.loss = Negative(course.loss)


def _of_negatives(course: Course) -> None:
    course.loss = OfNegatives(course.loss)
    course.judge = course.judge.reading(0.0)


def _reverses(module: nn.Module) -> bool:
    """Whether a module without weights gives back what it is given, and its gradient turned."""
    if next(module.children(), None) is not None or next(module.parameters(), None) is not None:
        return False
    if isinstance(module, nn.Identity | nn.Dropout):
        return False
    x = torch.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()
    try:
        with torch.enable_grad():
            made = module(x)
            if not isinstance(made, Tensor) or not torch.equal(made, x):
                return False
            (slope,) = torch.autograd.grad(made.sum(), x)
    except Exception:  # a module for something else
        return False
    return bool((slope < 0).all())
