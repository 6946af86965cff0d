"""Filters whose weights have all but gone."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._flow import bad
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._roots import PROVED, THROWN
from netwright.records.facts.filters import Filters
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Share of a layer's filters.
_MANY = 0.25


@CONDITIONS.register(
    "dead-filters",
    reads=Record,
    when="after epochs",
    group="structure",
    severity="warn",
    yields_to=(*PROVED, *THROWN, "dead-relu", "over-regularised"),
)
def dead_filters(record: Record) -> Iterator[Finding]:
    """Many filters of a layer have weights of nearly zero.

    Why it hurts: they are computed and pass nothing on; the layer is narrower than it looks.

    Evidence: filters with a norm below a thousandth of the median one of their layer, as a share
    of it. It is a note, unless the loss stays at guessing or a batch cannot be fitted.

    Would be wrong if: they were pruned on purpose.

    Not to be confused with: units that are 0 on every sample though their weights are not; layers
    that start at zero whole, where the median is zero too.

    Treatment: less weight decay, the dead ones drawn anew, or a narrower layer; ask.

    Source: Mehta, Kim & Theobalt 2019, On implicit filter level sparsity in convolutional neural
    networks.
    """
    filters = record.get(Filters)
    if filters is None:
        return
    found = [each for each in filters.layers if each.dead >= max(1, _MANY * each.filters)]
    if not found:
        return
    worst = max(found, key=lambda each: each.dead / each.filters)
    harm = bad(record)
    yield Finding(
        name="dead-filters",
        severity="warn" if harm else "note",
        layers=tuple(each.name for each in found),
        what=Phrase("{count} of {all} filters of {layer} have weights of nearly zero",
                    count=worst.dead, all=worst.filters, layer=worst.name),
        evidence=(
            Evidence(
                signal=Phrase("filters of nearly zero norm; in {layers}",
                              layers=listed([each.name for each in found])),
                value=worst.dead / worst.filters,
                baseline=0.0,
                threshold=_MANY,
                unit="share",
                layer=worst.name,
            ),
            *harm,
        ),
        cause=Phrase("Weight decay or large steps have driven them to zero."),
        wrong_if=Phrase("they were pruned on purpose"),
        treatments=(
            Treatment(
                name="narrower",
                grade="ask",
                why=Phrase("Less weight decay, or a narrower layer: it gives the same."),
            ),
        ),
    )  # fmt: skip
