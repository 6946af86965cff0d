"""Notes: how the seeds were trained, what was guessed about the data, what could not be read."""

from __future__ import annotations

from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.sections.notes import remarks
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial


@SEED_SECTIONS.register("notes", order=90)
def notes(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """The remarks of the folder itself, then those on the data of the seed in the middle."""
    return remarks([material.own, *([material.typical] if material.typical else [])], allowance)
