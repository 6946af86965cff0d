"""What the network has learned to look for: its first filters, and what layers see in an image."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.report.features import Features, LayerMaps, Looked
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import note
from netwright.report.tiles import coloured
from netwright.report.words import named, percent, short, together

# About so many screen pixels a filter and a map are high.
_FILTER, _MAP, _IMAGE = 36, 72, 96


@SECTIONS.register("features", order=85)
def features(material: Material, allowance: Allowance) -> Part | None:
    """Filters of the first convolution, before and after; feature maps of two images."""
    found = material.features
    if found is None:
        return None
    title = say("What the network has learned to look for")
    if not len(found.filters):
        return Part(
            title=title,
            body=note(
                say("This network has no convolution, so it has no filters and no feature maps.")
            ),
        )
    body = _filters(found, allowance) + _maps(material, found, allowance)
    if not body:
        return None
    return Part(
        title=title,
        lead=say(
            "A filter of the first layer answers most where the image looks like it; a feature map "
            "shows where a filter of a layer answered."
        ),
        body=body,
    )


def _filters(found: Features, allowance: Allowance) -> str:
    title = say("Filters of the first convolution")
    if found.shape:
        height, width = found.shape[2:]
        title = say(
            "Filters of {layer}, {height} x {width}", layer=found.layer, height=height, width=width
        )
    sides = [(say("after training"), found.filters)]
    if found.started is not None:
        sides.insert(0, (say("at the start"), found.started))
    shown = [(words, _tiles(tiles, allowance)) for words, tiles in sides]
    if not any(tiles for _, tiles in shown):
        return ""
    figures = "".join(
        f'<figure><figcaption>{html_text(words)}</figcaption><div class="tiles">{tiles}</div>'
        "</figure>"
        for words, tiles in shown
        if tiles
    )
    notes = [say("Middle grey is zero. Each side has one scale for all its filters.")]
    if found.shape and found.shape[1] not in (1, 3):
        notes.append(
            say("Each tile is the mean over {count} input channels.", count=found.shape[1])
        )
    if found.shape and found.shape[0] > len(found.filters):
        count = f"{found.shape[0]:,}"
        notes.append(
            say("{shown} of {count} filters are shown.", shown=len(found.filters), count=count)
        )
    return f'<h3>{html_text(title)}</h3><div class="charts">{figures}</div>{note(together(notes))}'


def _maps(material: Material, found: Features, allowance: Allowance) -> str:
    blocks = []
    for i, looked in enumerate(found.images):
        image = allowance.image(looked.image, alt=_what(material, looked), about=_IMAGE)
        rows = "".join(_row(each, i, allowance) for each in found.maps)
        if image and rows:
            blocks.append(
                f'<div class="looked"><figure>{image}<figcaption>{_said(material, looked)}'
                f'</figcaption></figure><div class="layers">{rows}</div></div>'
            )
    if not blocks:
        return ""
    told = say(
        "The maps that answer most, strongest first, the same for both images. Black is zero, "
        "yellow far above, blue below; each layer and image has a scale of its own. Beside each "
        "layer: number of maps x height x width."
    )
    return f"<h3>{html_text(say('Feature maps'))}</h3>{''.join(blocks)}{note(told)}"


def _row(maps: LayerMaps, image: int, allowance: Allowance) -> str:
    shape = " x ".join(f"{each:,}" for each in maps.shape)
    tiles = _tiles(coloured(maps.tiles[image]), allowance, channels=maps.channels, about=_MAP)
    if not tiles:
        return ""
    return (
        f"<div><p>{named(maps.layer, 24)} <small>{html_text(shape)}</small></p>"
        f'<div class="tiles maps">{tiles}</div></div>'
    )


def _tiles(
    tiles: Array, allowance: Allowance, *, channels: Sequence[int] = (), about: int = _FILTER
) -> str:
    numbers = channels or range(len(tiles))
    return "".join(
        allowance.image(tile, alt=say("channel {number}", number=number), about=about)
        for tile, number in zip(tiles, numbers, strict=False)
    )


def _what(material: Material, looked: Looked) -> str:
    return "" if looked.target is None else short(material.class_name(looked.target))


def _said(material: Material, looked: Looked) -> str:
    if looked.target is None or looked.pred is None:
        return ""
    is_a = named(material.class_name(looked.target), 18)
    sure = say("{probability} sure", probability=percent(looked.probability, 0))
    known = f"<small>{html_text(sure)}</small>" if looked.probability is not None else ""
    if looked.target == looked.pred:
        return f"<span>{is_a}</span>{known}"
    said = named(material.class_name(looked.pred), 18)
    return f'<span>{is_a} <i aria-hidden="true">→</i> <b class="said">{said}</b></span>{known}'
