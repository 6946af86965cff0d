"""Something that bends between linear maps."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._running import MAPS, calls, head_of, named_layers
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

KINDS = ((nn.ReLU, "ReLU"), (nn.GELU, "GELU"))

STRAIGHT = {
    "view", "reshape", "unsafe_view", "permute", "transpose", "t", "expand", "squeeze", "unsqueeze",
    "clone", "to_copy", "select", "slice", "native_dropout", "native_batch_norm",
    "cudnn_batch_norm", "avg_pool1d", "avg_pool2d", "mean",
}  # fmt: skip
"""Torch's words for what does not bend."""


@TREATMENTS.register(
    "insert-activation", grade="ask", cures=("missing-nonlinearity", "underfitting")
)
def insert_activation(course: Course, finding: Finding) -> Iterator[Plan]:
    """ReLU or GELU behind each of the linear maps that follow each other, but for the last.

    What stands behind the last bends already, or is the output. Weights are drawn anew to match.

    Source: Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines.
    """
    paths = _between(course, finding)
    if not paths:
        return
    for kind, name in KINDS:
        yield Plan(
            says=Phrase("{name} behind {count} layers", name=name, count=len(paths)),
            apply=lambda course, kind=kind: _insert(course, paths, kind),  # type: ignore[misc]
        )


def _insert(course: Course, paths: list[str], kind: type[nn.Module]) -> None:
    modules = dict(course.model.named_modules())
    course.replace_modules({path: nn.Sequential(modules[path], kind()) for path in paths})
    draw(course)


def _between(course: Course, finding: Finding) -> list[str]:
    """The named maps in the order they run, without the last of them; of a finding that names none
    those between which and the next map nothing bends."""
    run = calls(course)
    ends = head_of(run)
    named = named_layers(course, finding)
    if not named:
        straight = [e.path for e in run if isinstance(e.module, MAPS) and e.after <= STRAIGHT]
        return [each for each in dict.fromkeys(straight) if each not in ends]
    order = [each.path for each in run if isinstance(each.module, MAPS) and each.path in named]
    return [each for each in dict.fromkeys(order[:-1]) if each not in ends]
