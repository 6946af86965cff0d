"""What each augmentation does: training images as stored, and some draws of each alone."""

from __future__ import annotations

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.report.augmented import Augmented, Mixed, Shown
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.words import named, percent, short, spoken

_HIGH = 64


@SECTIONS.register("augmentations", order=82)
def augmentations(material: Material, allowance: Allowance) -> Part | None:
    """One row for each that is on."""
    rows = [
        _row(material, allowance, material.augmented, each) for each in material.augmented.shown
    ]
    if not any(rows):
        return None
    return Part(
        title=say("What each augmentation does"),
        lead=say(
            "Each alone, in the order they are applied: first an image as it is stored, then "
            "what the network is shown in its place, different draws of it. The label must still "
            "be right for every one."
        ),
        body=f'<div class="changes">{"".join(rows)}</div>',
    )


def _row(material: Material, allowance: Allowance, augmented: Augmented, shown: Shown) -> str:
    strips = [
        _strip(material, allowance, augmented, number, draws) for number, draws in shown.draws
    ]
    strips += [_mixture(material, allowance, augmented, each) for each in shown.mixed]
    if not any(strips):
        return ""
    told = spoken({"template": shown.doc}).replace("`amount`", shown.amount)
    told = told.replace("amount", shown.amount)
    written = f"aug.{short(shown.name)}={short(shown.amount, 20)}"
    return (
        f'<div class="change"><h3><code>{html_text(written)}</code> '
        f"<span>{html_text(told)}</span></h3>"
        f'<div class="strips{" three" if shown.mixed else ""}">{"".join(strips)}</div></div>'
    )


def _strip(
    material: Material,
    allowance: Allowance,
    augmented: Augmented,
    number: int,
    draws: tuple[Array, ...],
) -> str:
    """An image and what becomes of it."""
    label = _label(material, augmented, number)
    first = allowance.image(
        augmented.images[number], alt=say("{label}, as stored", label=short(label)), about=_HIGH
    )
    others = [
        allowance.image(each, alt=say("{label}, changed", label=short(label)), about=_HIGH)
        for each in draws
    ]
    if not first or not any(others):
        return ""
    return (
        f'<figure><div class="strip">{first}<i aria-hidden="true">→</i>{"".join(others)}</div>'
        f"<figcaption>{named(label, 30)}</figcaption></figure>"
    )


def _mixture(material: Material, allowance: Allowance, augmented: Augmented, mixed: Mixed) -> str:
    """Two images, the picture made of them, and the shares of their labels."""
    labels = [_label(material, augmented, each) for each in (mixed.first, mixed.second)]
    pictures = [
        allowance.image(pixels, alt=short(alt), about=_HIGH)
        for pixels, alt in (
            (augmented.images[mixed.first], labels[0]),
            (augmented.images[mixed.second], labels[1]),
            (mixed.picture, " + ".join(labels)),
        )
    ]
    if not all(pictures):
        return ""
    told = named(labels[0], 20), named(labels[1], 20)
    if mixed.share is not None:
        parts = percent(mixed.share, 0), percent(1 - mixed.share, 0)
        told = f"{told[0]} ({parts[0]})", f"{told[1]} ({parts[1]})"
    return (
        f'<figure><div class="strip">{pictures[0]}<i aria-hidden="true">+</i>{pictures[1]}'
        f'<i aria-hidden="true">→</i>{pictures[2]}</div>'
        f"<figcaption>{told[0]} + {told[1]}</figcaption></figure>"
    )


def _label(material: Material, augmented: Augmented, number: int) -> str:
    return material.class_name(augmented.targets[number]) if number < len(augmented.targets) else ""
