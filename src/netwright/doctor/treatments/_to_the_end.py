"""Plans for a schedule that does not fit the training: another one that ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import Plan
from netwright.doctor.treatments._schedules import (
    WARM,
    Constant,
    Cosine,
    Shape,
    left,
    meant,
    reshape,
)
from netwright.doctor.trials.course import Course
from netwright.records.findings import amount


def cosine(course: Course, factor: float = 1.0) -> Plan:
    """From the rate that was meant, times `factor`, to 0 at the last step."""
    return _shaped(
        course, Phrase("rate {rate} that falls as a cosine to the last step",
                       rate=_rate(course, factor)),
        lambda made: Cosine(left(made)), factor,
    )  # fmt: skip


def warm_cosine(course: Course, factor: float = 1.0) -> Plan:
    """The same after a rise over the first twentieth of the steps."""
    return _shaped(
        course, Phrase("rate that rises to {rate} and falls as a cosine to the last step",
                       rate=_rate(course, factor)),
        lambda made: Cosine(left(made), max(1, round(WARM * left(made)))), factor,
    )  # fmt: skip


def constant(course: Course, factor: float = 1.0) -> Plan:
    """No schedule."""
    return _shaped(
        course, Phrase("rate {rate} without a schedule", rate=_rate(course, factor)),
        lambda made: Constant(), factor,
    )  # fmt: skip


def endings(course: Course) -> Iterator[Plan]:
    """The three, the likeliest first: from the rate that was meant."""
    yield cosine(course) if course.done else warm_cosine(course)
    yield constant(course)
    yield cosine(course, 0.1)


def _shaped(course: Course, says: Phrase, shape: Callable[[Course], Shape], factor: float) -> Plan:
    def apply(made: Course) -> None:
        reshape(made, shape(made), [factor * each for each in meant(made)])

    return Plan(says=says, apply=apply)


def _rate(course: Course, factor: float) -> str:
    return amount(factor * max(meant(course)))
