"""Residual connections round hidden layers whose shapes allow it."""

from __future__ import annotations

from collections import Counter

from torch import Tensor, nn

from netwright.doctor.treatments._bending import acts_alone, bends
from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._running import MAPS, Call, calls, head_of
from netwright.doctor.trials.course import Course

FEWEST = 2
"""Layers that allow it; round a single one it does not shorten the way."""


class Residual(nn.Module):
    """`x + f(x)`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Of a tensor that `inner` gives back in its own shape."""
        return x + self.inner(x)


def residuals_fit(course: Course) -> bool:
    return len(_alike(course)) >= FEWEST


def residual_round(course: Course) -> None:
    """The input of each hidden map, where it has the shape of what comes out, added behind the
    activation that follows, so that no activation lies on the way past it; behind the map itself
    where none follows at once. Weights are drawn anew, small in what is added."""
    made: dict[str, nn.Module] = {}
    for layer, activation in _alike(course):
        if activation is None:
            made[layer.path] = Residual(layer.module)
        else:
            made[layer.path] = Residual(nn.Sequential(layer.module, activation.module))
            made[activation.path] = nn.Identity()
    course.replace_modules(made)
    draw(course)


def _alike(course: Course) -> list[tuple[Call, Call | None]]:
    """Hidden maps that keep the shape, each with the activation that is called next."""
    run = calls(course)
    ends = head_of(run)
    uses = Counter(each.path for each in run)
    found: list[tuple[Call, Call | None]] = []
    for place, each in enumerate(run):
        if (
            isinstance(each.module, MAPS)
            and each.path not in ends
            and uses[each.path] == 1
            and each.given is not None
            and each.made is not None
            and each.given.shape == each.made.shape
        ):
            after = next((one for one in run[place + 1 :] if one.given is each.made), None)
            own = after is not None and uses[after.path] == 1 and after.module is not each.module
            alone = after is not None and acts_alone(after.module) and bends(after.module)
            found.append((each, after if own and alone else None))
    return found
