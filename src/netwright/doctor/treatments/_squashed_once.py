"""What the loss does too is done once: sigmoid or softmax, which its loss of logits begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import Plan
from netwright.doctor.treatments._answers import Last, answers
from netwright.doctor.trials.course import Course, Loss

Around = Callable[[Loss], Loss]


def squashed_once(
    course: Course,
    *,
    is_module: Callable[[Last], bool],
    is_output: Callable[[Tensor], bool],
    left_out: Callable[[str], Phrase],
    undone: tuple[Phrase, Around],
    within: tuple[Phrase, Around],
    one_sided: bool = False,
) -> Iterator[Plan]:
    """A module at the end that squashes is left out, with the words `left_out` has for its path.
    Where only the numbers tell that the output is squashed, the loss `undone` is given what was
    before; else it is squashed `within` the loss.

    `one_sided`: an answer is yes above a threshold, of logits 0 and of probabilities 0.5.
    """
    found = answers(course)
    if found is None:
        return
    if found.last is not None and is_module(found.last):
        path = found.last.path
        yield Plan(
            says=left_out(path or "(model)"),
            apply=lambda course: _leave_out(course, path, one_sided),
        )
    elif is_output(found.output):
        says, loss = undone
        yield Plan(says=says, apply=lambda course: _give_logits(course, loss, one_sided))
    else:
        says, loss = within
        yield Plan(says=says, apply=lambda course: _put_around(course, loss))


def _leave_out(course: Course, path: str, one_sided: bool) -> None:
    course.replace_modules({path: nn.Identity()})
    if one_sided:
        course.judge = course.judge.reading(0.0)


def _give_logits(course: Course, loss: Around, one_sided: bool) -> None:
    _put_around(course, loss)
    if one_sided:
        course.judge = course.judge.reading(0.5)


def _put_around(course: Course, loss: Around) -> None:
    course.loss = loss(course.loss)
