"""Operations that Netwright has no rule for: the totals leave them out."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import layers_of, listed
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord


@CONDITIONS.register(
    "unruled-operations",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
)
def unruled_operations(record: InspectionRecord) -> Iterator[Finding]:
    """Operations ran whose cost or field nobody has taught the inspection.

    Why it hurts: the multiply-adds, the memory and the receptive field behind such an operation
    are lower bounds, or not known; a comparison with another network may be unfair.

    Evidence: the names of the operations and how often they ran.

    Would be wrong if: the operations named compute no products and move no positions.

    Not to be confused with: an operation that costs nothing, whose zero is a rule.

    Treatment: none is needed for the network; read the totals as lower bounds.
    """
    unruled = [each for each in record.operations if not each.ruled]
    if not unruled:
        return
    names = [f"{name} ({count})" for name, count in record.unruled]
    yield Finding(
        name="unruled-operations",
        severity="note",
        layers=layers_of(unruled),
        what=Phrase(
            "There is no rule for {names}: the totals are lower bounds", names=listed(names, 5)
        ),
        evidence=(
            Evidence(
                signal=Phrase("operations without a rule, of {all}", all=len(record.operations)),
                value=len(unruled),
                baseline=0,
            ),
        ),
        cause=Phrase("Netwright does not know what these operations compute."),
        wrong_if=Phrase("they compute no products and move no positions"),
        treatments=(
            Treatment(
                name="lower-bounds",
                grade="advice",
                why=Phrase("Read multiply-adds, memory and fields behind them as lower bounds."),
            ),
        ),
    )
