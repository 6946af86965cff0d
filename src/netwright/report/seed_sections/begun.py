"""How every seed began: the same weights, the same stages."""

from __future__ import annotations

from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.sections.begun import begun as begun_of_one
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial


@SEED_SECTIONS.register("begun", order=93)
def begun(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """The section of the seed in the middle."""
    return begun_of_one(material.typical, allowance) if material.typical else None
