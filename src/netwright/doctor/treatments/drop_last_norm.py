"""An output that no norm rescales."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._running import NORMS, calls
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("drop-last-norm", grade="ask", cures=("batchnorm-on-output",))
def drop_last_norm(course: Course, finding: Finding) -> Iterator[Plan]:
    """The norm that is called last, with no map behind it, gives way to nothing.

    Source: Ioffe & Szegedy 2015, Batch normalization.
    """
    path = _last_norm(course)
    if path is not None:
        yield Plan(
            says=Phrase("no norm behind the last layer"),
            apply=lambda course: course.replace_modules({path: nn.Identity()}),
        )


def _last_norm(course: Course) -> str | None:
    for each in reversed(calls(course)):
        if isinstance(each.module, NORMS):
            return each.path
        if any(True for _ in each.module.parameters()):
            return None
    return None
