"""The seeds: a dot for each on one scale, and a table that leads to the report of each."""

from __future__ import annotations

import statistics

from netwright.core.escaping import html_attribute, html_text
from netwright.core.languages import say
from netwright.report.dots import dot_chart
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial
from netwright.report.tables import fold, note, table
from netwright.report.words import NONE, duration, number, percent

# Up to here the table stands open.
_UNFOLDED = 24


@SEED_SECTIONS.register("seeds", order=25)
def seeds(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """A dot for each of what was measured, then a row for each seed."""
    body = _dots(material) if len(material.done) > 1 else ""
    listed = _table(material, allowance.rows)
    if material.count > _UNFOLDED:
        listed = fold(say("All {count} seeds", count=material.count), listed)
    return Part(title=say("The seeds"), lead=_lead(material), body=body + listed)


def _dots(material: SeedsMaterial) -> str:
    """A chart for each split, on the same scale."""
    told = {"test": say("test accuracy"), "val": say("validation accuracy")}
    known = {split: list(material.accuracies(split).values()) for split in told}
    scale = [value for values in known.values() for value in values]
    charts = []
    for split, tone in (("test", "other"), ("val", "val")):
        values = known[split]
        if not values:
            continue
        median = say("median {value}", value=percent(statistics.median(values), 2))
        chart = dot_chart(values, scale, tone=tone, title=told[split], about=median)
        caption = f"{html_text(told[split])} <small>{html_text(median)}</small>"
        charts.append(f"<figure><figcaption>{caption}</figcaption>{chart}</figure>")
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _lead(material: SeedsMaterial) -> str:
    if material.middle is None:
        return say("Each seed is a run of its own, with its own report.")
    return say(
        "Each seed is a run of its own, with its own report. Seed {seed} is the one in the middle "
        "by {metric}: it predicts when the whole run is asked.",
        seed=material.middle,
        metric=(material.typical or material.own).goal[:40],
    )


def _table(material: SeedsMaterial, most: int) -> str:
    has_test = bool(material.accuracies("test"))
    shown = list(material.seeds.items())[:most]
    rows = [_row(material, seed, each, has_test) for seed, each in shown]
    for seed in material.waiting[: max(0, most - len(rows))]:
        rows.append([str(seed), html_text(say("waiting")), *[NONE] * (4 if has_test else 3)])
    head = [say("seed"), say("status"), say("epoch kept"), say("val accuracy")]
    head += [say("test accuracy")] if has_test else []
    text = table([*head, say("time")], rows, kinds="tt" + "n" * (len(head) - 1))
    if material.count > len(rows):
        text += note(say("{more} more are in the folder.", more=material.count - len(rows)))
    return text


def _row(material: SeedsMaterial, seed: int, each: Material, has_test: bool) -> list[str]:
    measured = {found.split: found.accuracy for found in each.evidence}
    if each.goal == "val/acc1":  # known before the end, when the evidence is gathered
        measured.setdefault("val", each.best_value)
    link = html_attribute(f"seed-{seed}/report.html")
    name = f'<a href="{link}">{seed}</a>'
    if seed == material.middle:
        name += f" <small>{html_text(say('median'))}</small>"
    epoch = each.best_epoch
    cells = [
        name,
        html_text(say(each.status)),
        NONE if epoch is None else str(epoch),
        percent(measured.get("val"), 2),
    ]
    cells += [percent(measured.get("test"), 2)] if has_test else []
    return [*cells, duration(number(each.info.get("seconds")))]
