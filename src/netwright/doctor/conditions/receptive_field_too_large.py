"""A receptive field far larger than the image."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import Graph, named, sides
from netwright.doctor.conditions._sight import has_window, last_map
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, Operation

# What truly counts is about two thirds of the field at best (Luo et al. 2016): up to 1.5 times
# the image nothing is wasted.
_TIMES = 1.5


@CONDITIONS.register(
    "receptive-field-too-large",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
    yields_to=("tiny-feature-map",),
)
def receptive_field_too_large(record: InspectionRecord) -> Iterator[Finding]:
    """The last features see more than the image: at least one and a half times its side.

    Why it hurts: for classification it hardly does; the outer part of the field counts little,
    and what lies outside the image is padding. Where the field is ten times the image the network
    was made for larger ones.

    Evidence: the receptive field of the last map against the side of the input; the first layer
    that sees the whole image already.

    Would be wrong if: larger images are used later.

    Not to be confused with: tiny-feature-map, where the strides do measurable harm; and a large
    field before a map of outputs (segmentation), which is wanted and gets no remark.

    Treatment: none, unless small things in large images matter: then fewer strides.

    Source: Luo et al. 2016, Understanding the effective receptive field.
    """
    graph = Graph(record)
    last = last_map(record, graph)
    if last is None or last.joined_by is None:  # to a map of outputs a large field is welcome
        return
    times = [size / side for size, side in zip(last.sizes, last.input_sides, strict=True)]
    if min(times) < _TIMES:
        return
    first = _first_to_see_all(record, graph, last.input_sides)
    yield Finding(
        name="receptive-field-too-large",
        severity="note",
        layers=(last.operation.layer,),
        what=Phrase(
            "The receptive field of {layer}, {field} px, is larger than the {image} px input: fine "
            "for classification",
            layer=named(last.operation),
            field=sides(last.sizes),
            image=sides(last.input_sides),
        ),
        evidence=(
            Evidence(
                signal=Phrase("receptive field, in sides of the image"),
                value=min(times),
                threshold=_TIMES,
                unit="times",
                layer=last.operation.layer,
            ),
            Evidence(
                signal=Phrase(
                    "operations until {layer} sees the whole image, of those to the last map",
                    layer=named(first),
                ),
                value=first.number,
                baseline=last.operation.number,
                layer=first.layer,
            ),
        ),
        formula="r = 1 + sum((k - 1) d x strides before)",
        cause=Phrase("{layer} already sees the whole image; what comes after looks at padding "
                     "too.", layer=named(first)),
        wrong_if=Phrase("larger images are used later"),
        treatments=(
            Treatment(
                name="fewer-strides",
                grade="advice",
                why=Phrase("Nothing for classification; for small things in large images fewer "
                           "strides or a way round them."),
            ),
        ),
    )  # fmt: skip


def _first_to_see_all(
    record: InspectionRecord, graph: Graph, input_sides: tuple[int, ...]
) -> Operation:
    return next(
        each
        for each in record.operations
        if each.number in graph.live
        and has_window(each, len(input_sides))
        and all((f.size or 0) >= side for f, side in zip(each.fields, input_sides, strict=True))
    )
