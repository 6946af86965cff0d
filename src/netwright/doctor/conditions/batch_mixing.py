"""The output for one sample depends on the others of its batch."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import stuck, unfit
from netwright.doctor.conditions._terms import terms_of
from netwright.records.facts.failure import Failure
from netwright.records.facts.mixing import Mixing
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

NOISE = 1e-3
"""A change, over the spread of the outputs, that rounding does not explain."""

MUCH = 0.05
"""A change at which a prediction is another one: proposed, not measured."""


@CONDITIONS.register(
    "batch-mixing",
    reads=Record,
    when="before the first step",
    group="output",
    severity="stop",
    yields_to=("wrong-dimension",),
)
def batch_mixing(record: Record) -> Iterator[Finding]:
    """In evaluation mode a sample's output changes with its neighbours, or is lost among them.

    Why it hurts: the network learns from who happens to be in the batch, and predicts something
    else for the same image when it comes with others or alone. Mostly an axis is taken for
    another: a view that does not start with the batch, a recurrent layer that takes the batch for
    the time (batch_first), a mean over axis 0.

    Evidence: all samples but one were replaced; the output of that one changed by more than a
    twentieth of the spread of all outputs, or it does in a batch of its own. A note where no
    gradient leads from an output to another sample: what they share is then a measure of the batch
    that is held constant (the range of signals that are rounded), and no axis was mistaken. Or the
    loss raised since there were more or fewer rows of output than labels.

    Would be wrong if: the rows of the input are parts of one thing (nodes of a graph, points of a
    set, steps of a sequence).

    Not to be confused with: batch norm in training mode, which this is not measured in; contrastive
    losses and kernels, which compare samples with one another; recurrent layers, time first.

    Treatment: keep the batch axis first in every view, batch_first=True; advice.

    Source: Karpathy 2019, A recipe for training neural networks (use backprop to chart
    dependencies).
    """
    failure = record.get(Failure)
    if failure is not None and _lost(failure):
        yield _of_failure(failure)
        return
    found, setup = record.get(Mixing), record.get(Setup)
    if found is None or found.operation:
        return
    # What is averaged over many neighbours hardly moves with them, and much without them.
    change = max(found.change, found.change_alone or 0.0)
    if change < NOISE:
        return
    adversarial = setup is not None and setup.special == "adversarial"
    meant = adversarial or any(each.target_distinct == 1 for each in terms_of(record))
    harmful = change > MUCH and not meant and found.graded is not False
    worse = stuck(record) or unfit(record)
    yield Finding(
        name="batch-mixing",
        severity=("stop" if worse else "warn") if harmful else "note",
        what=Phrase("The output for one sample changes with the other {others} of its batch",
                    others=found.batch - 1),
        evidence=(
            Evidence(
                signal=Phrase("samples whose output stays when the others are replaced"),
                value=0,
                baseline=found.tested,
            ),
            Evidence(
                signal=Phrase("change of an output with its neighbours, over the outputs' spread")
                if change == found.change
                else Phrase("change of an output in a batch of one, over the outputs' spread"),
                value=change,
                baseline=0,
                threshold=MUCH,
                unit="times",
                witness="harm",
            ),
            *([worse] if worse else []),
        ),
        confidence=0.9,
        cause=Phrase("Somewhere in the model the axis of the samples is taken for another."),
        wrong_if=Phrase("the rows of the input are parts of one thing: nodes, points, steps"),
        not_to_be_confused_with=Phrase("batch norm, which mixes samples in training mode alone"),
        treatments=(
            Treatment(
                name="keep-batch-axis",
                grade="advice",
                why=Phrase("Keep the batch first in every view; batch_first=True where it is."),
                code="x = x.flatten(1)  # or x.view(len(x), -1)",
            ),
        ),
    )  # fmt: skip


def _lost(failure: Failure) -> bool:
    """One row of scores for each label is what a loss over classes takes."""
    given, target = failure.input_shape, failure.target_shape
    by_class = failure.kind in ("cross_entropy", "nll_loss", "multi_margin_loss")
    return by_class and len(given) == 2 and len(target) == 1 and given[0] != target[0]


def _of_failure(failure: Failure) -> Finding:
    return Finding(
        name="batch-mixing",
        severity="stop",
        step=failure.step,
        what=Phrase("There are {rows} rows of output for {labels} labels",
                    rows=failure.input_shape[0], labels=failure.target_shape[0]),
        evidence=(
            Evidence(
                signal=Phrase("rows of output"),
                value=failure.input_shape[0],
                baseline=failure.target_shape[0],
            ),
            Evidence(
                signal=Phrase("steps made until the loss ended with an error"),
                value=failure.step - 1,
                witness="harm",
                step=failure.step,
            ),
        ),
        cause=Phrase("A view counted the samples anew, or labels and images were not paired."),
        wrong_if=Phrase("the labels of this batch are too few or too many"),
        treatments=(
            Treatment(
                name="keep-batch-axis",
                grade="advice",
                why=Phrase("Keep the batch first in every view; batch_first=True where it is."),
                code="x = x.flatten(1)  # or x.view(len(x), -1)",
            ),
        ),
    )  # fmt: skip
