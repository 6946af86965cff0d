"""Layers that are computed and that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import Graph, layers_of, listed, named
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord

# A tenth of all products, computed for nothing, is felt; less is untidy.
_SHARE = 0.1


@CONDITIONS.register(
    "dead-branch",
    reads=InspectionRecord,
    when="before the first step",
    group="wiring",
    severity="warn",
)
def dead_branch(record: InspectionRecord) -> Iterator[Finding]:
    """A layer runs, and its result reaches no output.

    Why it hurts: its products are computed for nothing, and its weights get no gradient: it does
    not take part. Mostly a result was named and the one before it used.

    Evidence: the graph walked back from the outputs; the operations with weights that are not met,
    and their share of all multiply-adds. It is a warning from a tenth on, a note below.

    Would be wrong if: the result is kept on an attribute or by a hook, and used from there. Where
    the network asks for values (`.item()`, `.numpy()`), Python code may decide by them or hand
    them back as a new tensor: there it is silent.

    Not to be confused with: unused parameters, which no operation reads at all.

    Treatment: use the result or take the layer out: only a person knows which.
    """
    graph = Graph(record)
    if record.concrete or not graph.results:
        return
    dead = [
        each
        for each in record.operations
        if each.number not in graph.live
        and each.number in graph.reached
        and each.ruled  # else it may write where nobody knows
        and (each.macs or graph.parameters(each))
    ]
    if not dead:
        return
    macs = sum(each.macs for each in dead)
    share = macs / record.macs if record.macs else 0.0
    weights = {fact.paths: fact.numel for each in dead for fact in graph.parameters(each)}
    yield Finding(
        name="dead-branch",
        severity="warn" if share >= _SHARE else "note",
        layers=layers_of(dead),
        what=Phrase(
            "Nothing reads what {layers} computes",
            layers=listed([named(each) for each in dead]),
        ),
        evidence=(
            Evidence(
                signal=Phrase("operations with weights or products that reach no output"),
                value=len(dead),
                baseline=0,
            ),
            Evidence(
                signal=Phrase("parameters that get no gradient from any output"),
                value=sum(weights.values()),
                baseline=0,
            ),
            Evidence(
                signal=Phrase("share of all multiply-adds, computed for nothing"),
                value=share,
                threshold=_SHARE,
                unit="share",
                witness="harm",
            ),
        ),
        cause=Phrase("Walking back from the outputs, no path comes to these operations."),
        wrong_if=Phrase("the result is kept on an attribute or by a hook, and used from there"),
        treatments=(
            Treatment(
                name="use-or-remove",
                grade="advice",
                why=Phrase("Look in forward for a result that is named and not used."),
            ),
        ),
    )
