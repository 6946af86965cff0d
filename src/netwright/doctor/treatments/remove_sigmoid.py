"""One sigmoid in the place of two."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import within_0_and_1
from netwright.doctor.treatments._losses import OfLogits, SigmoidOnce
from netwright.doctor.treatments._squashed_once import squashed_once
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
    yield from squashed_once(
        course,
        is_module=lambda last: last.is_sigmoid,
        is_output=within_0_and_1,
        left_out=lambda path: Phrase("the sigmoid {path} is left out", path=path),
        undone=(Phrase("the loss of log p - log(1 - p), where p is the output"), OfLogits),
        within=(Phrase("one sigmoid in the loss and not two"), SigmoidOnce),
        one_sided=True,
    )
