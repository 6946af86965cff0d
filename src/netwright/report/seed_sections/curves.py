"""Curves over seeds: the median as a line, in a band from the lowest seed to the highest."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.axes import Axis, linear, shares
from netwright.report.lines import Band, Line, line_chart
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.sections.curves import axis_note, inside, loss_axis
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial
from netwright.report.words import digits, percent, together


@SEED_SECTIONS.register("curves", order=30)
def curves(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """Up to three charts, two beside each other."""
    train, val = say("train"), say("val")
    losses = [("train/loss", train, "train"), ("val/loss", val, "val")]
    rights = [("train/acc1", train, "train"), ("val/acc1", val, "val")]
    norms = [("grad/norm", "", "other")]
    rates = [("lr/g0", "", "other")]
    charts = [
        _chart(material, say("Loss"), losses, loss_axis, digits),
        _chart(material, say("Accuracy"), rights, shares, lambda value: percent(value)),
        _chart(
            material,
            say("Learning rate"),
            rates,
            lambda values: linear(values, zero=True),
            digits,
        ),
        _chart(material, say("Gradient norm"), norms, loss_axis, digits),
    ]
    shown = "".join(each for each in charts if each)
    if not shown:
        return None
    return Part(
        title=say("Curves"), lead=_lead(material), body=f'<div class="charts">{shown}</div>'
    )


def _lead(material: SeedsMaterial) -> str:
    told = [
        say(
            "Lines are the median of {count} seeds; each band reaches from the lowest seed to the "
            "highest.",
            count=len(material.seeds),
        )
    ]
    lengths = {len(each.metrics) for each in material.seeds.values()}
    if len(lengths) > 1:
        told.append(
            say("Not all seeds are equally long: where one has ended, the others are counted.")
        )
    return together(told)


def _chart(
    material: SeedsMaterial,
    title: str,
    wanted: Sequence[tuple[str, str, str]],
    make_axis: Callable[[Sequence[float]], Axis],
    show: Callable[[float], str],
) -> str:
    lines, bands, values = [], [], []
    for metric, name, tone in wanted:
        places = {
            x: known
            for x, found in material.curves(metric).items()
            if (known := [v for each in found.values() if (v := inside(each)) is not None])
        }
        if not places:
            continue
        lines.append(
            Line(
                name=name,
                tone=tone,
                points=[(x, statistics.median(known)) for x, known in places.items()],
            )
        )
        bands.append(
            Band(tone=tone, points=[(x, min(known), max(known)) for x, known in places.items()])
        )
        values += [value for known in places.values() for value in known]
    if not values:
        return ""
    axis = make_axis(values)
    drawn = line_chart(
        lines,
        axis,
        title=title,
        about=_about(lines, bands, show),
        below=say("epoch") if material.axis == "epoch" else say("step"),
        show=show,
        bands=bands,
    )
    return f"<figure><figcaption>{html_text(title)}{axis_note(axis)}</figcaption>{drawn}</figure>"


def _about(lines: Sequence[Line], bands: Sequence[Band], show: Callable[[float], str]) -> str:
    """The chart in words: where each median ends, and between which values the seeds end."""
    told = []
    for line, band in zip(lines, bands, strict=True):
        _, low, high = band.points[-1]
        last = line.points[-1][1]
        told.append(
            say(
                "{name} ends at {last}, the seeds from {low} to {high}",
                name=line.name,
                last=show(last if last is not None else low),
                low=show(low),
                high=show(high),
            ).strip()
        )
    return "; ".join(told)
