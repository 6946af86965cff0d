"""Where the time of a forward pass goes: the layers that take longest, estimated and measured."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.languages import say
from netwright.records.timing import LayerTime, Timing
from netwright.report.quantities import amount
from netwright.report.text_table import Column, aligned

MOST = 12


def layer_times(found: Timing, *, cells: int = 80, most: int = MOST) -> list[str]:
    """The whole pass, then the layers without parts that take longest, in the order of their
    time: what it should be by arithmetic and bytes, what it waits for, and what it was. Layers
    that do nothing, as dropout in evaluation, are left out."""
    lines = [_whole(found)]
    working = [each for each in found.layers if each.leaf and each.seconds > 0]
    shown = sorted(working, key=_weight, reverse=True)[:most]
    columns = [
        Column(head=say("layer"), cells=[_name(each) for each in shown], right=False),
        Column(
            head=say("MACs"), cells=[amount(each.macs) if each.macs else "0" for each in shown],
            rank=2,
        ),
        Column(head=say("estimated"), cells=[duration(each.seconds) for each in shown]),
        Column(head=say("waits for"), cells=_bounds(shown), right=False, rank=1),
    ]  # fmt: skip
    if found.measured is not None:
        columns += [
            Column(
                head=say("measured"),
                cells=["-" if e.measured is None else duration(e.measured) for e in shown],
            ),
            Column(
                head=say("ratio"),
                cells=["-" if each.ratio is None else f"{each.ratio:.2f}" for each in shown],
                rank=3,
            ),
        ]
    lines += aligned(columns, cells=cells)
    rest = len(working) - len(shown)
    if rest > 0:
        lines.append(say("layers that take less: {count}", count=rest))
    return lines


def _whole(found: Timing) -> str:
    estimate = say(
        "a forward pass should take {seconds} on this machine ({processor}, {threads} threads): "
        "{compute} computing, {memory} moving bytes, {overhead} calling",
        seconds=duration(found.seconds),
        processor=found.machine.processor,
        threads=found.machine.threads,
        compute=duration(found.compute),
        memory=duration(found.memory),
        overhead=duration(found.overhead),
    )
    if found.measured is None:
        return estimate
    measured = say(
        "it took {seconds} (median of {repeats}), {ratio} of the estimate",
        seconds=duration(found.measured),
        repeats=found.repeats,
        ratio=f"{found.ratio:.2f}x" if found.ratio is not None else "-",
    )
    return f"{estimate}; {measured}"


def duration(seconds: float) -> str:
    """A time with three digits and its unit.

    >>> duration(0.0123), duration(4.2e-5), duration(2.5)
    ('12.3 ms', '42.0 us', '2.50 s')
    """
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= 0.9995 * factor:
            return f"{_three(seconds / factor)} {unit}"
    return f"{_three(seconds / 1e-6)} us"


def _three(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def _weight(layer: LayerTime) -> float:
    return layer.measured if layer.measured is not None else layer.seconds


def _name(layer: LayerTime) -> str:
    name = layer.name or layer.kind
    return f"{name} #{layer.call + 1}" if layer.call else name


def _bounds(shown: Sequence[LayerTime]) -> list[str]:
    words = {"compute": say("arithmetic"), "memory": say("memory"), "overhead": say("the call")}
    return [words[each.bound] for each in shown]
