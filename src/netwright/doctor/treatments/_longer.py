"""Plans of more epochs than were asked for. They say so."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import Plan
from netwright.doctor.treatments._schedules import Constant, Cosine, left, meant, reshape
from netwright.doctor.trials.course import Course

MOST = 4
"""Times the epochs that were asked for: nobody's training is made longer than that."""


def longer(course: Course) -> Iterator[Plan]:
    """Twice the epochs, at the rate that was meant; a schedule that ends with the plan is over."""
    epochs = 2 * course.epochs
    if epochs > MOST * course.asked:
        return

    def apply(made: Course) -> None:
        made.epochs, made.ends = epochs, None
        if made.scheduler is not None:
            reshape(made, Constant(), meant(made))

    yield Plan(says=Phrase("{epochs} epochs in the place of {asked}", epochs=epochs,
                           asked=course.epochs), apply=apply)  # fmt: skip


def falling(course: Course) -> Iterator[Plan]:
    """The same with a rate that falls as a cosine to the last step."""
    epochs = 2 * course.epochs
    if epochs > MOST * course.asked:
        return

    def apply(made: Course) -> None:
        made.epochs, made.ends = epochs, None
        reshape(made, Cosine(left(made)), meant(made))

    yield Plan(says=Phrase("{epochs} epochs in the place of {asked}, with a rate that falls to the "
                           "last step", epochs=epochs, asked=course.epochs),
               apply=apply)  # fmt: skip
