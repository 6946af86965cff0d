"""A network that ends in batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import BATCH_NORMS, Graph, is_view, named
from netwright.doctor.conditions._terms import last_operation, terms_of
from netwright.records.facts.objective import TermFact
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord
from netwright.records.record import Record

NORMS = ("batch_norm", "instance_norm")
"""Mean 0 and variance 1 over the batch, or over the places of each sample."""

HIGH = 0.1
"""Of what guessing costs: a floor that no training gets under. Half of what counts for a softmax
too many, for a norm has no other use there."""


@CONDITIONS.register(
    "batchnorm-on-output",
    reads=(InspectionRecord, Record),
    when="before the first step",
    group="output",
    severity="warn",
)
def batchnorm_on_output(record: InspectionRecord | Record) -> Iterator[Finding]:
    """The last thing before the output is batch normalisation.

    Why it hurts: each output is forced to the mean beta and the spread gamma over the batch, so
    that what the network says of one sample depends on its neighbours, and confident logits need a
    gamma that grows. On a regression the targets' scale has to be learned through gamma alone.

    Evidence: the graph: the operation that made the output, views aside. A warning where the norm
    has no gamma: outputs of mean 0 and variance 1 give the loss a floor. The mean margin of C
    classes is C / sqrt(C - 1) at the most (each output is correlated with its class by 1 at the
    most), and cross-entropy is convex: it stays above ln(1 + (C - 1) exp(-C / sqrt(C - 1))), 0.278
    for ten classes. A squared error stays above the square of the targets' mean.

    Would be wrong if: the output is an embedding that is compared and not a prediction.

    Not to be confused with: a norm on the input, which is unusual and harmless.

    Treatment: take the last norm away; it changes the experiment: ask.

    Source: Ioffe & Szegedy 2015, Batch normalization.
    """
    if isinstance(record, Record):
        yield from _without_gamma(record)
        inspected = record.get(InspectionRecord)
        if inspected is None:
            return
        record = inspected
    graph = Graph(record)
    for number in graph.results:
        made = graph.get(number)
        while made is not None and is_view(made):
            data = graph.data(made)
            made = graph.get(data[0]) if len(data) == 1 else None
        if made is None or made.name not in BATCH_NORMS:
            continue
        width = made.output[1] if len(made.output) > 1 else 1
        yield Finding(
            name="batchnorm-on-output",
            severity="note",
            layers=(made.layer,),
            what=Phrase("{layer} normalises the output of the network", layer=named(made)),
            evidence=(
                Evidence(
                    signal=Phrase("channels of the output that batch normalisation rescales"),
                    value=width,
                    baseline=0,
                    layer=made.layer,
                ),
            ),
            formula="y = gamma (x - mean) / std + beta, over the batch",
            cause=Phrase("Nothing but views lies between {layer} and the output.",
                         layer=named(made)),
            wrong_if=Phrase("the output is an embedding to be compared, and no prediction"),
            treatments=(
                Treatment(
                    name="drop-last-norm",
                    grade="ask",
                    why=Phrase("Let the network end in its last layer, without the norm."),
                ),
            ),
        )  # fmt: skip


def _without_gamma(record: Record) -> Iterator[Finding]:
    """A norm without weights between the last layer and the loss."""
    for term in terms_of(record):
        floor, constant = _floor(term), term.constant
        if last_operation(term) not in NORMS:
            continue
        harm: tuple[Evidence, ...] = ()
        if floor is not None and constant and floor >= HIGH * constant:
            harm = (
                Evidence(
                    signal=Phrase("the least that the loss can reach, against guessing"),
                    value=floor,
                    baseline=constant,
                    threshold=HIGH * constant,
                    witness="harm",
                ),
            )
        yield Finding(
            name="batchnorm-on-output",
            severity="warn" if harm else "note",
            what=Phrase("The output of the network is normalised over the batch before {loss}",
                        loss=term.kind)
            if last_operation(term) == "batch_norm"
            else Phrase("The output of the network is normalised over each sample before {loss}",
                        loss=term.kind),
            evidence=(
                Evidence(
                    signal=Phrase("batch norms between the last layer and the loss"),
                    value=1,
                    baseline=0,
                ),
                *harm,
            ),
            formula="loss >= ln(1 + (C - 1) exp(-C / sqrt(C - 1)))"
            if term.kind == "cross_entropy"
            else "",
            cause=Phrase("Outputs of mean 0 and variance 1 cannot be as sure as they are right."),
            wrong_if=Phrase("the output is an embedding to be compared, and no prediction"),
            treatments=(
                Treatment(
                    name="drop-last-norm",
                    grade="ask",
                    why=Phrase("Let the network end in its last layer, without the norm."),
                ),
            ),
        )  # fmt: skip
        return


def _floor(term: TermFact) -> float | None:
    """The least that the loss can be on outputs of mean 0 and variance 1 over the batch."""
    if term.by_hand or term.weighted or term.smoothing:
        return None
    if term.kind == "cross_entropy" and (term.classes or 0) >= 2:
        classes = term.classes or 2
        return math.log1p((classes - 1) * math.exp(-classes / math.sqrt(classes - 1)))
    if term.kind == "binary_cross_entropy_with_logits":
        return math.log1p(math.exp(-1))
    if term.kind == "mse_loss" and term.target_mean is not None:
        return term.target_mean**2
    return None
