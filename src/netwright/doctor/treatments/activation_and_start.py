"""Activations that let the gradient through, and the start that goes with them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._activating import activate
from netwright.doctor.treatments._drawing import draw, draw_by_data
from netwright.doctor.treatments._running import hidden_activations, with_weights
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

RATES = (1.0, 0.1, 0.3)
"""A rate that was raised to move a network which hardly passes gradients on is too high for one
that does: eight sigmoid layers on digits stay at 10 % with ReLU and He, and reach 97 % with a
smaller rate besides."""


@TREATMENTS.register("activation-and-start", grade="ask", cures=("vanishing-gradients",))
def activation_and_start(course: Course, finding: Finding) -> Iterator[Plan]:
    """ReLU in the hidden layers with He's initialisation, at the rate as it is and at lower ones.

    Where no activation is a module of its own, or all are ReLUs, it is the start alone.

    Source: Glorot, Bordes & Bengio 2011, Deep sparse rectifier neural networks; He et al. 2015.
    """
    if next(with_weights(course.model), None) is None:
        return
    modules = dict(course.model.named_modules())
    found = [modules[path] for path in hidden_activations(course)]
    if all(isinstance(each, nn.ReLU) for each in found):
        yield Plan(
            says=Phrase("all weights drawn anew, to match the activations"),
            apply=draw,
        )
        yield Plan(
            says=Phrase("all weights drawn anew and scaled by a batch (LSUV)"),
            apply=draw_by_data,
        )
        return
    for rate in RATES:
        says = Phrase("ReLU in the hidden layers, and He's initialisation")
        if rate != 1.0:
            says = Phrase("{first}; learning rate x {rate}", first=says, rate=rate)
        yield Plan(
            says=says,
            apply=lambda course, rate=rate: activate(course, nn.ReLU, rate=rate),  # type: ignore[misc]
        )
