"""Less dropout, less decay, labels less smooth."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

MUCH, SOME = 0.5, 0.2
"""Dropout above the first becomes the second."""

SMOOTH, USUAL = 0.2, 0.1
"""The same of label smoothing."""

PART = 0.01
"""Of the weight decay."""


@TREATMENTS.register("weaken", grade="ask", cures=("over-regularised",))
def weaken(course: Course, finding: Finding) -> Iterator[Plan]:
    """Dropout above a half becomes a fifth, decay a hundredth, label smoothing a tenth.

    Or nothing of it all is left.

    Source: Srivastava et al. 2014, Dropout, section 7.3; Loshchilov & Hutter 2019, Decoupled
    weight decay regularization.
    """
    decay = max(float(g.get("weight_decay", 0.0)) for g in course.optimizer.param_groups)
    dropped = any(_share(each) > MUCH for each in course.model.modules())
    smoothed = float(getattr(course.loss, "label_smoothing", 0.0))
    if not (decay > 0 or dropped or smoothed > SMOOTH):
        return
    yield Plan(
        says=Phrase("less dropout, decay and smoothing of labels"),
        apply=lambda made: _weaker(made, SOME, PART, USUAL),
    )
    yield Plan(
        says=Phrase("no dropout, decay or smoothing of labels"),
        apply=lambda made: _weaker(made, 0.0, 0.0, 0.0),
    )


def _share(module: nn.Module) -> float:
    if isinstance(module, _DropoutNd):
        return float(module.p)
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
        return float(module.dropout)
    return 0.0


def _weaker(course: Course, share: float, decay: float, smooth: float) -> None:
    for module in course.model.modules():
        if _share(module) > (MUCH if share else 0.0):
            setattr(module, "p" if isinstance(module, _DropoutNd) else "dropout", share)
    for group in course.optimizer.param_groups:
        if group.get("weight_decay"):
            group["weight_decay"] *= decay
    if float(getattr(course.loss, "label_smoothing", 0.0)) > (SMOOTH if smooth else 0.0):
        course.loss.label_smoothing = smooth  # type: ignore[attr-defined]
