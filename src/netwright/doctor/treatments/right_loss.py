"""The loss that belongs to the targets."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import Answers, answers, are_probabilities, within_0_and_1
from netwright.doctor.treatments._losses import BinaryCrossEntropy, OfLogarithms, OfLogits
from netwright.doctor.treatments._right import right_losses
from netwright.doctor.treatments._rows import read_as_two
from netwright.doctor.trials.course import Course, Loss
from netwright.records.findings import Finding


@TREATMENTS.register("right-loss", grade="ask", cures=("loss-mismatch",))
def right_loss(course: Course, finding: Finding) -> Iterator[Plan]:
    """Cross-entropy for classes, the binary loss for yes and no, a squared one for numbers.

    All of them take what the last layer gives: a softmax or sigmoid module at the end is left out,
    one that is no module is undone within the loss.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.
    """
    found = answers(course)
    if found is None:
        return
    for says, loss in right_losses(found.output, found.target):
        yield Plan(
            says=Phrase("loss: {loss}", loss=says),
            apply=lambda course, loss=loss: _take(course, loss, found),  # type: ignore[misc]
        )


def _take(course: Course, loss: Loss, found: Answers) -> None:
    distance = type(loss).__name__ in ("Squares", "ForgivingDistance")
    last, threshold = found.last, 0.0
    if isinstance(loss, BinaryCrossEntropy):
        low, high = float(found.target.min()), float(found.target.max())
        if (low, high) != (0, 1):
            read_as_two(course, low, high)
    if distance:
        threshold = 0.5
    elif last is not None and (last.is_softmax or last.is_sigmoid):
        course.replace_modules({last.path: nn.Identity()})
    elif are_probabilities(found.output):
        loss = OfLogarithms(loss)
    elif within_0_and_1(found.output):
        loss, threshold = OfLogits(loss), 0.5
    course.loss = loss
    course.judge = course.judge.reading(threshold)
