"""What the network saw: the first batch, after augmentation and normalisation."""

from __future__ import annotations

from netwright.core.languages import say
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.words import named, short


@SECTIONS.register("first-batch", order=80)
def first_batch(material: Material, allowance: Allowance) -> Part | None:
    """The images of the first step with their labels."""
    cards = []
    for pixels, targets in material.first_batch:
        label = " + ".join(material.class_name(each) for each in dict.fromkeys(targets))
        image = allowance.image(pixels, alt=short(label), about=64)
        if image:
            cards.append(f"<figure>{image}<figcaption>{named(label, 14)}</figcaption></figure>")
    if not cards:
        return None
    return Part(
        title=say("What the network saw"),
        lead=say(
            "The first training batch after augmentation, with its labels: the last place "
            "to notice wrong labels, swapped colours or an augmentation that goes too far."
        ),
        body=f'<div class="gallery small">{"".join(cards)}</div>',
    )
