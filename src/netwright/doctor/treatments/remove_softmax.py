"""One softmax in the place of two."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers, are_probabilities
from netwright.doctor.treatments._losses import OfLogarithms, SoftmaxOnce
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("remove-softmax", grade="safe", cures=("softmax-before-cross-entropy",))
def remove_softmax(course: Course, finding: Finding) -> Iterator[Plan]:
    """The loss gets what is before the softmax.

    A module at the end of the model is left out. Where the softmax is no module, the loss is given
    the logarithm of the probabilities: log p = z - log sum exp z, and a softmax of that is p again,
    so that cross-entropy of it is the likelihood loss of the one softmax there is, to the bit of
    rounding.

    Source: the documentation of torch.nn.CrossEntropyLoss.
    """
    found = answers(course)
    if found is None:
        return
    if found.last is not None and found.last.is_softmax:
        path = found.last.path
        yield Plan(
            says=Phrase("the softmax {path} is left out", path=path or "(model)"),
            apply=lambda course: course.replace_modules({path: nn.Identity()}),
        )
    elif are_probabilities(found.output):
        yield Plan(says=Phrase("the loss of log p, where p is the output"), apply=_of_logarithms)
    else:
        yield Plan(says=Phrase("one softmax in the loss and not two"), apply=_once)


def _of_logarithms(course: Course) -> None:
    course.loss = OfLogarithms(course.loss)


def _once(course: Course) -> None:
    course.loss = SoftmaxOnce(course.loss)
