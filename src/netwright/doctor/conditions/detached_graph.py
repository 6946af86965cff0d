"""An operation on the way to the loss cuts the gradient off."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._reach import flat, never_reached, no_gradient
from netwright.records.facts.reach import Cut, Reach
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

CURES = {
    "detach": Phrase("Take the detach away, or keep it for what is only printed."),
    "data": Phrase("Use the tensor itself in place of its .data."),
    "item": Phrase("Compute with tensors; take .item() of what is printed only."),
    "tolist": Phrase("Compute with tensors; take numbers of what is printed only."),
    "numpy": Phrase("Compute with torch's functions, not with NumPy's."),
    "argmax": Phrase("A choice has no gradient: give the loss the scores themselves."),
    "no_grad": Phrase("Leave torch.no_grad() for evaluation."),
}
OTHERWISE = Phrase("Compute this step with operations that have a gradient.")


@CONDITIONS.register(
    "detached-graph",
    reads=Record,
    when="before the first step",
    group="wiring",
    severity="stop",
)
def detached_graph(record: Record) -> Iterator[Finding]:
    """A call between the parameters and the loss gives a result without a gradient.

    Why it hurts: no gradient passes it. If it stands after the whole model there is nothing to
    train with, and the backward pass raises; inside the model the layers before it stay as they
    were drawn.

    Evidence: the autograd graph of the loss does not lead to these parameters, though the values
    do; the call that took a tensor with a gradient and gave one without, and its line. It is a
    note until the parameters have had no gradient at the steps looked at, for another loss may
    train them. Or every way leads through a function in steps (`round`, `sign`), and the gradient
    of the parameters before it was 0 at each look.

    Would be wrong if: the parameters get a gradient from another loss, or are meant to stay.

    Not to be confused with: targets computed without gradient (DQN, distillation), a generator's
    output detached for the discriminator's step, numbers taken for printing, features of a loaded
    network computed under no_grad.

    Treatment: as the call asks for it; advice with code.

    Source: torch's notes on autograd mechanics.
    """
    reach, setup = record.get(Reach), record.get(Setup)
    if reach is not None and reach.flat:
        yield from _in_steps(record, reach)
    if reach is None or not (reach.cuts or reach.missing):
        return
    pretrained = setup is not None and setup.pretrained
    if (not reach.attached or reach.leaf) and reach.cuts:
        yield _finding(reach, "stop", (no_gradient(reach),), 1.0)
    elif reach.missing and not reach.opaque and reach.reached:
        harm = never_reached(record, reach.missing)
        severity = "warn" if harm and not pretrained else "note"
        yield _finding(reach, severity, (harm,) if harm else (), 0.9 if harm else 0.6)


def _in_steps(record: Record, reach: Reach) -> Iterator[Finding]:
    """Rounding, signs: the graph leads on behind them, and no gradient does."""
    harm = flat(record, reach.flat)
    if harm is None:
        return
    yield Finding(
        name="detached-graph",
        severity="warn",
        layers=_layers(reach.flat),
        what=Phrase("{operation} lets no gradient through to {count} parameters",
                    operation=", ".join(reach.steps), count=len(reach.flat)),
        evidence=(
            Evidence(
                signal=Phrase("parameters that a way without such a function leads to, of those "
                              "that the loss depends on"),
                value=reach.reached - len(reach.flat),
                baseline=reach.reached,
            ),
            harm,
        ),
        confidence=0.95,
        cause=Phrase("A function in steps is flat wherever it has a slope: its gradient is 0."),
        wrong_if=Phrase("these parameters are meant to stay as they were drawn"),
        treatments=(
            Treatment(
                name="straight-through",
                grade="advice",
                why=Phrase("Pass the gradient on as if nothing had been rounded."),
                code="x = x + (torch.round(x) - x).detach()",
            ),
        ),
    )  # fmt: skip


def _finding(reach: Reach, severity: str, harm: tuple[Evidence, ...], confidence: float) -> Finding:
    first = _telling(reach.cuts)
    where = first.place or Phrase("an unknown line")
    whole = not reach.attached or reach.leaf
    return Finding(
        name="detached-graph",
        severity=severity,  # type: ignore[arg-type]
        layers=_layers(reach.missing),
        what=Phrase("{operation} ({place}) cuts the loss off from the model",
                    operation=first.operation, place=where)
        if whole
        else Phrase("{operation} ({place}) cuts {count} parameters off from the loss",
                    operation=first.operation, place=where, count=len(reach.missing)),
        evidence=(
            Evidence(
                signal=Phrase("parameters of the optimizer that the loss has a gradient for"),
                value=reach.reached,
                baseline=reach.held,
            ),
            *harm,
        ),
        confidence=confidence,
        cause=Phrase("Values go on behind {operation}, and gradients do not.",
                     operation=first.operation),
        wrong_if=Phrase("these parameters get a gradient from another loss"),
        not_to_be_confused_with=Phrase("targets or printed numbers computed without a gradient"),
        treatments=(
            Treatment(
                name="keep-gradient",
                grade="advice",
                why=CURES.get(first.operation, OTHERWISE),
                code=f"# {first.place}: {first.operation}" if first.place else "",
            ),
        ),
    )  # fmt: skip


def _telling(cuts: tuple[Cut, ...]) -> Cut:
    """The one that a reader would look for: a word of its own before a comparison or a rounding.
    Where no call is seen to cut, a hook does or a function of somebody's own."""
    if not cuts:
        return Cut(operation="a hook", place="")
    return next((each for each in cuts if each.operation in CURES), cuts[0])


def _layers(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.rpartition(".")[0] for each in names))[:8]
