"""A network that ends in batch normalisation."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import BATCH_NORMS, Graph, is_view, named
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord


@CONDITIONS.register(
    "batchnorm-on-output",
    reads=InspectionRecord,
    when="before the first step",
    group="output",
    severity="note",
)
def batchnorm_on_output(record: InspectionRecord) -> Iterator[Finding]:
    """The last thing before the output is batch normalisation.

    Why it hurts: each output is forced to the mean beta and the spread gamma over the batch, so
    that what the network says of one sample depends on its neighbours, and confident logits need a
    gamma that grows. On a regression the targets' scale has to be learned through gamma alone.

    Evidence: the graph: the operation that made the output, views aside.

    Would be wrong if: the output is an embedding that is compared and not a prediction.

    Not to be confused with: a norm on the input, which is unusual and harmless.

    Treatment: take the last norm away; it changes the experiment: ask.

    Source: Ioffe & Szegedy 2015, Batch normalization.
    """
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
