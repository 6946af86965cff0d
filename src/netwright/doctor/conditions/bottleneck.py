"""A layer too narrow for the classes that come after it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._capacity import far_behind, far_from_done, outdone
from netwright.doctor.conditions._graph import WEIGHTED, Graph, features, named
from netwright.doctor.conditions._harm import any_of, floored, unfit
from netwright.doctor.conditions._rate import DEEPER
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.records.facts.narrow import Narrow
from netwright.records.facts.setup import Setup
from netwright.records.facts.unread import Unread
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, Operation
from netwright.records.record import Record

MOST = 0.5
"""Share of the numbers of a sample which is most of them."""


@CONDITIONS.register(
    "bottleneck",
    reads=InspectionRecord | Record,
    when="before the first step",
    group="structure",
    severity="warn",
    yields_to=DEEPER,
)
def bottleneck(record: InspectionRecord | Record) -> Iterator[Finding]:
    """All that the network knows passes through fewer numbers than the classes need.

    Why it hurts: m units that are on or off have 2^m patterns. With fewer than log2 C of them
    two of C classes share one, and only their sizes can tell the two apart; the logits lie in a
    space of m dimensions.

    Evidence: the narrowest result of a layer that every path from the input to the output passes,
    in numbers a sample, against log2 of the outputs. It is a note. In a live network it is proved
    by closing the layer: where it puts out its mean over the batch all outputs are equal. It is a
    warning where one batch cannot be fitted at any of three rates, or where two plain hidden layers
    fit it and the run stands above half of guessing; then fewer numbers than outputs suffice. The
    same where most numbers of a sample can be exchanged for another's and no output changes.

    Would be wrong if: the rank of this layer's features over the data is enough, and a linear
    classifier on what comes before it does no better than one behind it.

    Not to be confused with: the code of an autoencoder, whose output is as large as its input; a
    narrow branch beside others (squeeze-and-excitation, bottleneck blocks).

    Treatment: more units in that layer; ask.
    """
    if isinstance(record, Record):
        unread = list(_unread(record))
        if unread:
            yield from unread
            return
    if isinstance(record, Record) and record.get(Narrow) is not None:
        yield from _closed(record)
        return
    if isinstance(record, Record):
        inspection, cannot = record.get(InspectionRecord), unfit(record)
        for found in bottleneck(inspection) if inspection is not None else ():
            yield (
                dataclasses.replace(found, severity="warn", evidence=(*found.evidence, cannot))
                if cannot is not None
                else found
            )
        return
    graph = Graph(record)
    if len(record.outputs) != 1 or len(graph.results) != 1 or len(record.outputs[0]) != 2:
        return
    classes = record.outputs[0][1]
    widths = [features(shape) for shape in record.inputs]
    if classes < 3 or not widths or classes == sum(widths):
        return
    needed = math.log2(classes)
    end = graph.results[0]
    narrow = [
        each
        for each in _passes_of_all(graph)
        if each.name in WEIGHTED and each.number < end and features(each.output) < needed
    ]
    narrow = [each for each in narrow if any(_later(graph, each))]
    if not narrow or sum(widths) < needed:
        return
    worst = min(narrow, key=lambda each: features(each.output))
    width = features(worst.output)
    yield Finding(
        name="bottleneck",
        severity="note",
        layers=(worst.layer,),
        what=Phrase(
            "{layer} passes {width} numbers on, and {classes} classes come after it",
            layer=named(worst),
            width=width,
            classes=classes,
        ),
        evidence=(
            Evidence(
                signal=Phrase("numbers a sample behind {layer}", layer=named(worst)),
                value=width,
                threshold=round(needed, 2),
                layer=worst.layer,
            ),
            Evidence(
                signal=Phrase("dimensions of the space that the logits lie in, at most"),
                value=width,
                baseline=classes - 1,
            ),
        ),
        formula=f"{width} < log2({classes}) = {needed:.2f}",
        cause=Phrase("Every path from the input to the output passes this layer."),
        wrong_if=Phrase("a linear classifier before this layer does no better than one behind it"),
        treatments=(
            Treatment(
                name="widen",
                grade="ask",
                why=Phrase("Give the layer at least as many units as there are classes."),
            ),
        ),
    )


def _closed(record: Record) -> Iterator[Finding]:
    """What the probe of a live network proves: with this layer closed nothing arrives."""
    found, setup = record.get(Narrow), record.get(Setup)
    assert found is not None
    space = found.outputs - 1 if found.classes else found.outputs
    needed = min(space, found.inputs)
    if found.width >= needed or found.copies or (setup is not None and setup.special):
        return
    plain, far, cannot = outdone(record), far_from_done(record), unfit(record)
    patterns = found.classes and found.width < math.log2(found.outputs)
    if not (plain or patterns):
        return
    deeper = floored(record) or too_high(record) or too_low(record)
    harm = () if deeper else any_of(far if plain else None, cannot if patterns else None)
    yield Finding(
        name="bottleneck",
        severity="warn" if harm else "note",
        layers=(found.layer,),
        what=Phrase("All that the network knows passes {layer}, which puts out {width} numbers, "
                    "and {outputs} outputs come after it",
                    layer=found.layer, width=found.width, outputs=found.outputs),
        evidence=(
            Evidence(
                signal=Phrase("numbers a sample behind {layer}", layer=found.layer),
                value=found.width,
                threshold=needed,
                layer=found.layer,
            ),
            Evidence(
                signal=Phrase("spread of the outputs where this layer puts out one answer for all, "
                              "of their size"),
                value=found.spread,
                layer=found.layer,
            ),
            *any_of(plain),
            *harm,
        ),
        formula=f"{found.width} < {needed}",
        cause=Phrase("Every path from the input to the output passes this layer."),
        confidence=0.8,
        wrong_if=Phrase("a linear classifier before this layer does no better than one behind it"),
        treatments=(
            Treatment(
                name="widen",
                grade="ask",
                why=Phrase("Give the layer at least as many units as there are classes."),
            ),
        ),
    )  # fmt: skip


def _unread(record: Record) -> Iterator[Finding]:
    """Most numbers of a sample do not matter to any output, and a plain network that is shown all
    of them does far better."""
    found, far = record.get(Unread), far_from_done(record) or far_behind(record)
    setup = record.get(Setup)
    if found is None or far is None or (setup is not None and setup.special):
        return
    if found.idle < MOST * found.varied:
        return
    if found.idle >= found.varied:  # a head of zeros answers to nothing at all, yet
        return
    yield Finding(
        name="bottleneck",
        severity="warn",
        what=Phrase("No output depends on {idle} of the {varied} numbers of a sample",
                    idle=found.idle, varied=found.varied),
        evidence=(
            Evidence(
                signal=Phrase("numbers that can be those of another sample, of {varied} that "
                              "differ", varied=found.varied),
                value=found.idle,
                baseline=0,
                threshold=MOST * found.varied,
            ),
            Evidence(
                signal=Phrase("change of the outputs when they are, of their size"),
                value=found.change,
            ),
            far,
        ),
        cause=Phrase("A stride, an index or a slice leaves them out, the first at {place}.",
                     place=str(found.example)),
        confidence=0.85,
        wrong_if=Phrase("what is left out says nothing of the targets"),
        treatments=(
            Treatment(
                name="read-all",
                grade="advice",
                why=Phrase("Look at strides, slices and indices before the first layers, and at "
                           "which step of a sequence is read."),
            ),
        ),
    )  # fmt: skip


def _passes_of_all(graph: Graph) -> Iterator[Operation]:
    """The operations that every path from the input to the output passes: no edge leaps them."""
    reach = -1  # the last operation that reads something made before this one
    ends = {
        number: max((each.number for each in readers if each.number in graph.live), default=number)
        for number, readers in graph.readers.items()
    }
    reach = max((end for number, end in ends.items() if number < 0), default=-1)
    for each in graph.operations:
        if each.number not in graph.live or each.number not in graph.reached:
            continue
        if reach <= each.number:
            yield each
        reach = max(reach, ends.get(each.number, each.number))


def _later(graph: Graph, operation: Operation) -> Iterator[bool]:
    """Whether a layer with weights comes after it."""
    for each in graph.operations:
        if each.number > operation.number and each.name in WEIGHTED and each.number in graph.live:
            yield True
