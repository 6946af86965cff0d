"""Filters that are copies of each other."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._flow import bad
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._roots import PROVED, THROWN
from netwright.doctor.conditions._start import overtaken
from netwright.records.facts.filters import Filters
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# In few dimensions two directions are often alike by chance.
_DIMENSIONS = 8
_MANY = 0.5


@CONDITIONS.register(
    "duplicate-filters",
    reads=Record,
    when="after epochs",
    group="structure",
    severity="warn",
    yields_to=(*PROVED, *THROWN, "dead-relu"),
)
def duplicate_filters(record: Record) -> Iterator[Finding]:
    """Many filters of a layer point in the same direction.

    Why it hurts: they compute one thing several times; the layer is narrower than it looks. Filters
    that started alike get the same gradients and stay alike.

    Evidence: filters with another one of their layer at a cosine beyond 0.99, or below -0.99, as a
    share of it, in layers whose filters have at least 8 weights. It is a note, unless the loss
    stays at guessing or a batch cannot be fitted.

    Would be wrong if: the layer has far more filters than its input has directions.

    Not to be confused with: filters of opposite sign that a rectifier needs in pairs, which early
    layers learn by themselves; these are some, and not half of the layer.

    Treatment: draw them anew, or a narrower layer; ask.

    Source: Shang et al. 2016, Understanding and improving convolutional neural networks via
    concatenated rectified linear units.
    """
    filters = record.get(Filters)
    if filters is None:
        return
    found = [
        each
        for each in filters.layers
        if each.fan_in >= _DIMENSIONS and each.filters >= 4 and each.alike >= _MANY * each.filters
    ]
    if not found:
        return
    worst = max(found, key=lambda each: each.alike / each.filters)
    harm = bad(record) or any_of(overtaken(record))
    yield Finding(
        name="duplicate-filters",
        severity="warn" if harm else "note",
        layers=tuple(each.name for each in found),
        what=Phrase("{count} of {all} filters of {layer} have a copy in it",
                    count=worst.alike, all=worst.filters, layer=worst.name),
        evidence=(
            Evidence(
                signal=Phrase("filters at a cosine beyond {cosine} with another; in {layers}",
                              cosine=filters.cosine, layers=listed([e.name for e in found])),
                value=worst.alike / worst.filters,
                baseline=0.0,
                threshold=_MANY,
                unit="share",
                layer=worst.name,
            ),
            *harm,
        ),
        cause=Phrase("They were alike from the beginning, or have all followed one gradient."),
        wrong_if=Phrase("there are far more filters than directions to see"),
        treatments=(
            Treatment(
                name="draw-anew",
                grade="ask",
                why=Phrase("Draw the filters at random, or make the layer narrower."),
            ),
        ),
    )  # fmt: skip
