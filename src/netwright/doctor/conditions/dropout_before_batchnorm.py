"""Dropout upstream of batch normalisation: the spread it learns is not the spread it meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import (
    BATCH_NORMS,
    DROPOUTS,
    Graph,
    layers_of,
    listed,
    named,
    option,
)
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectedLayer, InspectionRecord, Operation


@CONDITIONS.register(
    "dropout-before-batchnorm",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
)
def dropout_before_batchnorm(record: InspectionRecord) -> Iterator[Finding]:
    """Dropout stands before batch normalisation, with no other norm between.

    Why it hurts: dropout makes values spread more in training than in use: what it keeps is
    divided by 1 - p. The norm learns the training spread and divides by it in use, where the values
    spread less. Scores in evaluation fall behind those in training.

    Evidence: the graph, and the factor by which dropout widens the spread of values round zero,
    1 / (1 - p).

    Would be wrong if: the running variance agrees with the variance of the norm's input in
    evaluation mode; wide layers between the two even it out.

    Not to be confused with: dropout behind the last norm, where it belongs, or stochastic depth,
    which drops whole branches.

    Treatment: dropout behind the last norm only, or one of the two; ask.

    Source: Li, Chen, Hu & Yang 2019, Understanding the disharmony between dropout and batch
    normalization by variance shift.
    """
    graph = Graph(record)
    idle = _idle_dropouts(record)
    pairs: list[tuple[str, float | None, Operation]] = []
    for norm in record.operations:
        dropped = _dropout_before(graph, norm, idle) if norm.name in BATCH_NORMS else None
        if dropped is not None:
            pairs.append((*dropped, norm))
    if not pairs:
        return
    layer, rate, norm = max(pairs, key=lambda pair: pair[1] or 0)
    factor = 1 / (1 - rate) if rate is not None and rate < 1 else None
    yield Finding(
        name="dropout-before-batchnorm",
        severity="note",
        layers=(layer, *layers_of([each for *_, each in pairs])),
        what=Phrase(
            "Dropout ({dropout}) stands before batch normalisation ({norms})",
            dropout=layer,
            norms=listed([named(each) for *_, each in pairs]),
        ),
        evidence=(
            Evidence(
                signal=Phrase("norms behind a dropout"), value=len(pairs), baseline=0
            ),
            *(
                [
                    Evidence(
                        signal=Phrase("spread (variance) in training, of that in use, expected"),
                        value=factor,
                        baseline=1,
                        unit="times",
                        layer=norm.layer,
                    )
                ]
                if factor is not None
                else []
            ),
        ),
        formula="var(dropout(x)) = var(x) / (1 - p), for x round zero",
        cause=Phrase("The norm learns the spread of training, and dropout widens it there only."),
        wrong_if=Phrase("the norm's running variance is that of its input in evaluation mode"),
        treatments=(
            Treatment(
                name="dropout-last",
                grade="ask",
                why=Phrase("Move the dropout behind the last norm, or use one of the two."),
            ),
        ),
    )  # fmt: skip


def _dropout_before(
    graph: Graph, norm: Operation, idle: Mapping[int, InspectedLayer]
) -> tuple[str, float | None] | None:
    """The dropout on the way back from `norm` to the norm before it, and its rate."""
    operation = norm
    while True:
        data = graph.data(operation)
        if len(data) != 1:
            return None
        layer = idle.get(data[0] + 1)
        if layer is not None and layer.inputs[:1] == (graph.shape(data[0]),):
            return layer.name, layer.rate
        made = graph.get(data[0])
        if made is None or "norm" in made.name:
            return None
        if made.name in DROPOUTS:
            rate = option(made, "p", None)
            if rate is None or rate > 0:
                return named(made), rate
        operation = made


def _idle_dropouts(record: InspectionRecord) -> dict[int, InspectedLayer]:
    """Modules for dropout that computed nothing, as in evaluation, by the operation that came
    after: the one before made what they passed on."""
    return {
        each.operations[0]: each
        for each in record.layers
        if "Dropout" in each.kind and each.operations[0] == each.operations[1] and each.rate != 0
    }
