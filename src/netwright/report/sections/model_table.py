"""The model: every layer with its output, parameters and multiplications."""

from __future__ import annotations

from typing import Any

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.bars import bar
from netwright.report.material import Material, mapping, sequence
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import fold, note, table
from netwright.report.words import NONE, count, magnitude, named, number, size, whole

_UNFOLDED = 16
_BYTES_PER_WEIGHT = 4  # float32


@SECTIONS.register("model", order=90)
def model_table(material: Material, allowance: Allowance) -> Part | None:
    """Totals first; the layers folded when there are many."""
    layers = [mapping(each) for each in sequence(material.model.get("layers"))]
    params, macs = number(material.model.get("params")), number(material.model.get("macs"))
    if not layers and params is None:
        return None
    words = {
        "name": named_plain(material.model_name),
        "params": count(whole(params)),
        "size": size(None if params is None else params * _BYTES_PER_WEIGHT),
    }
    if macs is None and not layers:
        lead = say("{name}: {params} parameters ({size} as float32).", **words)
    else:
        lead = say(
            "{name}: {params} parameters ({size} as float32), {macs} multiply-adds for one image.",
            macs=magnitude(macs),
            **words,
        )
    if not layers:
        return Part(title=say("The model"), lead=lead, body="")
    body = _layers(layers[: allowance.rows], params, macs)
    if len(layers) > allowance.rows:
        body += note(
            say("{more} more are listed in model.json.", more=f"{len(layers) - allowance.rows:,}")
        )
    if len(layers) > _UNFOLDED:
        body = fold(say("All {count} layers", count=f"{len(layers):,}"), body)
    return Part(title=say("The model"), lead=lead, body=body)


def named_plain(text: str) -> str:
    """A name for the middle of a sentence."""
    return text if len(text) <= 60 else text[:59] + "…"


def _layers(layers: list[Any], params: float | None, macs: float | None) -> str:
    most = max((number(layer.get("params")) or 0 for layer in layers), default=0)
    rows = []
    for layer in layers:
        held = number(layer.get("params"))
        output = sequence(layer.get("output"))[:6]
        rows.append(
            [
                f"<code>{named(layer.get('name', ''), 40)}</code>",
                named(layer.get("kind", ""), 24),
                html_text(" × ".join(str(whole(each) or NONE) for each in output) or NONE),
                count(whole(held)) if held else NONE,
                bar((held or 0) / most, "other") if most and held else "",
                magnitude(number(layer.get("macs"))) if number(layer.get("macs")) else NONE,
            ]
        )
    head = [say("layer"), say("kind"), say("output"), say("parameters"), "", say("multiply-adds")]
    foot = [html_text(say("total")), "", "", count(whole(params)), "", magnitude(macs)]
    return table(head, rows, kinds="ttnnbn", foot=foot)
