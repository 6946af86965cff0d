"""The sections of the report: one file each, in the order of their `order` fact.

    @SECTIONS.register("curves", order=30)
    def curves(material: Material, allowance: Allowance) -> Part | None: ...

A section reads the `Material` and returns its `Part`, or None when the run has nothing for it.
`wide=False` lets two neighbours stand side by side on a wide screen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from netwright.core.registry import Registry
from netwright.report.material import Material
from netwright.report.pictures import Allowance


@dataclass(frozen=True, kw_only=True)
class Part:
    """One section of the page: `title` and `lead` are plain text, `body` is finished HTML."""

    title: str
    lead: str = ""
    body: str


Section: TypeAlias = Callable[[Material, Allowance], Part | None]

SECTIONS: Registry[Section] = Registry("report section", "netwright.report.sections")
