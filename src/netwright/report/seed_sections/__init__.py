"""The sections of the report on a run over several seeds: one file each, by their `order`.

They are to `SeedsMaterial` what `netwright.report.sections` are to the material of one run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from netwright.core.registry import Registry
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.seeds_material import SeedsMaterial

SeedSection: TypeAlias = Callable[[SeedsMaterial, Allowance], Part | None]

SEED_SECTIONS: Registry[SeedSection] = Registry(
    "section of the report on seeds", "netwright.report.seed_sections"
)
