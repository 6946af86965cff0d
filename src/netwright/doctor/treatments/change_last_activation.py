"""Another activation at the end, or none."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from netwright.core.languages import Phrase
from netwright.doctor.quiet import quiet
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import Answers, answers, cost
from netwright.doctor.treatments._layers import Stretched, WithoutLast
from netwright.doctor.treatments._right import right_losses
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

TEMPERATURE = 10.0
"""What bounded scores are multiplied with before a softmax, at first: of cosines it makes odds of
e^20 at most (Wang et al. 2017, NormFace, section 3.2, measures that 1 is far too little)."""

MARGIN = 0.1
"""Of the targets' range, which an activation with ends may have beyond them."""


@TREATMENTS.register("change-last-activation", grade="ask", cures=("output-activation-mismatch",))
def change_last_activation(course: Course, finding: Finding) -> Iterator[Plan]:
    """Without the last activation; a sigmoid in its place; or its range stretched to the targets.

    Where the loss wants probabilities the answers go through a sigmoid. What has to stay bounded
    is stretched by a scale and a shift that are learned, and start where the range covers the
    targets.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.
    """
    found = answers(course)
    if found is None:
        return
    last = found.last
    if last is not None and last.bare:
        path = last.path
        if cost(course.loss, last.given + 3.0, found.target) is not None:
            yield Plan(
                says=Phrase("{path} is left out: the answers are those of the layer before",
                            path=path or "(model)"),
                apply=lambda course: _in_place(course, path, nn.Identity(), found),
            )  # fmt: skip
        else:
            yield Plan(
                says=Phrase("a sigmoid in the place of {path}", path=path or "(model)"),
                apply=lambda course: course.replace_modules({path: nn.Sigmoid()}),
            )
            for says, loss in right_losses(last.given, found.target)[:1]:

                def apply(course: Course, loss: object = loss) -> None:
                    course.loss = loss  # type: ignore[assignment]
                    _in_place(course, path, nn.Identity(), found)

                yield Plan(
                    says=Phrase("{path} is left out; loss: {loss}", path=path or "(model)",
                                loss=says),
                    apply=apply,
                )  # fmt: skip
    elif _ends_in_a_call(course, found):
        yield Plan(
            says=Phrase("the last function of the forward pass is left out"), apply=_without_last
        )
    if bool((found.output.amax() - found.output.amin()).isfinite()):
        scale, shift = _stretch(found.output, found.target)
        yield Plan(
            says=Phrase("the answers stretched by {scale:.3g} and {shift:.3g}, which are learned",
                        scale=scale, shift=shift),
            apply=lambda course: _behind(course, Stretched(scale, shift)),
        )  # fmt: skip


def _in_place(course: Course, path: str, module: nn.Module, found: Answers) -> None:
    course.replace_modules({path: module})
    course.judge = course.judge.reading(0.0)


def _ends_in_a_call(course: Course, found: Answers) -> bool:
    """Whether leaving out the last call changes the answers, to others of the same shape."""
    with quiet(course.model), torch.no_grad():
        course.model.eval()
        try:
            before = WithoutLast(course.model).eval()(found.inputs)
        except Exception:  # somebody's model
            return False
    return (
        isinstance(before, Tensor)
        and before.shape == found.output.shape
        and not torch.equal(before, found.output)
    )


def _without_last(course: Course) -> None:
    course.replace_modules({"": WithoutLast(course.model)})
    course.judge = course.judge.reading(0.0)


def _behind(course: Course, layer: nn.Module) -> None:
    course.replace_modules({"": nn.Sequential(course.model, layer)})


def _stretch(output: Tensor, target: Tensor) -> tuple[float, float]:
    """Scale and shift that bring the range of the answers over that of numbers; a temperature
    where the targets are classes."""
    if not target.is_floating_point() or target.numel() != output.numel():
        return TEMPERATURE, 0.0
    low, high = float(target.min()), float(target.max())
    least, most = _range(output)
    scale = (1 + 2 * MARGIN) * (high - low) / max(most - least, 1e-6)
    return scale, (low + high) / 2 - scale * (least + most) / 2


def _range(output: Tensor) -> tuple[float, float]:
    """The ends that values suggest: those of a sigmoid, of a tanh, or what there is."""
    least, most = float(output.min()), float(output.max())
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        if low <= least and most <= high:
            return low, high
    return least, most
