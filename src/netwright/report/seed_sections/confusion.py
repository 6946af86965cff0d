"""The confusion matrices of all seeds added up."""

from __future__ import annotations

import numpy as np

from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.report.heat import MOST_NAMED, confusion_matrix
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial
from netwright.report.tables import fold
from netwright.report.words import together


@SEED_SECTIONS.register("confusion", order=40)
def confusion(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """The sum over seeds on the split that judges; that of validation folded below."""
    counts = material.confusion(material.split)
    if counts is None or not counts.any() or len(counts) < 2:
        return None
    body = f'<figure class="middling">{_matrix(material, counts)}</figure>'
    other = material.confusion("val") if material.split == "test" else None
    if other is not None and other.any():
        title = say("The same for the validation images")
        body += fold(title, f'<figure class="middling">{_matrix(material, other)}</figure>')
    return Part(title=say("Confusion matrix"), lead=_lead(material, counts), body=body)


def _lead(material: SeedsMaterial, counts: Array) -> str:
    seeds = len(material.evidence(material.split))
    lead = (
        say(
            "Test images as {count} seeds read them, added up: rows are the true class, columns "
            "what the networks said.",
            count=seeds,
        )
        if material.split == "test"
        else say(
            "Validation images as {count} seeds read them, added up: rows are the true class, "
            "columns what the networks said.",
            count=seeds,
        )
    )
    if len(counts) > MOST_NAMED:
        lead = together([lead, say("Classes are numbered in the order of their names.")])
    return lead


def _matrix(material: SeedsMaterial, counts: Array) -> str:
    typical = material.typical or material.own
    return confusion_matrix(
        counts,
        [typical.class_name(i) for i in range(len(counts))],
        title=say("Confusion matrix"),
        about=say(
            "{right} of {total} on the diagonal",
            right=f"{int(np.trace(counts)):,}",
            total=f"{int(counts.sum()):,}",
        ),
    )
