"""A loss scaler that does not find its scale."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import Course, course, hardly_falls
from netwright.doctor.conditions._harm import any_of, stuck
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# From 65536, the usual beginning, sixteen halvings lead to 1: ten are a search, not a find.
_HALVINGS = 10
# Steps left out, of all: a scale that fits leaves out one in two thousand.
_SHARE = 0.2
# Entries of the gradient that became 0 on their way to the step.
_LOST = 0.5


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

    Evidence: halvings of the scaler, and the steps it left out, of all. Or entries of the gradient
    that are 0 at the step and were not after the backward pass, most of them, in a run that stands.

    Would be wrong if: the scaler began far too high; then it soon finds its scale, and the share
    of steps that are left out falls.

    Not to be confused with: the first few steps of any run with a scaler, or one halving in some
    thousand steps, by which it feels for the bound.

    Treatment: bfloat16, which has the range of single precision and needs no scaler; else the
    operation that overflows in single precision; ask.

    Source: Micikevicius et al. 2018, Mixed precision training.
    """
    loop, found = record.get(Loop), course(record)
    if loop is not None and found is not None:
        yield from _vanished(record, loop, found)
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
            Treatment(
                name="single-precision",
                grade="ask",
                why=Phrase("Keep weights in single precision."),
            ),
        ),
    )


def _vanished(record: Record, loop: Loop, found: Course) -> Iterator[Finding]:
    """Gradients that were there, and are 0 when the step reads them."""
    harm = any_of(stuck(record), hardly_falls(found), behind(record, found))
    if loop.lost_gradients < _LOST or loop.looked < 4 or not harm:
        return
    yield Finding(
        name="mixed-precision-trouble",
        severity="warn",
        what=Phrase("{share} of the gradient has become 0 between the backward pass and the step",
                    share=f"{100 * loop.lost_gradients:.0f} %"),
        evidence=(
            Evidence(
                signal=Phrase("entries of the gradient that became 0 before the step"),
                value=loop.lost_gradients,
                baseline=0.0,
                threshold=_LOST,
                unit="share",
            ),
            *harm,
        ),
        cause=Phrase("They are too small for the precision they were brought to, or somebody "
                     "strikes them out."),
        confidence=0.7,
        wrong_if=Phrase("gradients are made sparse on purpose, and the run is no better without"),
        treatments=(
            Treatment(
                name="scale-loss",
                grade="ask",
                why=Phrase("Multiply the loss before the backward pass, as a scaler does, or keep "
                           "gradients in single precision."),
                code="torch.amp.GradScaler()",
            ),
            Treatment(
                name="single-precision",
                grade="ask",
                why=Phrase("Keep weights in single precision."),
            ),
        ),
    )  # fmt: skip
