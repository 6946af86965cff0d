"""The data, as the seed in the middle saw them."""

from __future__ import annotations

from netwright.core.languages import say
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.sections.data import data as of_one
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial


@SEED_SECTIONS.register("data", order=100)
def data(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """The section of one run; where validation images are drawn, each seed draws its own."""
    if material.typical is None:
        return None
    part = of_one(material.typical, allowance)
    if part is None or material.middle is None:
        return part
    told = say(
        "{layout}. Counts are those of seed {seed}; where validation images are held back from "
        "training, each seed holds back its own.",
        layout=part.lead,
        seed=material.middle,
    )
    return Part(title=part.title, lead=told, body=part.body)
