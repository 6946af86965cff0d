"""A limit on the length of the gradient."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._gradient_norms import usual_norm
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount


@TREATMENTS.register(
    "clip",
    grade="ask",
    cures=("exploding-gradients", "loss-spike", "divergence", "learning-rate-too-high",
           "nonfinite"),
)  # fmt: skip
def clip(course: Course, finding: Finding) -> Iterator[Plan]:
    """The gradient is cut to the median length over some batches, or to a tenth of it.

    Source: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
    networks, algorithm 1.
    """
    usual = usual_norm(course)
    if usual is None:
        return
    for limit in (usual, usual / 10):
        if course.clip is None or limit < course.clip:
            yield limited(limit)


def limited(limit: float | None) -> Plan:
    """The plan with this limit, or with none."""
    return Plan(
        says=Phrase("gradients clipped at the norm {limit}", limit=amount(limit))
        if limit is not None
        else Phrase("gradients not clipped"),
        apply=lambda made: setattr(made, "clip", limit),
    )
