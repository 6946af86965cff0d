"""A loss scaler that does not find its scale."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# From 65536, the usual beginning, sixteen halvings lead to 1: ten are a search, not a find.
_HALVINGS = 10
# Steps left out, of all: a scale that fits leaves out one in two thousand.
_SHARE = 0.2


@CONDITIONS.register(
    "mixed-precision-trouble",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="stop",
    yields_to=("unscaled-input", "unscaled-target", "learning-rate-too-high"),
)
def mixed_precision_trouble(record: Record) -> Iterator[Finding]:
    """The scale of the loss is halved again and again, and steps are left out.

    Why it hurts: a step that is left out learns nothing; and a scale that has fallen far lets
    small gradients vanish in half precision.

    Evidence: halvings of the scaler, and the steps it left out, of all.

    Would be wrong if: the scaler began far too high; then it soon finds its scale, and the share
    of steps that are left out falls.

    Not to be confused with: the first few steps of any run with a scaler, or one halving in some
    thousand steps, by which it feels for the bound.

    Treatment: bfloat16, which has the range of single precision and needs no scaler; else the
    operation that overflows in single precision; ask.

    Source: Micikevicius et al. 2018, Mixed precision training.
    """
    loop = record.get(Loop)
    if loop is None or loop.scaler_halvings < _HALVINGS:
        return
    share = loop.scaler_skips / max(1, loop.scaler_skips + loop.steps)
    if share < _SHARE:
        return
    yield Finding(
        name="mixed-precision-trouble",
        severity="stop" if share > 0.9 else "warn",
        what=Phrase("The loss scaler halved its scale {count} times", count=loop.scaler_halvings),
        evidence=(
            Evidence(
                signal=Phrase("halvings of the scale"),
                value=loop.scaler_halvings,
                baseline=0,
                threshold=_HALVINGS,
            ),
            Evidence(
                signal=Phrase("steps that were left out"),
                value=share,
                baseline=0.0005,
                threshold=_SHARE,
                unit="share",
                witness="harm",
            ),
        ),
        cause=Phrase("Gradients overflow in half precision at every scale that was tried."),
        wrong_if=Phrase("the scale had begun far too high and fits now"),
        treatments=(
            Treatment(
                name="bfloat16",
                grade="ask",
                why=Phrase("Compute in bfloat16: it has the range of single precision."),
                code="torch.autocast(device, dtype=torch.bfloat16)",
            ),
            Treatment(
                name="find-overflow",
                grade="ask",
                why=Phrase("Or find what overflows, and compute that in single precision."),
            ),
        ),
    )
