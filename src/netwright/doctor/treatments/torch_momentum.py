"""Running statistics that follow."""

from __future__ import annotations

from collections.abc import Iterator

from torch.nn.modules.batchnorm import _BatchNorm

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

USUAL = 0.1

LOW, HIGH = 0.005, 0.5


@TREATMENTS.register("torch-momentum", grade="ask", cures=("batchnorm-bad-momentum",))
def torch_momentum(course: Course, finding: Finding) -> Iterator[Plan]:
    """Batch norms whose momentum is out of the ordinary get torch's, 0.1.

    Their running statistics begin anew, so that nothing of the old ones stays.

    Source: PyTorch documentation, BatchNorm2d: the momentum is the share of the new.
    """
    count = sum(1 for _ in _odd(course))
    if count:
        yield Plan(
            says=Phrase("momentum {momentum} in {count} batch norms", momentum=USUAL, count=count),
            apply=_set,
        )


def _set(course: Course) -> None:
    for each in _odd(course):
        each.momentum = USUAL
        each.reset_running_stats()


def _odd(course: Course) -> Iterator[_BatchNorm]:
    for each in course.model.modules():
        momentum = each.momentum if isinstance(each, _BatchNorm) else None
        if momentum is not None and not LOW <= momentum <= HIGH:
            assert isinstance(each, _BatchNorm)
            yield each
