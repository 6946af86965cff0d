"""Layers over time: gradient, size of the steps and share of zeros, with the findings on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.records.facts.layers import Layers
from netwright.records.facts.setup import Setup
from netwright.records.layer_words import kinds_of, with_kind
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
    layers = _as_they_run(layers, record)
    kinds = kinds_of([layers])
    steps = [float(each) for each in layers.step]
    parts = []
    for signal, title, share in SIGNALS:
        values = _table(getattr(layers, signal), layers)
        if values is None:
            continue
        kept = [i for i in range(len(layers.names)) if np.isfinite(values[:, i]).any()]
        kept = kept[:: -(-len(kept) // MOST_LAYERS)] if kept else kept
        names = [layers.names[i] for i in kept]
        scale = scale_of(values[:, kept], share=share)
        if scale is None:
            continue
        drawn = layer_heat(
            values[:, kept],
            [with_kind(each, kinds) for each in names],
            steps,
            scale,
            title=title(),
            about=_about(values[:, kept], [with_kind(each, kinds) for each in names]),
            pins=_pins(findings, steps, names),
        )
        parts.append(f"<figure><figcaption>{html_text(title())}</figcaption>{drawn}</figure>")
    return f'<div class="maps">{"".join(parts)}</div>' if parts else ""


def _as_they_run(layers: Layers, record: Record) -> Layers:
    """Layers of which no output was seen, as norms, stand behind all others in the record: here
    each behind that layer which is registered before it."""
    setup = record.get(Setup)
    groups = [group for each in setup.optimizers for group in each.groups] if setup else []
    paths = (name.rpartition(".")[0] for group in groups for name in group.names)
    order = [each for each in dict.fromkeys(paths) if each in layers.names]
    seen = _table(layers.activation_rms, layers)
    if seen is None:
        return layers
    unseen = {name for i, name in enumerate(layers.names) if not np.isfinite(seen[:, i]).any()}
    names = [each for each in layers.names if each not in unseen or each not in order]
    for place, name in enumerate(order):
        if name in unseen:
            before = order[place - 1] if place else ""
            at = [i for i, each in enumerate(names) if each.partition(":")[0] == before]
            names.insert(at[-1] + 1 if at else 0, name)
    indices = [layers.names.index(each) for each in names]
    columns = {
        signal: getattr(layers, signal)[:, indices]
        for signal, *_ in SIGNALS
        if _table(getattr(layers, signal), layers) is not None
    }
    kinds = tuple(layers.kinds[i] if i < len(layers.kinds) else "" for i in indices)
    return dataclasses.replace(layers, names=tuple(names), kinds=kinds, **columns)


def _table(values: Array, layers: Layers) -> Array | None:
    """A signal as numbers, of the shape it should have; a file may hold anything."""
    shape = (len(layers.step), len(layers.names))
    if values.shape != shape or values.dtype.kind != "f":
        return None
    found: Array = np.where(np.isfinite(values), values, np.nan)
    return found


def _pins(findings: Sequence[Found], steps: Sequence[float], names: Sequence[str]) -> list[Pin]:
    """One for each step that has findings above a note; what was found before the first step
    stands at the first."""
    at: dict[float, list[Found]] = {}
    for each in findings:
        if each.severity != "note":
            at.setdefault(float(each.step) if each.step is not None else steps[0], []).append(each)
    return [
        Pin(
            step=step,
            names=tuple(dict.fromkeys(each.name for each in found)),
            tip=", ".join(f"{each.severity.upper()} {each.name}" for each in found),
            rows=tuple(
                i for i, name in enumerate(names) if any(name in each.layers for each in found)
            ),
        )
        for step, found in at.items()
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
