"""Dilated convolutions in a row whose rates share a divisor."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import CONVOLUTIONS, Graph, layers_of, listed, named, option
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, Operation


@CONDITIONS.register(
    "gridding",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="warn",
)
def gridding(record: InspectionRecord) -> Iterator[Finding]:
    """Dilated kernels follow each other with rates that have a common divisor.

    Why it hurts: with rates 2, 2, 2 a unit reads every second place only, and its neighbour the
    others: two grids that never meet. Output falls into a chequered pattern, and of the field's
    area a part alone is read.

    Evidence: the rates along the path, their greatest common divisor, and how many rows of the
    field are read, squared for the area. It is a warning where pixels inside the field are never
    read, a note where the grids are of features that overlap.

    Would be wrong if: a dense kernel at least as wide as the divisor comes before or after them.

    Not to be confused with: branches side by side with several rates (ASPP), and rates 1, 2, 5 or
    1, 2, 4, 8, which leave no hole.

    Treatment: rates without a common divisor, or a last layer of rate 1; ask.

    Source: Wang et al. 2018, Understanding convolution for semantic segmentation, sec. 3.2; Yu,
    Koltun & Funkhouser 2017, Dilated residual networks.
    """
    graph = Graph(record)
    wide = {
        each.number: each
        for each in record.operations
        if each.name in CONVOLUTIONS and max(graph.kernel(each), default=1) > 1
    }
    if all(_rate(each) == 1 for each in wide.values()):
        return
    before = {number: _nearest(graph, each, wide) for number, each in wide.items()}
    runs = [
        run
        for number in wide
        if not _goes_on(wide, before, number)
        and len(run := _run(wide, before, number)) > 1
        and not _is_bridged(graph, wide, before, run)
    ]
    if not runs:
        return
    run = max(runs, key=lambda each: (math.gcd(*map(_rate, each)), len(each)))
    yield _finding(run)


def _finding(run: list[Operation]) -> Finding:
    rates, divisor = [_rate(each) for each in run], math.gcd(*map(_rate, run))
    last = run[-1]
    evidence = [
        Evidence(
            signal=Phrase("greatest common divisor of the rates {rates}",
                          rates=", ".join(map(str, rates))),
            value=divisor,
            baseline=1,
        )
    ]  # fmt: skip
    known = [each for each in last.fields if each.size and each.reads]
    read = math.prod((each.reads or 1) / (each.size or 1) for each in known)
    if known and read < 1:
        evidence.append(
            Evidence(
                signal=Phrase("pixels of its field that {layer} reads", layer=named(last)),
                value=read,
                baseline=1,
                unit="share",
                witness="harm",
                layer=last.layer,
            )
        )
    return Finding(
        name="gridding",
        severity="warn" if known and read < 1 else "note",
        layers=layers_of(run),
        what=Phrase(
            "{layers}: the rates {rates} have the common divisor {divisor}",
            layers=listed([named(each) for each in run]),
            rates=", ".join(map(str, rates)),
            divisor=divisor,
        ),
        evidence=tuple(evidence),
        formula="n layers of 3x3 at rate m read ((2n + 1) / (2mn + 1))^2 of their field",
        cause=Phrase("Every step from place to place is a multiple of {divisor}.",
                     divisor=divisor),
        wrong_if=Phrase("a kernel of rate 1 and at least {divisor} wide is beside them",
                        divisor=divisor),
        treatments=(
            Treatment(
                name="mixed-rates",
                grade="ask",
                why=Phrase("Take rates without a common divisor, such as 1, 2, 5, or end with "
                           "rate 1."),
            ),
        ),
    )  # fmt: skip


def _rate(operation: Operation) -> int:
    given = option(operation, "dilation", 1)
    return max(given) if isinstance(given, list | tuple) and given else int(given or 1)


def _nearest(graph: Graph, operation: Operation, wide: dict[int, Operation]) -> set[int]:
    """The kernels wider than 1 that are met first on the ways back."""
    found, waiting, seen = set(), list(graph.data(operation)), set()
    while waiting:
        number = waiting.pop()
        if number in seen or number < 0:
            continue
        seen.add(number)
        if number in wide:
            found.add(number)
            continue
        made = graph.get(number)
        waiting += graph.data(made) if made is not None else ()
    return found


def _shared(first: Operation, second: Operation) -> bool:
    return math.gcd(_rate(first), _rate(second)) > 1


def _goes_on(wide: dict[int, Operation], before: dict[int, set[int]], number: int) -> bool:
    """Whether a later kernel continues the row that `number` is in."""
    return any(number in before[other] and _shared(wide[other], wide[number]) for other in wide)


def _run(wide: dict[int, Operation], before: dict[int, set[int]], number: int) -> list[Operation]:
    """The row of kernels back from `number` whose rates share a divisor, the first one first; of
    several ways back the one through the nearest kernel."""
    run, divisor = [wide[number]], _rate(wide[number])
    while True:
        fitting = [n for n in before[run[0].number] if math.gcd(divisor, _rate(wide[n])) > 1]
        if not fitting:
            return run
        divisor = math.gcd(divisor, _rate(wide[max(fitting)]))
        run.insert(0, wide[max(fitting)])


def _is_bridged(
    graph: Graph, wide: dict[int, Operation], before: dict[int, set[int]], run: list[Operation]
) -> bool:
    """Whether a kernel as wide as the divisor reads place by place, right before the row or
    anywhere behind it: the offsets of kernels in a row add up, whatever their order."""
    divisor = math.gcd(*map(_rate, run))

    def bridges(number: int) -> bool:
        return _rate(wide[number]) == 1 and max(graph.kernel(wide[number])) >= divisor

    if any(bridges(number) for number in before[run[0].number]):
        return True
    behind = {run[-1].number}
    for number in sorted(wide):
        if not before[number].isdisjoint(behind):
            behind.add(number)
            if bridges(number):
                return True
    return False
