"""Another activation in the hidden layers, with the start that goes with it."""

from __future__ import annotations

from torch import nn

from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._running import hidden_activations
from netwright.doctor.trials.course import Course


def activate(
    course: Course,
    kind: type[nn.Module],
    *,
    only: type[nn.Module] | None = None,
    other_than: tuple[type[nn.Module], ...] = (),
    drawn: bool = True,
    rate: float = 1.0,
) -> None:
    """A `kind` in the place of each hidden activation, or of those that are `only` and
    not `other_than`; then weights
    drawn to match, and the rate times `rate`."""
    modules = dict(course.model.named_modules())
    paths = [
        path
        for path in hidden_activations(course)
        if (only is None or isinstance(modules[path], only))
        and not isinstance(modules[path], other_than)
    ]
    course.replace_modules({path: kind() for path in paths})
    if drawn:
        draw(course)
    if rate != 1.0:
        course.scale_rates(rate)
