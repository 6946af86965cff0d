"""The confusion matrix of each split."""

from __future__ import annotations

from netwright.core.languages import say
from netwright.report.evidence import Evidence
from netwright.report.heat import MOST_NAMED, confusion_matrix
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import fold
from netwright.report.words import together


@SECTIONS.register("confusion", order=40, wide=False)
def confusion(material: Material, allowance: Allowance) -> Part | None:
    """The matrix of the test images where there are some; that of validation folded below."""
    shown = [
        each
        for each in material.evidence
        if each.confusion is not None and each.count and len(each.confusion) > 1
    ]
    if not shown:
        return None
    body = f"<figure>{_matrix(material, shown[0])}</figure>"
    for other in shown[1:]:
        body += fold(
            say("The same for {count} validation images", count=f"{other.count:,}"),
            _matrix(material, other),
        )
    return Part(title=say("Confusion matrix"), lead=_lead(shown[0]), body=body)


def _lead(evidence: Evidence) -> str:
    lead = (
        say(
            "{count} test images: rows are the true class, columns what the network said.",
            count=f"{evidence.count:,}",
        )
        if evidence.split == "test"
        else say(
            "{count} validation images: rows are the true class, columns what the network said.",
            count=f"{evidence.count:,}",
        )
    )
    if evidence.confusion is not None and len(evidence.confusion) > MOST_NAMED:
        lead = together([lead, say("Classes are numbered in the order of their names.")])
    return lead


def _matrix(material: Material, evidence: Evidence) -> str:
    counts = evidence.confusion
    if counts is None:
        return ""
    names = [material.class_name(i) for i in range(len(counts))]
    return confusion_matrix(
        counts,
        names,
        title=say("Confusion matrix"),
        about=say(
            "{right} of {total} on the diagonal",
            right=f"{evidence.correct:,}",
            total=f"{evidence.count:,}",
        ),
    )
