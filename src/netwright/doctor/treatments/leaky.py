"""Activations whose gradient is nowhere zero."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._activating import activate
from netwright.doctor.treatments._running import hidden_activations
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("leaky", grade="ask", cures=("dead-relu",))
def leaky(course: Course, finding: Finding) -> Iterator[Plan]:
    """LeakyReLU or ELU in the place of every hidden ReLU; the weights stay.

    It removes the symptom: what threw the units below zero is still there, and a lower rate or the
    dead drawn anew come first.

    Source: Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models;
    Clevert, Unterthiner & Hochreiter 2016.
    """
    modules = dict(course.model.named_modules())
    if not any(isinstance(modules[path], nn.ReLU) for path in hidden_activations(course)):
        return
    yield Plan(
        says=Phrase("leaky ReLU in the place of ReLU"),
        apply=lambda course: activate(course, nn.LeakyReLU, only=nn.ReLU, drawn=False),
    )
    yield Plan(
        says=Phrase("ELU in the place of ReLU"),
        apply=lambda course: activate(course, nn.ELU, only=nn.ReLU, drawn=False),
    )
