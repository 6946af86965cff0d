"""Gradients that grow on their way to the input, or leap from step to step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._flow import bad, columns
from netwright.doctor.conditions._roots import PROVED
from netwright.records.facts.layers import Layers
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

_DEEP = 4
_RISE = 1e3
_LINE = 0.8
# A norm so many times the median of those looked at, at one look in eight.
_LEAP, _OFTEN, _LOOKS = 10.0, 0.12, 12
# Leaps from an ordinary look to a high one.
_AGAIN = 2


@CONDITIONS.register(
    "exploding-gradients",
    reads=Record,
    when="in the first steps",
    group="start",
    severity="stop",
    yields_to=(*PROVED, "learning-rate-too-high"),
)
def exploding_gradients(record: Record) -> Iterator[Finding]:
    """The gradient grows geometrically on its way to the input, or leaps again and again.

    Why it hurts: one step along such a gradient undoes many; the rate that the first layers bear
    leaves the last ones standing.

    Evidence: the gradient by the outputs of the layers, the first against the last, with one slope
    in between; or norms of the whole gradient that leap to ten times their median again and again;
    and with either of them steps that raise the loss of their own batch, a loss at guessing, a
    batch that cannot be fitted, or values that are not finite.

    Would be wrong if: the loss falls steadily all the same: then nothing is said.

    Not to be confused with: a rate too high, which makes all gradients grow by what it does to the
    weights; one odd batch.

    Treatment: clipping by the global norm, a lower rate, an initialiser to match the activation,
    normalisation; ask.

    Source: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.
    """
    harm = bad(record)
    if not harm:
        return
    cause: list[Evidence] = []
    names: tuple[str, ...] = ()
    layers = record.get(Layers)
    flow = [] if layers is None else [e for e in columns(layers, "gradient_rms") if e.median > 0]
    if len(flow) >= _DEEP:
        sizes = np.array([each.median for each in flow])
        ratio = float(sizes[0] / sizes[-1])
        line = -float(np.corrcoef(np.arange(len(sizes)), np.log(sizes))[0, 1]) if ratio > 1 else 0
        if ratio > _RISE and line > _LINE:
            names = tuple(each.name for each in flow[: max(1, len(flow) // 3)])
            cause.append(
                Evidence(
                    signal=Phrase("gradient at the first layer's output, of that at the last's"),
                    value=ratio,
                    baseline=1.0,
                    threshold=_RISE,
                    unit="times",
                    layer=flow[0].name,
                )
            )
    cause += _leaps(record.get(Steps))
    if not cause:
        return
    yield Finding(
        name="exploding-gradients",
        severity="stop",
        layers=names,
        what=Phrase("The gradient grows {ratio:.1e} times from the last layer to the first",
                    ratio=cause[0].value)
        if names
        else Phrase("The norm of the gradient leaps to ten times its median and more"),
        evidence=(*cause, *harm),
        formula="gradient at layer k ~ r^(depth - k), r > 1",
        cause=Phrase("Each layer passes back more than it gets.")
        if names
        else Phrase("Some batches or states give gradients far larger than the rest."),
        wrong_if=Phrase("the loss falls steadily all the same"),
        treatments=(
            Treatment(
                name="start",
                grade="ask",
                why=Phrase("A lower rate, an initialiser to match, or normalisation."),
            ),
            Treatment(
                name="other-activation",
                grade="ask",
                why=Phrase("ReLU or GELU in the hidden layers."),
            ),
            Treatment(
                name="clip",
                grade="ask",
                why=Phrase("Clip the gradient by its global norm, at the median that was seen."),
                code="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            ),
        ),
    )  # fmt: skip


def _leaps(steps: Steps | None) -> list[Evidence]:
    norms = np.zeros(0) if steps is None else steps.raw_grad_norm
    known = np.isfinite(norms) & (norms > 0)
    if steps is None or np.count_nonzero(known) < _LOOKS:
        return []
    high = norms[known] > _LEAP * np.median(norms[known])
    rho = steps.rho[known]
    worse = high & (rho < 0)
    share = float(np.mean(high))
    # A gradient that begins large and settles is no leap, and one leap is one odd batch.
    leaps = int(np.count_nonzero(high[1:] & ~high[:-1]))
    if share < _OFTEN or not worse.any() or leaps < _AGAIN:
        return []
    return [
        Evidence(
            signal=Phrase("steps looked at with a gradient of ten times the median"),
            value=share,
            baseline=0.0,
            threshold=_OFTEN,
            unit="share",
        )
    ]
