"""The loss does not depend on what is to be trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._reach import LOOKS, never_reached, no_gradient
from netwright.records.facts.loop import Loop
from netwright.records.facts.pull import Pull
from netwright.records.facts.reach import Reach
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "loss-ignores-parameters",
    reads=Record,
    when="before the first step",
    group="wiring",
    severity="stop",
    yields_to=("detached-graph", "stale-optimizer", "frozen-parameters"),
)
def loss_ignores_parameters(record: Record) -> Iterator[Finding]:
    """No path leads from the loss back to any parameter that the optimizer holds.

    Why it hurts: steps are made, and nothing is trained.

    Evidence: the loss has no gradient, or is a tensor made anew; or the graph of the first loss
    ends at none of the parameters and none of them had a gradient at several steps.

    Would be wrong if: a parameter of the optimizer has a gradient after the backward pass.

    Not to be confused with: a step of another network's (a discriminator's loss leads to no
    generator), a part of the model that is frozen or unused (conditions of their own), functions
    of somebody's own that hide a part of the graph.

    Treatment: let the loss be computed from the model's output; advice.

    Source: torch's notes on autograd mechanics.
    """
    yield from _flat(record)
    reach, loop = record.get(Reach), record.get(Loop)
    if reach is None or reach.reached or not reach.held or reach.opaque:
        return
    if reach.cuts and (not reach.attached or reach.leaf):
        return  # the cut itself is named by detached-graph
    if not reach.attached or reach.leaf:
        harm: Evidence | None = no_gradient(reach)
    else:
        harm = never_reached(record)
        if harm is None or loop is None or int(harm.value) < reach.held:
            return
    assert harm is not None
    yield Finding(
        name="loss-ignores-parameters",
        severity="stop",
        what=Phrase("The loss depends on none of the {held} parameters of the optimizer",
                    held=reach.held),
        evidence=(
            Evidence(
                signal=Phrase("parameters of the optimizer that the loss has a gradient for"),
                value=reach.reached,
                baseline=reach.held,
            ),
            harm,
        ),
        cause=Phrase("The loss was made anew, without the model's output.")
        if reach.leaf
        else Phrase("The loss was computed from something else than the model's output."),
        wrong_if=Phrase("a parameter of the optimizer has a gradient after the backward pass"),
        not_to_be_confused_with=Phrase("the loss of another network in the same loop"),
        treatments=(
            Treatment(
                name="use-output",
                grade="advice",
                why=Phrase("Compute the loss from the output itself, with torch's functions."),
            ),
        ),
    )  # fmt: skip


def _flat(record: Record) -> Iterator[Finding]:
    """A graph that leads to the outputs, and a loss that does not move with them."""
    pull, steps = record.get(Pull), record.get(Steps)
    if pull is None or not pull.flat or steps is None:
        return
    sizes = steps.grad_norm[np.isfinite(steps.grad_norm)]
    if len(sizes) < LOOKS or bool((sizes > 0).any()):
        return
    yield Finding(
        name="loss-ignores-parameters",
        severity="stop",
        what=Phrase("The loss does not move with the outputs: its slope is 0 in all of them"),
        evidence=(
            Evidence(
                signal=Phrase("outputs of the first batch that the loss has a slope in"),
                value=0,
                baseline=pull.samples,
            ),
            Evidence(
                signal=Phrase("largest norm of the gradient, of {looks} steps", looks=len(sizes)),
                value=0.0,
                witness="harm",
                step=steps.total,
            ),
        ),
        cause=Phrase("A choice, a count or a rounding stands between the outputs and the loss."),
        wrong_if=Phrase("a parameter of the optimizer has a gradient that is not 0"),
        treatments=(
            Treatment(
                name="use-output",
                grade="advice",
                why=Phrase("Compute the loss from the output itself, with torch's functions."),
            ),
        ),
    )
