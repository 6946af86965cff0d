"""A finding on the screen: its name, then its numbers, its cause and what can be done; and what
the check-up did not look at."""

from __future__ import annotations

from netwright.cli.columns import screen_width, wrap
from netwright.core.escaping import terminal
from netwright.core.languages import say
from netwright.records.facts.left_out import LeftOut
from netwright.records.findings import Finding


def finding_lines(finding: Finding, where: str = "") -> list[str]:
    """One finding, its paragraphs indented under its name; `where` stands behind that."""
    head = [f"{finding.severity.upper():<9}{finding.name}"]
    if where:
        head.append(where)
    if finding.step is not None:
        head.append(say("step {step}", step=finding.step))
    lines = ["  ".join(terminal(each) for each in head)]
    width = max(40, screen_width() - 9)
    for paragraph in finding.paragraphs():
        for part in paragraph.splitlines():
            lines += [f"{'':9}{each}" for each in wrap(terminal(part), width)]
    return lines


def left_out_lines(left: LeftOut, where: str = "") -> list[str]:
    """What a check-up did not look at and why, a line for each; `where` stands before it."""
    width = max(40, screen_width() - 9)
    lines = []
    for each in left.lines():
        told = each.escaped(terminal).localized()
        first, *rest = wrap(f"{where}: {told}" if where else told, width)
        lines += [f"{say('left out'):<9}{first}", *(f"{'':9}{line}" for line in rest)]
    return lines
