"""Notes: how the seeds were trained, what was guessed about the data, what could not be read."""

from __future__ import annotations

from netwright.core.languages import say
from netwright.report.material import mapping
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.sections.notes import remarks
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial
from netwright.report.words import spoken


@SEED_SECTIONS.register("notes", order=90)
def notes(material: SeedsMaterial, allowance: Allowance) -> Part | None:
    """The remarks of the folder itself, then those on the data of the seed in the middle."""
    typical = [material.typical] if material.typical else []
    return remarks([material.own, *typical], allowance, more=_how(material))


def _how(material: SeedsMaterial) -> list[tuple[str, str]]:
    """Whether the seeds were trained as one stack, and what decided it."""
    stack = mapping(material.own.info.get("stack"))
    why = spoken(stack.get("why"))
    if not why:
        return []
    if stack.get("stacked") is True:
        told = say("{count} seeds are trained as one stack: {why}.", count=material.count, why=why)
    else:
        told = say("{count} seeds are trained one by one: {why}.", count=material.count, why=why)
    return [("NOTE", told)]
