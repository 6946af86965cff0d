"""Layers over time: gradient, size of the steps and share of zeros, with the findings on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.records.facts.layers import Layers
from netwright.records.facts.setup import Setup
from netwright.records.record import Record
from netwright.report.found import Found
from netwright.report.layer_heat import Pin, layer_heat, scale_of
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part

SIGNALS: tuple[tuple[str, Callable[[], str], bool], ...] = (
    ("gradient_rms", lambda: say("Gradient of the loss by the layer's output, root mean square"),
     False),
    ("update_ratio", lambda: say("Size of a step over the size of the weights"), False),
    ("zero_share", lambda: say("Share of outputs that are 0"), True),
)  # fmt: skip

MOST_LAYERS = 160
"""Rows; of a deeper network every other layer is drawn, or every third."""


@SECTIONS.register("layer-time", order=35)
def layer_time(material: Material, allowance: Allowance) -> Part | None:
    """Up to three maps for each model that the doctor watched."""
    body = ""
    for number, record in enumerate(material.patients, 1):
        maps = _maps(record, [each for each in material.findings if each.patient == number])
        setup = record.get(Setup)
        if maps and len(material.patients) > 1 and setup is not None:
            body += f"<h3>{html_text(f'{number}  {setup.model}')}</h3>"
        body += maps
    if not body:
        return None
    return Part(
        title=say("Layers over time"),
        lead=say(
            "One row a layer, in the order they run; one column a step that was looked at closely. "
            "Lines mark the steps of findings."
        ),
        body=body,
    )


def _maps(record: Record, findings: Sequence[Found]) -> str:
    layers = record.get(Layers)
    if layers is None or len(layers.step) < 2 or not layers.names:
        return ""
    steps = [float(each) for each in layers.step]
    parts = []
    for signal, title, share in SIGNALS:
        values = _table(getattr(layers, signal), layers)
        if values is None:
            continue
        kept = [i for i in range(len(layers.names)) if np.isfinite(values[:, i]).any()]
        kept = kept[:: -(-len(kept) // MOST_LAYERS)] if kept else kept
        scale = scale_of(values[:, kept], share=share)
        if scale is None:
            continue
        drawn = layer_heat(
            values[:, kept],
            [layers.names[i] for i in kept],
            steps,
            scale,
            title=title(),
            about=_about(values[:, kept], [layers.names[i] for i in kept]),
            pins=_pins(findings, steps),
        )
        parts.append(f"<figure><figcaption>{html_text(title())}</figcaption>{drawn}</figure>")
    return f'<div class="maps">{"".join(parts)}</div>' if parts else ""


def _table(values: Array, layers: Layers) -> Array | None:
    """A signal as numbers, of the shape it should have; a file may hold anything."""
    shape = (len(layers.step), len(layers.names))
    if values.shape != shape or values.dtype.kind != "f":
        return None
    found: Array = np.where(np.isfinite(values), values, np.nan)
    return found


def _pins(findings: Sequence[Found], steps: Sequence[float]) -> list[Pin]:
    """Those above a note; what was found before the first step stands at the first."""
    return [
        Pin(
            step=float(each.step) if each.step is not None else steps[0],
            label=each.name,
            severity=each.severity,
            layers=each.layers,
        )
        for each in findings
        if each.severity != "note"
    ]


def _about(values: Array, names: Sequence[str]) -> str:
    """The map in words: the first and the last layer at the last step they were seen."""
    told = []
    for i in dict.fromkeys((0, len(names) - 1)):
        known = values[np.isfinite(values[:, i]), i]
        told.append(
            say(
                "{name} from {first} to {last}",
                name=names[i],
                first=f"{known[0]:.2g}",
                last=f"{known[-1]:.2g}",
            )
        )
    return "; ".join(told)
