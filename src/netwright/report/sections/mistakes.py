"""The worst mistakes as images: what it is, what the network said, how sure it was."""

from __future__ import annotations

from netwright.core.escaping import html_attribute, html_text
from netwright.core.languages import say
from netwright.report.evidence import Evidence, Mistake
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import fold
from netwright.report.words import named, percent, short


@SECTIONS.register("mistakes", order=70)
def mistakes(material: Material, allowance: Allowance) -> Part | None:
    """A gallery, the costliest mistake first; that of a second split folded below."""
    shown = [each for each in material.evidence if each.worst]
    if not shown:
        return None
    body = _gallery(material, shown[0], allowance)
    for other in shown[1:]:
        title = say("The same for {count} validation images", count=f"{other.count:,}")
        body += fold(title, _gallery(material, other, allowance))
    return Part(
        title=say("Worst mistakes"),
        lead=say("The images with the highest loss. When a label looks wrong here, it often is."),
        body=body,
    )


def _gallery(material: Material, evidence: Evidence, allowance: Allowance) -> str:
    cards = "".join(_card(material, each, allowance) for each in evidence.worst)
    return f'<div class="gallery">{cards}</div>'


def _card(material: Material, mistake: Mistake, allowance: Allowance) -> str:
    is_a, said = material.class_name(mistake.target), material.class_name(mistake.pred)
    alt = say("{true} taken for {pred}", true=short(is_a), pred=short(said))
    image = allowance.image(mistake.image, alt=alt)
    if not image:
        return ""
    sure = say("{probability} sure", probability=percent(mistake.probability, 0))
    known = f"<small>{html_text(sure)}</small>" if mistake.probability is not None else ""
    hover = f' title="{html_attribute(mistake.name)}"' if mistake.name else ""
    return (
        f"<figure{hover}>{image}<figcaption><span>{named(is_a, 18)} "
        f'<i aria-hidden="true">→</i> <b class="said">{named(said, 18)}</b></span>'
        f"{known}</figcaption></figure>"
    )
