"""The table of `run.py`, made of its lines alone: recall, false alarms, speed and cost.

    python benchmarks/doctor/table.py                  # doctor.jsonl, and the peers' if measured
    python benchmarks/doctor/table.py --part held-out

*Rank*: a run with a fault is found at rank 1 where a right answer stands first among the findings
of warn or stop, different names counted; of a run with two faults each counts by itself, and the
other right answer is left out when the rank of one is counted. What is found as a note only is not
found.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

Lines = Mapping[str, Mapping[str, Any]]
ALARMS = ("stop", "warn")


def ranks(line: Mapping[str, Any]) -> list[int | None]:
    """The rank of each cause of a run, None where it was not found.

    >>> found = [{"name": name, "severity": "warn"} for name in ("other", "cause", "second")]
    >>> ranks({"findings": found, "expects": [["cause"], ["second"], ["third"]]})
    [2, 2, None]
    """
    said = list(
        {each["name"]: meanings(each) for each in line["findings"] if each["severity"] in ALARMS}
        .values()
    )  # fmt: skip
    right = set().union(*line["expects"])
    found: list[int | None] = []
    for expected in line["expects"]:
        place = next((i for i, names in enumerate(said) if names & set(expected)), None)
        if place is None:
            found.append(None)
        else:
            found.append(1 + sum(not names & right for names in said[:place]))
    return found


def meanings(finding: Mapping[str, Any]) -> set[str]:
    """The conditions that a finding stands for: its own name, of a peer what it can mean."""
    return set(finding.get("means", (finding["name"],)))


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share at 95 % (Wilson 1927).

    >>> [round(each, 3) for each in wilson(0, 300)]
    [0.0, 0.013]
    """
    if not count:
        return 0.0, 1.0
    share = hits / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return max((middle - half) / whole, 0.0), min((middle + half) / whole, 1.0)


