"""The pairs of classes that are confused most often, with images."""

from __future__ import annotations

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.bars import bar
from netwright.report.evidence import Evidence
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.words import named, percent, short

_PAIRS = 6


@SECTIONS.register("pairs", order=60)
def pairs(material: Material, allowance: Allowance) -> Part | None:
    """Each pair: what it is, what it was taken for, how often, up to three images."""
    evidence = next((each for each in material.evidence if each.count), None)
    if evidence is None:
        return None
    rows = "".join(_row(material, evidence, allowance, *pair) for pair in most_confused(evidence))
    if not rows:
        return None
    return Part(
        title=say("Most confused pairs"),
        lead=say("One direction each: images of the first class that were taken for the second."),
        body=f'<ol class="pairs">{rows}</ol>',
    )


def most_confused(evidence: Evidence, limit: int = _PAIRS) -> list[tuple[int, int, int]]:
    """(true, predicted, count) of the commonest mistakes, commonest first."""
    if evidence.confusion is None:
        return []
    wrong = evidence.confusion.copy()
    for i in range(len(wrong)):
        wrong[i, i] = 0
    order = (-wrong).argsort(axis=None, kind="stable")[:limit]
    num_classes = len(wrong)
    found = [(int(k) // num_classes, int(k) % num_classes, int(wrong.flat[k])) for k in order]
    return [each for each in found if each[2]]


def _row(
    material: Material, evidence: Evidence, allowance: Allowance, true: int, pred: int, times: int
) -> str:
    total = int(evidence.confusion[true].sum()) if evidence.confusion is not None else 0
    first, second = material.class_name(true), material.class_name(pred)
    shown = [each for each in evidence.pairs if (each.target, each.pred) == (true, pred)][:3]
    alt = say("{true} taken for {pred}", true=short(first), pred=short(second))
    images = "".join(allowance.image(each.image, alt=alt, about=56) for each in shown)
    part = times / total if total else 0.0
    told = say("{times} of {total}", times=f"{times:,}", total=f"{total:,}")
    return (
        f'<li><p class="pair"><b>{named(first, 24)}</b><span aria-hidden="true">→</span>'
        f'<b class="said">{named(second, 24)}</b></p>'
        f'<div class="often">{bar(part, "wrong")}'
        f"<span>{html_text(told)} · {percent(part)}</span></div>"
        f'<div class="strip">{images}</div></li>'
    )
