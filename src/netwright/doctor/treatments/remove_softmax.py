"""One softmax in the place of two."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import are_probabilities
from netwright.doctor.treatments._losses import OfLogarithms, SoftmaxOnce
from netwright.doctor.treatments._squashed_once import squashed_once
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
    yield from squashed_once(
        course,
        is_module=lambda last: last.is_softmax,
        is_output=are_probabilities,
        left_out=lambda path: Phrase("the softmax {path} is left out", path=path),
        undone=(Phrase("the loss of log p, where p is the output"), OfLogarithms),
        within=(Phrase("one softmax in the loss and not two"), SoftmaxOnce),
    )
