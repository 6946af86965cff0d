"""Gradients that fade on their way to the input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._flow import columns
from netwright.doctor.conditions._harm import any_of, stuck, unfit
from netwright.doctor.conditions._roots import PROVED
from netwright.doctor.conditions._too_low import too_low
from netwright.records.facts.layers import Layers
from netwright.records.facts.through_time import ThroughTime
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Layers below which nothing can fade geometrically.
_DEEP = 4
# Gradient at the first layer's output against that at the last's.
_FALL = 1e-3
# Of the logarithms of the gradients against depth: a fall that is one line, and no single step.
_LINE = 0.8
# Relative update of the first layers against the median layer's.
_STILL = 1e-3


@CONDITIONS.register(
    "vanishing-gradients",
    reads=Record,
    when="in the first steps",
    group="start",
    severity="stop",
    yields_to=(
        *PROVED,
        "bottleneck",
        "saturated-units",
        "dead-relu",
        "divergence",
        "over-regularised",
    ),
)
def vanishing_gradients(record: Record) -> Iterator[Finding]:
    """The gradient fades geometrically on its way to the input.

    Why it hurts: the first layers hardly move, and the layers behind them learn from what random
    features let through.

    Evidence: the gradient of the loss by the outputs of the layers (not by their weights), the
    first against the last, with one slope in between; the relative updates of the first layers
    against the median layer's; and a loss that stays at guessing, or a batch that cannot be fitted.
    Of rows of steps the same from the last step to the first ones.

    Would be wrong if: the first layers need not learn: their relative updates are then small, and
    the loss falls all the same.

    Not to be confused with: small gradients of a run that is done, which are small everywhere; an
    optimizer that scales each weight by itself and moves the first layers in spite of it.

    Treatment: an activation that does not saturate, an initialiser to match it, batch
    normalisation or residual connections, in this order; ask.

    Source: Hochreiter 1991; Glorot & Bengio 2010, Understanding the difficulty of training deep
    feedforward neural networks.
    """
    through = list(_through_time(record))
    if through:
        yield from through
        return
    layers = record.get(Layers)
    if layers is None:
        return
    flow = [each for each in columns(layers, "gradient_rms") if each.median > 0]
    if len(flow) < _DEEP:
        return
    sizes = np.array([each.median for each in flow])
    ratio = float(sizes[0] / sizes[-1])
    line = float(np.corrcoef(np.arange(len(sizes)), np.log(sizes))[0, 1]) if ratio != 1 else 0.0
    if ratio > _FALL or line < _LINE:
        return
    updates = {each.name: each.median for each in columns(layers, "update_ratio")}
    known = [updates[each.name] for each in flow if updates.get(each.name, 0) > 0]
    cause = [
        Evidence(
            signal=Phrase("gradient at the first layer's output, of that at the last's"),
            value=ratio,
            baseline=1.0,
            threshold=_FALL,
            unit="times",
            layer=flow[0].name,
        ),
        Evidence(
            signal=Phrase("correlation of its logarithm with depth"),
            value=line,
            threshold=_LINE,
        ),
    ]
    moved = None
    if len(known) >= _DEEP:
        moved = float(np.median(known[: max(1, len(known) // 3)]) / np.median(known))
        if moved < _STILL:
            cause.append(
                Evidence(
                    signal=Phrase("relative update of the first layers, of the median layer's"),
                    value=moved,
                    baseline=1.0,
                    threshold=_STILL,
                    unit="times",
                )
            )
    # Short steps leave any loss at guessing, and any batch unfitted.
    slow = too_low(record) is not None
    harm = () if slow else any_of(stuck(record), unfit(record))
    if not harm and (moved is None or moved >= _STILL):
        return
    first = tuple(each.name for each in flow[: max(1, len(flow) // 3)])
    yield Finding(
        name="vanishing-gradients",
        severity="stop" if harm else "note",
        layers=first,
        step=int(layers.step[0]) if len(layers.step) else None,
        what=Phrase("Of the gradient at {last}, {share:.1e} is left at {first}",
                    last=flow[-1].name, share=ratio, first=flow[0].name),
        evidence=(*cause, *harm),
        formula="gradient at layer k ~ r^(depth - k), r < 1",
        cause=Phrase("Each layer passes back {rate:.2g} of the gradient it gets.",
                     rate=ratio ** (1 / (len(flow) - 1))),
        wrong_if=Phrase("the first layers need not learn"),
        not_to_be_confused_with=Phrase("small gradients everywhere, in a run that is done"),
        treatments=(
            Treatment(
                name="activation-and-start",
                grade="ask",
                why=Phrase("ReLU or GELU with He initialisation, where tanh or sigmoid saturate."),
            ),
            Treatment(
                name="norm-or-residual",
                grade="ask",
                why=Phrase("Batch normalisation, or residual connections round the layers."),
            ),
        ),
    )  # fmt: skip


def _through_time(record: Record) -> Iterator[Finding]:
    """Nothing comes back to the first steps of a row, and the run learns nothing."""
    found, harm = record.get(ThroughTime), any_of(stuck(record), unfit(record))
    if found is None or found.first > _FALL or found.line < _LINE or not harm:
        return
    yield Finding(
        name="vanishing-gradients",
        severity="stop",
        what=Phrase("Of the gradient {share:.1e} is left at the first third of {steps} steps of a "
                    "row", share=found.first, steps=found.steps),
        evidence=(
            Evidence(
                signal=Phrase("gradient at the first steps of a row, of the largest"),
                value=found.first,
                baseline=1.0,
                threshold=_FALL,
                unit="times",
            ),
            Evidence(
                signal=Phrase("correlation of its logarithm with the number of the step"),
                value=found.line,
                threshold=_LINE,
            ),
            *harm,
        ),
        formula="gradient at step t ~ r^(steps - t), r < 1",
        cause=Phrase("Each step passes back a part of the gradient it gets: what came first is "
                     "forgotten."),
        wrong_if=Phrase("the first steps say nothing of the targets"),
        treatments=(
            Treatment(
                name="shorter-way",
                grade="ask",
                why=Phrase("Read the state at the last real step and not behind the padding, or "
                           "a mean over the steps; a GRU or LSTM; recurrent weights that are "
                           "orthogonal."),
            ),
        ),
    )  # fmt: skip
