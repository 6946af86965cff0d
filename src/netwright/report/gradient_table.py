"""A check of gradients as text: a row for each tensor, and under it what is wrong and where."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.escaping import terminal
from netwright.core.languages import Phrase, say
from netwright.records.gradients import GradientRecord, GradientRow
from netwright.report.text_table import Column, aligned
from netwright.report.words import NONE

SHOWN = 5
"""So many wrong tensors are told of one by one, those of the layers to blame first."""

_WORDS = {
    "ok": Phrase("ok"),
    "wrong": Phrase("wrong"),
    "not finite": Phrase("not finite"),
    "kink": Phrase("kink"),
    "not differentiable": Phrase("not differentiable"),
    "no gradient wanted": Phrase("no gradient wanted"),
}


def gradient_lines(record: GradientRecord, *, cells: int = 80) -> list[str]:
    """The table at most `cells` wide, and a line for each thing to be said of it."""
    return [*gradient_table(record, cells=cells), *(f"{w:<6}{t}" for w, t in told(record))]


def gradient_table(record: GradientRecord, *, cells: int = 80) -> list[str]:
    """A line for each input and each parameter, its head first."""
    rows = record.rows
    columns = [
        Column(head=say("tensor"), cells=[each.name for each in rows], right=False),
        Column(head=say("shape"), cells=[_shape(each) for each in rows], rank=1),
        Column(head=say("directions"), cells=[_number(each.directions) for each in rows], rank=3),
        Column(head=say("entries"), cells=[_number(each.entries) for each in rows], rank=4),
        Column(head=say("error"), cells=[_small(each.error) for each in rows]),
        Column(head=say("known to"), cells=[_small(each.bound) for each in rows], rank=2),
        Column(
            head=say("verdict"), cells=[_WORDS[e.verdict].localized() for e in rows], right=False
        ),
    ]
    return aligned(columns, cells=cells)


def told(record: GradientRecord) -> Iterator[tuple[str, str]]:
    """A word and what there is to say, what is wrong first."""
    wrong = sorted(
        (each for each in record.rows if each.verdict in ("wrong", "not finite")),
        key=lambda each: not any(each.name.startswith(f"{path}.") for path in record.blamed),
    )
    for row in wrong[:SHOWN]:
        told_of = _not_finite(row) if row.holes else _wrong(row)
        yield "STOP", "".join(each.localized() for each in told_of)
    if len(wrong) > SHOWN:
        yield "STOP", say("Wrong besides: {count} more.", count=len(wrong) - SHOWN)
    for row in record.rows:
        if row.verdict == "not differentiable":
            yield (
                "STOP",
                say(
                    "{name}: no derivative was found for any step, nor beside this point.",
                    name=terminal(row.name),
                ),
            )
    broken = any(each.verdict == "wrong" and not each.holes for each in record.rows)
    for path in record.blamed:
        if path and broken:
            yield (
                "STOP",
                say("The backward pass of {layer} is wrong by itself.", layer=terminal(path)),
            )
        elif path:
            yield "STOP", say("What is not finite comes from {layer}.", layer=terminal(path))
        elif wrong:
            yield (
                "STOP",
                say("All layers are right by themselves: look at the code around them."),
            )
    if record.unsearched:
        yield (
            "NOTE",
            say("Not looked at alone: {layers}.", layers=terminal(", ".join(record.unsearched))),
        )
    kinks = [each.name for each in record.rows if each.verdict == "kink"]
    if kinks:
        yield (
            "NOTE",
            say(
                "A kink stands exactly here for {names}: there is no derivative, and beside this "
                "point backprop is right.",
                names=terminal(_some(kinks)),
            ),
        )
    if record.precision != "float64":
        yield (
            "NOTE",
            say(
                "Part of it is computed in {precision} all the same: small errors are not seen.",
                precision=record.precision,
            ),
        )
    compared = [each for each in record.rows if each.verdict in ("ok", "kink")]
    if record.ok:
        yield (
            "OK",
            say(
                "Backprop is the numeric derivative. Tensors: {count}, forward passes: {passes}.",
                count=len(compared),
                passes=record.evaluations,
            ),
        )


def _wrong(row: GradientRow) -> Iterator[Phrase]:
    name = terminal(row.name)
    if row.unreached:
        yield Phrase("{name}: the output depends on it, but no gradient comes back.", name=name)
    elif row.ratio is not None:
        yield Phrase(
            "{name}: backprop gives {ratio} times the derivative.",
            name=name,
            ratio=f"{row.ratio:.{3 if abs(row.ratio - 1) > 0.01 else 6}g}",
        )
    else:
        yield Phrase("{name}: backprop is not the derivative.", name=name)
    if row.entry is not None:
        index = ", ".join(map(str, row.entry.index))
        yield Phrase(
            " Entry [{index}]: backprop {backprop:.5g}, numeric {numeric:.5g}.",
            index=index,
            backprop=row.entry.backprop,
            numeric=row.entry.numeric,
        )


def _not_finite(row: GradientRow) -> Iterator[Phrase]:
    name, shape = terminal(row.name), row.shape
    if row.holes == 1 and math.prod(shape) == 1:
        yield Phrase("{name}: backprop gives no finite number.", name=name)
    else:
        yield Phrase(
            "{name}: backprop gives no finite number for {count} of {total} entries.",
            name=name,
            count=row.holes,
            total=math.prod(shape),
        )
    if row.entry is None:
        return
    values = {
        "index": ", ".join(map(str, row.entry.index)),
        "backprop": f"{row.entry.backprop:g}",
    }
    if row.verdict == "not finite":
        yield Phrase(
            " Entry [{index}]: {backprop}; stay away from this point, as by an eps under a root or "
            "a norm.",
            **values,
        )
    else:
        numeric = f"{row.entry.numeric:.5g}"
        yield Phrase(
            " Entry [{index}]: backprop {backprop}, numeric {numeric}.", **values, numeric=numeric
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _shape(row: GradientRow) -> str:
    return "x".join(map(str, row.shape)) or "1"


def _number(count: int) -> str:
    return str(count) if count else NONE


def _small(value: float | None) -> str:
    return NONE if value is None else f"{value:.1e}"
