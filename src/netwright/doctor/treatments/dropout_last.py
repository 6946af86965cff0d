"""Dropout behind the last norm."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._running import BATCH_NORMS, calls
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@TREATMENTS.register(
    "dropout-last", grade="ask", cures=("dropout-before-batchnorm", "over-regularised")
)
def dropout_last(course: Course, finding: Finding) -> Iterator[Plan]:
    """Dropout with a batch norm behind it is taken away; what stands behind the last norm stays.

    Where none does, the weakest of those taken away goes in front of the last map.

    Source: Li, Chen, Hu & Yang 2019, Understanding the disharmony between dropout and batch
    normalization by variance shift.
    """
    early, _, _ = _order(course)
    if early:
        yield Plan(
            says=Phrase("dropout behind the last norm alone"),
            apply=_move,
        )


def _move(course: Course) -> None:
    early, late, last = _order(course)
    modules = dict(course.model.named_modules())
    rates = [float(each.p) for each in map(modules.get, early) if isinstance(each, DROPOUTS)]
    made: dict[str, nn.Module] = {path: nn.Identity() for path in early}
    if not late and last is not None and rates:
        made[last] = nn.Sequential(nn.Dropout(min(rates)), modules[last])
    course.replace_modules(made)


def _order(course: Course) -> tuple[list[str], list[str], str | None]:
    """The dropouts that run before the last batch norm, those that run later, the last map where
    it is a linear one behind that norm."""
    run = calls(course)
    norms = [place for place, each in enumerate(run) if isinstance(each.module, BATCH_NORMS)]
    last = norms[-1] if norms else -1
    places = [
        (place, each.path)
        for place, each in enumerate(run)
        if isinstance(each.module, DROPOUTS) and each.module.p > 0
    ]
    early = list(dict.fromkeys(path for place, path in places if place < last))
    late = [path for place, path in places if place > last]
    heads = [each.path for each in run[last + 1 :] if isinstance(each.module, nn.Linear)]
    return early, late, heads[-1] if heads else None
