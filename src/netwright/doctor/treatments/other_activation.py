"""Activations that are not flat at their ends."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._activating import activate
from netwright.doctor.treatments._running import hidden_activations, named_layers
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

KINDS = ((nn.ReLU, "ReLU"), (nn.GELU, "GELU"))


@TREATMENTS.register(
    "other-activation",
    grade="ask",
    cures=(
        "saturated-units", "saturated-at-start", "dead-at-start", "exploding-gradients",
        "nonfinite",
    ),
)  # fmt: skip
def other_activation(course: Course, finding: Finding) -> Iterator[Plan]:
    """ReLU or GELU in the place of hidden activations that are neither, and weights to match.

    Of values that are not finite only where an activation makes them.

    Source: Glorot, Bordes & Bengio 2011, Deep sparse rectifier neural networks; Hendrycks & Gimpel
    2016, Gaussian error linear units.
    """
    modules = dict(course.model.named_modules())
    paths = hidden_activations(course)
    found = [modules[path] for path in paths]
    if finding.name == "nonfinite" and set(paths).isdisjoint(named_layers(course, finding)):
        return
    if all(isinstance(each, nn.ReLU | nn.GELU) for each in found):
        return
    for kind, name in KINDS:
        yield Plan(
            says=Phrase("{name} in the hidden layers, and weights to match", name=name),
            apply=lambda course, kind=kind: activate(course, kind),  # type: ignore[misc]
        )
