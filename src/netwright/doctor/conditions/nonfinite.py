"""A value that is not finite: where it came from."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment, amount
from netwright.records.record import Record

# The largest finite number of each type.
_LARGEST = {"float16": 65504.0, "bfloat16": 3.39e38, "float32": 3.40e38, "float64": 1.80e308}


@CONDITIONS.register(
    "nonfinite",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="stop",
    yields_to=(
        "learning-rate-too-high", "unscaled-input", "unscaled-target", "weights-too-large",
        "exploding-gradients", "mixed-precision-trouble", "nonfinite-input",
    ),
)  # fmt: skip
def nonfinite(record: Record) -> Iterator[Finding]:
    """A value is NaN or infinite, and the weights are about to become so.

    Why it hurts: one such value in a gradient makes every weight it reaches not a number, for
    ever; the steps after it compute nothing.

    Evidence: the first step with such a value, run again on the same batch, weights and random
    numbers with every operation looked at: the operation that made it from finite ones, the module,
    the sample of the batch and the number that went in.

    Would be wrong if: the loop leaves such steps out before the optimizer moves; it was seen that
    the optimizer was about to use the gradient.

    Not to be confused with: the first steps of a loss scaler, which leaves out those that overflow
    until its scale fits; an infinity written on purpose, as a mask.

    Treatment: by place: a small constant under the logarithm, the quotient or the root; single
    precision for the operation that overflows; the sample taken out; else a lower rate or clipped
    gradients. Each changes the experiment: ask.

    Source: Micikevicius et al. 2018, Mixed precision training; IEEE 754.
    """
    found = record.get(NonFinite)
    if found is None:
        return
    cause = [_operation(found)]
    if found.rows is not None and found.batch:
        cause.append(
            Evidence(
                signal=Phrase("samples of the batch that have it, the first is {row}",
                              row=found.row),
                value=found.rows,
                baseline=0,
                step=found.step,
            )
        )  # fmt: skip
    steps = record.get(Steps)
    lost = max(0, (steps.total if steps is not None else found.step) - found.step) + 1
    harm = Evidence(
        signal=Phrase("steps with a gradient that is not finite, or after one"),
        value=lost,
        baseline=0,
        witness="harm",
        step=found.step,
    )
    yield Finding(
        name="nonfinite",
        severity="stop" if found.stepped else "note",
        layers=(found.layer,) if found.where in ("forward", "backward", "weights", "step") else (),
        step=found.step,
        what=_what(found),
        evidence=(*cause, *([harm] if found.stepped else [])),
        cause=_cause(found),
        confidence=1.0 if found.replayed or found.where in ("input", "step") else 0.8,
        wrong_if=Phrase("the step run again is finite, or the loop leaves such steps out"),
        not_to_be_confused_with=Phrase(
            "steps that a loss scaler leaves out while it finds its scale"
        ),
        treatments=_treatments(found),
    )


def _operation(found: NonFinite) -> Evidence:
    if found.before is not None:
        return Evidence(
            signal=Phrase("what went in: {example}", example=found.example or found.operation),
            value=found.before,
            threshold=_LARGEST.get(found.dtype) if _overflow(found) else None,
            layer=found.layer,
            step=found.step,
        )
    return Evidence(
        signal=Phrase("first step with a value that is not finite"),
        value=found.step,
        layer=found.layer,
        step=found.step,
    )


def _what(found: NonFinite) -> Phrase:
    given = {"value": found.value, "step": found.step, "layer": found.layer or "(model)"}
    made = found.example or found.operation
    if found.where == "input":
        return Phrase("The batch of step {step} holds {value}", **given)
    if found.where == "target":
        return Phrase("The target of step {step} holds {value}", **given)
    if found.where == "weights":
        return Phrase("The weights of {layer} are {value} before step {step}", **given)
    if found.where == "step":
        return Phrase("{operation} made the weights of {layer} {value} before step {step}",
                      operation=found.operation, **given)  # fmt: skip
    if found.where == "forward":
        return Phrase("{made} in {layer} gives {value} at step {step}", made=made, **given)
    if found.where == "loss":
        return Phrase("{made} in the loss gives {value} at step {step}", made=made, **given)
    if found.where == "backward":
        return Phrase("The gradient of {made} is {value} at step {step}, the loss is finite",
                      made=made, **given)  # fmt: skip
    return Phrase("The loss or its gradient is not finite at step {step}", step=found.step)


def _overflow(found: NonFinite) -> bool:
    return found.value == "inf" and found.dtype in ("float16", "bfloat16")


def _cause(found: NonFinite) -> Phrase:
    if found.where in ("input", "target"):
        return Phrase("It was in the data: everything that is computed from it is bad too.")
    if found.where == "step":
        return Phrase("The gradients were finite, and the step made of them was not.")
    if found.where in ("weights", "unknown"):
        return Phrase(
            "It came about in a step before, or cannot be seen by running this one again."
        )
    if _overflow(found):
        return Phrase("The result is beyond what {dtype} can hold, {largest}.",
                      dtype=found.dtype, largest=amount(_LARGEST[found.dtype]))  # fmt: skip
    return Phrase("All that went into this operation was finite, and what came out is not.")


def _treatments(found: NonFinite) -> tuple[Treatment, ...]:
    if found.where in ("input", "target"):
        return (
            Treatment(
                name="clean-data",
                grade="ask",
                why=Phrase("Drop the samples, or fill what is missing, before they are batched."),
            ),
        )
    chosen: list[Treatment] = []
    if _overflow(found):
        chosen.append(
            Treatment(
                name="single-precision",
                grade="ask",
                why=Phrase("Run this operation in single precision, or the network in bfloat16."),
                code="with torch.autocast(device, enabled=False): ...",
            )
        )
    elif found.operation in ("log", "log2", "log10", "log1p", "logit"):
        chosen.append(
            Treatment(
                name="use-log-softmax",
                grade="ask",
                why=Phrase(
                    "Take log_softmax or logsigmoid of the logits, or clamp from below before it."
                ),
                code="torch.log(x.clamp_min(1e-8))",
            )
        )
    elif found.operation in ("div", "truediv", "true_divide", "divide", "sqrt", "rsqrt",
                             "reciprocal", "pow", "norm", "std"):  # fmt: skip
        chosen.append(
            Treatment(
                name="add-epsilon",
                grade="ask",
                why=Phrase("Add a small constant under the root or in the denominator."),
                code="x / (y + 1e-8)   # torch.sqrt(x + 1e-12)",
            )
        )
    elif found.operation in ("exp", "exp2", "expm1"):
        chosen.append(
            Treatment(
                name="bound-exponent",
                grade="ask",
                why=Phrase("Bound what goes into the exponential, or take its largest value off."),
                code="torch.exp(x.clamp_max(20))",
            )
        )
    elif found.operation == "softmax":
        chosen.append(
            Treatment(
                name="leave-one-unmasked",
                grade="ask",
                why=Phrase("A row is masked whole: leave one place of it, or a finite mask."),
            )
        )
    if found.where in ("forward", "backward") and found.layer:
        chosen.append(
            Treatment(
                name="other-activation",
                grade="ask",
                why=Phrase("Where it is an activation that makes it: ReLU or GELU in its place."),
            )
        )
    if found.where == "step":
        chosen.append(
            Treatment(
                name="larger-eps",
                grade="ask",
                why=Phrase("Give the optimizer a larger eps, or clip its gradients."),
            )
        )
    chosen.append(
        Treatment(
            name="lower-rate",
            grade="ask",
            why=Phrase("If the values had been growing: a lower rate, warm-up, clipped gradients."),
            code="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
        )
    )
    return tuple(chosen)
