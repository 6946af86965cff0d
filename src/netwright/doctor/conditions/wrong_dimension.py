"""An operation before the loss stands on the wrong axis."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import stuck, unfit
from netwright.doctor.conditions._terms import HIGH
from netwright.records.facts.mixing import Mixing
from netwright.records.facts.pull import Pull
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

MUCH = 0.05
"""A change of an output with its neighbours, at which a prediction is another one: proposed."""

SAME = 1e-5
"""Relative change of a loss that rounding explains."""

OTHERS = 0.2
"""Share of the targets that have to be others, once samples exchange them, to tell anything."""


@CONDITIONS.register(
    "wrong-dimension",
    reads=Record,
    when="before the first step",
    group="output",
    severity="stop",
)
def wrong_dimension(record: Record) -> Iterator[Finding]:
    """A softmax goes over the samples instead of the classes, or a view mixes classes and places.

    Why it hurts: over the samples a softmax lets them compete for each class; who is in the batch
    decides what is predicted, and the n samples of one class share a sum of 1, so that each of
    them has 1/n at best. A view in place of a transposition puts the scores of other places and
    classes where the loss looks for this one.

    Evidence: the axis that the call was given and the shape of what it was given; the floor of the
    loss behind it, sum n_k ln n_k / N for log_softmax, ln(1 + (C - 1) / e) for softmax before
    cross-entropy. For a view, the share of values that stand elsewhere than a transposition would
    put them. Of any loss: it stays what it is when every sample of the training data is given the
    target of another one, as where a mean over the samples is taken before they meet.

    Would be wrong if: the samples of a batch are meant to compete.

    Not to be confused with: losses over pairs (contrastive), whose table is square; attention over
    time where time comes first; softmax over the last of (N, T, C).

    Treatment: the axis of the classes; advice with code.

    Source: torch.nn.functional.softmax takes axis 0 of three-dimensional input where none is given.
    """
    found, pull = record.get(Mixing), record.get(Pull)
    if found is not None and found.operation:
        yield _across(record, found)
    elif found is not None and found.scrambled:
        yield _scrambled(found)
    elif pull is not None and _together(pull):
        yield _averaged(pull)


def _together(pull: Pull) -> bool:
    """Whether the samples are judged together, so that no loss tells whose target is whose."""
    if pull.crossed or pull.dealt_change is None or pull.dealt_anew is None:
        return False
    return max(pull.dealt_change, pull.dealt_anew) < SAME and pull.targets_dealt > OTHERS


def _averaged(pull: Pull) -> Finding:
    return Finding(
        name="wrong-dimension",
        severity="stop" if pull.paired else "note",
        what=Phrase("The loss does not change when samples exchange their targets"),
        evidence=(
            Evidence(
                signal=Phrase("targets that are others once each sample has its neighbour's"),
                value=pull.targets_dealt,
                baseline=0,
                threshold=OTHERS,
                unit="share",
            ),
            Evidence(
                signal=Phrase("relative change of the loss when samples exchange their targets"),
                value=pull.dealt_anew or 0.0,
                baseline=1.0,
                threshold=SAME,
                witness="harm" if pull.paired else "cause",
            ),
        ),
        confidence=0.9 if pull.paired else 0.5,
        cause=Phrase("A mean or a sum over the samples comes before outputs and targets meet."),
        wrong_if=Phrase("outputs are meant to be like the targets as a set, each like any"),
        not_to_be_confused_with=Phrase("a loss between two distributions, as of a generator"),
        treatments=(
            Treatment(
                name="fix-axis",
                grade="advice",
                why=Phrase("Compare sample by sample first, and take the mean then."),
                code="loss = F.mse_loss(output, target)  # and no .mean(0) before it",
            ),
        ),
    )


def _across(record: Record, found: Mixing) -> Finding:
    harm = _floored(found) or _swayed(found) or stuck(record) or unfit(record)
    return Finding(
        name="wrong-dimension",
        severity="stop" if harm else "note",
        what=Phrase("{operation} goes over the {places} places of a sample",
                    operation=found.operation, places=found.places)
        if found.places
        else Phrase("{operation} goes over the {batch} samples of the batch",
                    operation=found.operation, batch=found.batch),
        evidence=(
            Evidence(
                signal=Phrase("values that {operation} normalises together",
                              operation=found.operation),
                value=found.places or found.batch,
                baseline=found.classes,
            ),
            *([harm] if harm else []),
        ),
        formula="sum n_k ln n_k / N" if found.operation == "log_softmax" else "",
        cause=Phrase("Its axis is that of the places, and not that of the classes.")
        if found.places
        else Phrase("Its axis is 0, where the samples lie; the classes lie along axis 1."),
        wrong_if=Phrase("the samples of a batch are meant to compete"),
        not_to_be_confused_with=Phrase("a loss over pairs of samples, whose table is square"),
        treatments=(
            Treatment(
                name="fix-axis",
                grade="advice",
                why=Phrase("Take the axis of the classes."),
                code=f"{found.operation}(logits, dim={2 if found.places else 1})",
            ),
        ),
    )  # fmt: skip


def _floored(found: Mixing) -> Evidence | None:
    if found.floor is None or not found.constant or found.floor < HIGH * found.constant:
        return None
    return Evidence(
        signal=Phrase("the least that the loss can reach, against guessing"),
        value=found.floor,
        baseline=found.constant,
        threshold=HIGH * found.constant,
        witness="harm",
    )


def _swayed(found: Mixing) -> Evidence | None:
    if found.change <= MUCH:
        return None
    return Evidence(
        signal=Phrase("change of an output with its neighbours, over the outputs' spread"),
        value=found.change,
        baseline=0,
        threshold=MUCH,
        unit="times",
        witness="harm",
    )


def _scrambled(found: Mixing) -> Finding:
    before, after = found.scrambled
    code = (
        f"output.movedim(1, -1).reshape(-1, {after[-1]})"
        if len(after) < len(before)
        else "output.transpose(1, 2)"
    )
    return Finding(
        name="wrong-dimension",
        severity="stop",
        what=Phrase("A view makes {after} of {before}, where axes have to be swapped",
                    after=str(after), before=str(before)),
        evidence=(
            Evidence(
                signal=Phrase("axes of the shape before the view"),
                value=len(before),
                baseline=len(after),
            ),
            Evidence(
                signal=Phrase("values that stand for another class or place than their own"),
                value=found.misplaced,
                baseline=0,
                unit="share",
                witness="harm",
            ),
        ),
        confidence=0.9,
        cause=Phrase("A view keeps the order in memory; only transposing moves axes."),
        wrong_if=Phrase("the layer before was meant to give its values in that order"),
        treatments=(
            Treatment(
                name="transpose",
                grade="advice",
                why=Phrase("Swap the axes, then view."),
                code=code,
            ),
        ),
    )  # fmt: skip