def page(
    tools: Mapping[str, Lines],
    setup: Mapping[str, Any],
    dropped: Sequence[tuple[str, str, str, float]] = (),
) -> str:
    """The whole table."""
    parts = [
        f"# The doctor on seeded faults and healthy runs: {setup['part']}",
        f"{setup['processor']}, one thread; Python {setup['python']}, torch {setup['torch']}. "
        "Written by `benchmarks/doctor/`.",
        ABOUT,
        overall(_with_same_runs(tools)),
        by_kind(next(iter(tools.values()))),
        "## Per fault",
        per_fault(tools),
        "## Alarms on healthy runs",
        alarms(tools),
        "## Faults that do no harm on a set-up, and are left out there",
        left_out(dropped),
        "## Cells without an answer",
        failed(tools),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


ABOUT = """\
Recall counts causes of faults that were measured to do harm; intervals are Wilson's at 95 %. False
alarms are counted over all healthy runs, the twins of the faulty ones included, that reached their
number. Steps until detection are of the causes that were found: the first of 1, 3, 10, 30, 100,
300, ... steps, or the end, at which a right answer was there. Cost is the watcher's own time over
the training's."""


def _with_same_runs(tools: Mapping[str, Lines]) -> dict[str, Lines]:
    """Where the others were measured on a part of the runs, Netwright on that part as well."""
    first, *others = tools
    part = {run for tool in others for run in tools[tool]}
    shown = dict(tools)
    if part and part != set(tools[first]):
        same = {run: line for run, line in tools[first].items() if run in part}
        shown = {first: tools[first], f"{first}, the runs of the others": same, **tools}
    return shown


def overall(tools: Mapping[str, Lines]) -> str:
    rows = [
        "| tool | causes | rank 1 | top 3 | anywhere | as a note only | healthy runs | "
        "false stop | false warn or stop | steps until detection (median) | cost (median) |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for tool, lines in tools.items():
        faulty = [each for each in lines.values() if counts(each)]
        found = [rank for each in faulty for rank in ranks(each)]
        healthy = [each for each in lines.values() if is_healthy(each)]
        steps = [step for each in faulty for step in detection(each)]
        costs = [each["cost"] for each in lines.values() if each.get("cost") is not None]
        rows.append(
            f"| {tool} | {len(found)} | {share(sum(r == 1 for r in found), len(found))} | "
            f"{share(sum(r is not None and r <= 3 for r in found), len(found))} | "
            f"{share(sum(r is not None for r in found), len(found))} | "
            f"{sum(as_note(each) for each in faulty)} | {len(healthy)} | "
            f"{share(sum(alarmed(each, ('stop',)) for each in healthy), len(healthy))} | "
            f"{share(sum(alarmed(each, ALARMS) for each in healthy), len(healthy))} | "
            f"{statistics.median(steps) if steps else '-'} | "
            f"{f'{100 * statistics.median(costs):.1f} %' if costs else '-'} |"
        )
    return "\n".join(rows)


def per_fault(tools: Mapping[str, Lines]) -> str:
    """Rank of each cause in each run, `-` where it was not found; steps are the first tool's."""
    rows = [
        "| fault | right answers | "
        + " | ".join(f"{tool}: ranks" for tool in tools)
        + " | steps | what came first where it was not at rank 1 |",
        "|---|---|" + "---|" * len(tools) + "---:|---|",
    ]
    names = sorted(
        {each["name"] for lines in tools.values() for each in lines.values() if counts(each)}
    )
    first = next(iter(tools))
    for name in names:
        cells = {
            tool: [each for each in lines.values() if counts(each) and each["name"] == name]
            for tool, lines in tools.items()
        }
        some = next(each for each in cells.values() if each)
        expects = " + ".join(", ".join(each) for each in some[0]["expects"])
        told = [
            " ".join(",".join(str(rank or "-") for rank in ranks(each)) for each in cells[tool])
            for tool in tools
        ]
        steps = [step for each in cells[first] for step in detection(each)]
        wrong = Counter(
            top for each in cells[first] if any(r != 1 for r in ranks(each)) for top in tops(each)
        )
        rows.append(
            f"| {name} | {expects} | {' | '.join(told)} | "
            f"{statistics.median(steps) if steps else '-'} | "
            f"{', '.join(f'{top} ({count})' for top, count in wrong.most_common(3))} |"
        )
    return "\n".join(rows)


def alarms(tools: Mapping[str, Lines]) -> str:
    rows = ["| run | " + " | ".join(tools) + " |", "|---|" + "---|" * len(tools)]
    runs: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for tool, lines in tools.items():
        for each in lines.values():
            if is_healthy(each):
                kind = f"twin: {each['name']}" if each["what"] == "twin" else each["name"]
                runs[kind][tool].update(
                    f"{one['severity']} {one['name']}"
                    for one in each["findings"]
                    if one["severity"] in ALARMS
                )
    for kind in sorted(runs):
        told = [
            ", ".join(f"{name} ({n})" for name, n in runs[kind][tool].most_common())
            for tool in tools
        ]
        if any(told):
            rows.append(f"| {kind} | " + " | ".join(told) + " |")
    short = sorted(
        {
            each["name"]
            for lines in tools.values()
            for each in lines.values()
            if each.get("reached") is False
        }
    )
    text = "\n".join(rows) if len(rows) > 2 else "None."
    if short:
        names = ", ".join(short)
        text += f"\n\nSome run of these fell short of its number, and is not counted: {names}."
    return text


def left_out(dropped: Sequence[tuple[str, str, str, float]]) -> str:
    if not dropped:
        return "None."
    rows = ["| fault | set-up | measured by | margin |", "|---|---|---|---:|"]
    rows += [f"| {name} | {setup} | {by} | {margin:.3f} |" for name, setup, by, margin in dropped]
    return "\n".join(rows)


def by_kind(lines: Lines) -> str:
    """The seeds of one kind are no independent runs: an alarm on one of them is likely on all."""
    seen: Counter[str] = Counter()
    for each in lines.values():
        if is_healthy(each):
            name = each.get("name") or f"the healthy {each.get('setup')}"
            seen[name] += alarmed(each, ALARMS)
    some = sorted((count for count in seen.values() if count), reverse=True)
    if not some:
        return ""
    return (
        f"Netwright's alarms on healthy runs are on {len(some)} of {len(seen)} kinds of runs, the "
        f"twins of a set-up being one kind: {', '.join(map(str, some))} of their seeds."
    )


def failed(tools: Mapping[str, Lines]) -> str:
    rows = []
    for tool, lines in tools.items():
        why = Counter(each["failed"][:120] for each in lines.values() if "failed" in each)
        rows += [f"- {tool}: {reason} ({count})" for reason, count in why.most_common(8)]
        off = Counter(each["fault"] for each in lines.values() if each.get("fault"))
        rows += [f"- {tool} gave up: {reason} ({count})" for reason, count in off.most_common(8)]
    return "\n".join(rows) or "None."


def counts(line: Mapping[str, Any]) -> bool:
    """A run with a fault that is known to do harm, and that has an answer."""
    return line.get("what") == "fault" and line.get("verified") is not None and "failed" not in line


def is_healthy(line: Mapping[str, Any]) -> bool:
    return (
        line.get("what") in ("twin", "healthy")
        and "failed" not in line
        and line.get("reached", True)
    )


def alarmed(line: Mapping[str, Any], severities: Iterable[str]) -> bool:
    return any(each["severity"] in severities for each in line["findings"])


def as_note(line: Mapping[str, Any]) -> bool:
    """Some cause of this run stands among the notes, and nowhere else."""
    notes = set[str]().union(
        *(meanings(each) for each in line["findings"] if each["severity"] == "note")
    )
    return any(
        rank is None and notes & set(expected)
        for rank, expected in zip(ranks(line), line["expects"], strict=True)
    )


def detection(line: Mapping[str, Any]) -> list[int]:
    """Steps until each cause that was found."""
    first = line.get("first", {})
    return [
        min(first[name] for name in expected if name in first)
        for expected in line["expects"]
        if any(name in first for name in expected)
    ]


def tops(line: Mapping[str, Any]) -> list[str]:
    """What stands first, if it is no right answer."""
    right = set().union(*line["expects"])
    said = [each for each in line["findings"] if each["severity"] in ALARMS]
    if not said:
        return ["nothing"]
    return [] if meanings(said[0]) & right else [said[0]["name"]]


def share(hits: int, count: int) -> str:
    if not count:
        return "-"
    low, high = wilson(hits, count)
    return f"{100 * hits / count:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The set-up of a file of lines, and its lines by cell."""
    setup, *lines = [json.loads(each) for each in path.read_text().splitlines()]
    return setup["setup"], {each.pop("cell"): each for each in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("tune", "held-out"), default="tune")
    parser.add_argument("--out", type=Path, default=HERE)
    given = parser.parse_args()
    name = "doctor" if given.part == "tune" else "doctor-held-out"
    setup, lines = read(given.out / f"{name}.jsonl")
    tools: dict[str, Lines] = {"netwright": lines}
    peers = given.out / f"{name}-peers.jsonl"
    if peers.exists():
        by_tool: dict[str, dict[str, Any]] = defaultdict(dict)
        for cell, line in read(peers)[1].items():
            tool, _, run = cell.partition(": ")
            by_tool[tool][run] = line
        tools |= by_tool
    from run import dropped

    text = page(tools, setup, dropped(given.part))
    (given.out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
