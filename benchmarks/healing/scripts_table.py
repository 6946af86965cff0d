"""The page of the bench of repaired scripts, made of its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from healing_table import Lines, behind, better, gain, hurt, median, near, share, worst


def page(cells: Lines, setup: Mapping[str, Any]) -> str:
    """Overall figures first, then every cell."""
    faults = [each for each in cells.values() if each["what"] == "fault"]
    hurting = [each for each in faults if hurt(each)]
    treatable = [each for each in hurting if not each["advice"]]
    ended = [each for each in treatable if "failed" not in each]
    said = [each for each in hurting if "failed" not in each and each["repaired"]]
    healthy = [e for e in cells.values() if e["what"] == "healthy" and "failed" not in e]
    cost = [each["cost"] for each in said if each["cost"] is not None]
    lost = [each["cost"] for each in ended if not each["repaired"] and each["cost"] is not None]
    states = {each["source"] for each in cells.values() if "source" in each}
    lines = [
        "# Repairing scripts",
        "",
        f"torch {setup['torch']}, {setup['processor']}, {setup['cores']} cores, one thread each; "
        "four scripts of one to two thousand steps. Scores are what they print of test data. A "
        "fault counts where the script with it ends two points or more under its twin. A cost is "
        "in steps of plain runs: the run as it is until it was stopped, all trials, and the "
        f"patched run. Measured on {len(states)} state{'s' if len(states) != 1 else ''} of the "
        "code.",
        "",
        "| | |",
        "|---|---|",
        f"| faults seeded | {len(faults)} |",
        f"| of them that hurt, and not only a person can mend | {len(treatable)} |",
        f"| repaired to within two points of the twin | "
        f"{share(map(near, ended), len(treatable))} |",
        f"| said to be repaired | {share((e['repaired'] for e in ended), len(treatable))} |",
        "| said to be repaired, and two points better than untreated on test data | "
        f"{share(map(better, said), len(said))} |",
        f"| points gained where repaired, median | {median(map(gain, said))} |",
        f"| points under the twin, median | {median(behind(e) for e in ended)} |",
        f"| cost in plain runs where repaired, median (worst) | {median(cost)} ({worst(cost)}) |",
        f"| cost of the trials where nothing helped, median (worst) | {median(lost)} "
        f"({worst(lost)}) |",
        f"| cells that failed | {sum('failed' in each for each in faults)} |",
        f"| healthy scripts, of them patched | {len(healthy)}, "
        f"{sum(bool(each['kept']) for each in healthy)} |",
        f"| seeded faults that do not hurt, of them patched | {len(faults) - len(hurting)}, "
        f"{sum(e.get('repaired', False) for e in faults if e not in hurting)} |",
        "",
        "## Every cell",
        "",
        "| cell | untreated | twin | patched | cost | kept | found |",
        "|---|---:|---:|---:|---:|---|---|",
        *(_row(name, each) for name, each in sorted(cells.items())),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, line: Mapping[str, Any]) -> str:
    if "failed" in line:
        return f"| {name} | | | | | failed: {line['failed']} | |"
    if line["what"] == "fault" and not hurt(line):
        name += " (does not hurt)"
    elif line.get("advice"):
        name += " (advice only)"
    scores = " | ".join(_number(line[each]) for each in ("control", "twin", "healed"))
    cost = f"{line['cost']:.2f}" if line["cost"] is not None else "-"
    kept = "; ".join(" + ".join(each) for each in line["kept"])
    return f"| {name} | {scores} | {cost} | {kept} | {_first(line['found'])} |"


def _first(found: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(found[:3]))


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None else "-"
