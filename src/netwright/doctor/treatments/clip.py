"""A limit on the length of the gradient."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._gradient_norms import usual_norm
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

COMMON = 1.0
"""The limit that is written most often."""

SLOWER = 0.1


@TREATMENTS.register(
    "clip",
    grade="ask",
    cures=("exploding-gradients", "loss-spike", "divergence", "learning-rate-too-high",
           "nonfinite"),
)  # fmt: skip
def clip(course: Course, finding: Finding) -> Iterator[Plan]:
    """The gradient is cut to the median length over some batches, or to a tenth of it.

    Where gradients leap, the median is what ordinary batches have. Where they explode from the
    first step on, only a limit that knows nothing of them helps: 1, and 1 at a tenth of the rate.

    Source: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
    networks, algorithm 1.
    """
    usual = usual_norm(course)
    if usual is None or not course.trainable:
        return
    exploding = finding.name == "exploding-gradients"
    for limit in (usual, COMMON) if exploding else (usual, usual / 10):
        if course.clip is None or limit < course.clip:
            yield limited(limit)
    if exploding and (course.clip is None or course.clip >= COMMON):
        yield Plan(
            says=Phrase("{first}; learning rate x {rate}", first=limited(COMMON).says, rate=SLOWER),
            apply=_slower,
        )


def limited(limit: float | None) -> Plan:
    """The plan with this limit, or with none."""
    return Plan(
        says=Phrase("gradients clipped at the norm {limit}", limit=amount(limit))
        if limit is not None
        else Phrase("gradients not clipped"),
        apply=lambda made: setattr(made, "clip", limit),
    )


def _slower(course: Course) -> None:
    course.clip = COMMON
    course.scale_rates(SLOWER)
