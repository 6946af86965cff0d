"""The model, which is the same for every seed but for its weights."""

from __future__ import annotations

from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.sections.model_table import model_table
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial


@SEED_SECTIONS.register("model", order=95)
def model(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """The section of one run."""
    return model_table(material.typical, allowance) if material.typical else None
