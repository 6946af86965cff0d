"""One sigmoid in the place of two."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers, within_0_and_1
from netwright.doctor.treatments._losses import OfLogits, SigmoidOnce
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("remove-sigmoid", grade="safe", cures=("sigmoid-before-bce-with-logits",))
def remove_sigmoid(course: Course, finding: Finding) -> Iterator[Plan]:
    """The loss gets what is before the sigmoid.

    A module at the end of the model is left out, and its answers are read at 0 from then on. Where
    the sigmoid is no module, the loss is given the log-odds of the probabilities,
    log p - log(1 - p), of which a sigmoid is p again; answers are read as before.

    Source: the documentation of torch.nn.BCEWithLogitsLoss.
    """
    found = answers(course)
    if found is None:
        return
    if found.last is not None and found.last.is_sigmoid:
        path = found.last.path
        yield Plan(
            says=Phrase("the sigmoid {path} is left out", path=path or "(model)"),
            apply=lambda course: _left_out(course, path),
        )
    elif within_0_and_1(found.output):
        yield Plan(says=Phrase("the loss of log p - log(1 - p), where p is the output"),
                   apply=_of_logits)  # fmt: skip
    else:
        yield Plan(says=Phrase("one sigmoid in the loss and not two"), apply=_once)


def _left_out(course: Course, path: str) -> None:
    course.replace_modules({path: nn.Identity()})
    course.judge = course.judge.reading(0.0)


def _of_logits(course: Course) -> None:
    course.loss = OfLogits(course.loss)
    course.judge = course.judge.reading(0.5)


def _once(course: Course) -> None:
    course.loss = SigmoidOnce(course.loss)
