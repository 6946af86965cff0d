"""Channel counts that leave the lanes of a processor idle."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import (
    CONVOLUTIONS,
    LINEAR,
    Graph,
    layers_of,
    listed,
    named,
)
from netwright.records.findings import Evidence, Finding, Treatment, amount
from netwright.records.inspection import InspectionRecord, Operation

# Lanes of float32 in a 256-bit register, and the step of half-precision matrix units.
_LANES = 8
_SHARE = 0.1  # of the products computed for nothing: below it there is nothing to be gained
_FEWEST = 10_000_000  # multiply-adds of the network: below it starting a layer takes longer


@CONDITIONS.register(
    "unaligned-channels",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
)
def unaligned_channels(record: InspectionRecord) -> Iterator[Finding]:
    """Channels that are no multiple of 8 leave lanes of the processor empty.

    Why it hurts: a register holds 8 numbers, a matrix unit works on tiles of 8 or 16. 65 channels
    cost what 72 cost.

    Evidence: for each layer with weights the products it would compute with its channels rounded
    up to the next 8, against those it counts; the sum of what is lost, as a share of the network.
    The channels of the image and of the output are given by the task and left alone.

    Would be wrong if: measured time does not fall when the channels are rounded.

    Not to be confused with: few channels on purpose, in a network so small that nothing is lost.

    Treatment: round the channels to a multiple of 8; ask, for it changes the network.

    Source: NVIDIA 2023, Deep learning performance documentation, matrix multiplication; Sandler
    et al. 2018, MobileNetV2, whose channels are rounded so.
    """
    graph = Graph(record)
    if record.macs < _FEWEST:
        return
    given = _last(graph)
    lost = [(each, _lost(graph, each, given)) for each in record.operations]
    odd = [(each, share) for each, share in lost if share > 0]
    wasted = sum(each.macs * share for each, share in odd)
    if wasted < _SHARE * record.macs:
        return
    worst, _ = max(odd, key=lambda pair: pair[0].macs * pair[1])
    start, end, groups = graph.channels(worst)
    layers = [each for each, _ in odd]
    yield Finding(
        name="unaligned-channels",
        severity="note",
        layers=layers_of(layers),
        what=Phrase(
            "{layers}: channels that are no multiple of {lanes} leave lanes empty",
            layers=listed([named(each) for each in layers]),
            lanes=_LANES,
        ),
        evidence=(
            Evidence(
                signal=Phrase("products that empty lanes compute, beside those that count"),
                value=wasted / record.macs,
                threshold=_SHARE,
                unit="share",
            ),
            Evidence(
                signal=Phrase("output channels of {layer}, which reads {start}",
                              layer=named(worst), start=start // max(1, groups)),
                value=end,
                baseline=_up(end),
                layer=worst.layer,
            ),
        ),
        formula=f"ceil(in / {_LANES}) ceil(out / {_LANES}) x {_LANES * _LANES} / (in x out) - 1",
        cause=Phrase("{layer} has {start} channels in and {end} out.",
                     layer=named(worst), start=start, end=end),
        wrong_if=Phrase("the measured time does not fall when the channels are rounded up"),
        treatments=(
            Treatment(
                name="round-channels",
                grade="ask",
                why=Phrase(
                    "Round the channels to a multiple of {lanes}: {macs} multiply-adds more cost "
                    "nothing.",
                    lanes=_LANES,
                    macs=amount(wasted),
                ),
            ),
        ),
    )  # fmt: skip


def _lost(graph: Graph, operation: Operation, last: set[int]) -> float:
    """Products computed for nothing, for each that counts."""
    if operation.name not in CONVOLUTIONS | LINEAR or operation.number not in graph.reached:
        return 0.0
    start, end, groups = graph.channels(operation)
    start //= max(1, groups)
    if min(start, end) < 1:
        return 0.0
    # A depthwise kernel runs over channels side by side; the image and the output are given.
    given = any(number < 0 for number in operation.inputs)
    rows = start if given or start == 1 else _up(start)
    columns = end if operation.number in last else _up(end)
    return rows * columns / (start * end) - 1


def _last(graph: Graph) -> set[int]:
    """The layers whose channels are the output's."""
    found = set(graph.results)
    for each in reversed(graph.operations):
        if each.number in found and each.name not in CONVOLUTIONS | LINEAR:
            found.update(number for number in graph.data(each) if number >= 0)
    return found


def _up(count: int) -> int:
    return -(-count // _LANES) * _LANES
