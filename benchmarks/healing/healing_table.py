"""The page of the healing benchmark, made of its lines."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HURTS = 0.02
"""Points under the twin from which on an untreated training counts as one to be healed."""

Lines = Mapping[str, Mapping[str, Any]]


def page(cells: Lines, setup: Mapping[str, Any]) -> str:
    """Overall figures first, then treatments, then every cell."""
    faulty = [each for each in cells.values() if each.get("what") == "fault" and hurt(each)]
    healthy = [each for each in cells.values() if each.get("what") == "healthy"]
    ended = [each for each in faulty if "failed" not in each]
    said = [each for each in ended if each["repaired"]]
    lines = [
        f"# Healing, {setup['part']} part",
        "",
        f"torch {setup['torch']}, {setup['processor']}, {setup['cores']} cores, one thread each; "
        f"{_trainings(setup)}. Scores are of "
        "test data. A fault counts where its untreated training ended two points or more under its "
        "healthy twin. The untreated training is trained to its end for this table alone.",
        "",
        "| | |",
        "|---|---|",
        f"| faults measured that hurt | {len(faulty)} |",
        f"| healed to within two points of the twin | {share(map(near, ended), len(faulty))} |",
        f"| said to be repaired | {share(said, len(faulty))} |",
        "| said to be repaired, and two points better than untreated on test data | "
        f"{share(map(better, said), len(said))} |",
        f"| points gained on the untreated, median | {median(gain(e) for e in ended)} |",
        f"| points gained where repaired, median | {median(map(gain, said))} |",
        f"| points under the twin, median | {median(behind(e) for e in ended)} |",
        f"| cost in plain trainings, median (worst) | {median(e['cost'] for e in ended)} "
        f"({worst(e['cost'] for e in ended)}) |",
        f"| cells that failed | {sum('failed' in e for e in faulty)} |",
        f"| healthy set-ups | {len(healthy)} |",
        "| of them two points worse than plain | "
        f"{sum(behind(e) >= HURTS for e in healthy if 'failed' not in e)} |",
        f"| their cost, median (worst) | {median(e['cost'] for e in healthy if 'failed' not in e)} "
        f"({worst(e['cost'] for e in healthy if 'failed' not in e)}) |",
        "",
        "## By treatment",
        "",
        "| treatment | tried | kept | of these within two points of the twin |",
        "|---|---:|---:|---:|",
        *_treatments(ended),
        "",
        "## Every cell",
        "",
        "| cell | untreated | twin | healed | cost | kept | first finding |",
        "|---|---:|---:|---:|---:|---|---|",
        *(_row(name, each) for name, each in sorted(cells.items())),
        "",
    ]
    return "\n".join(lines)


def _trainings(setup: Mapping[str, Any]) -> str:
    if setup["part"] == "problems":
        return "AutoTrainer's five problems on three networks, 30 epochs"
    return f"trainings {setup['longer']} times as long as in the doctor's benchmark"


def hurt(line: Mapping[str, Any]) -> bool:
    """A training that came to no number at all is hurt as well."""
    if "failed" in line:
        return True
    return line["control"] is None or line["twin"] - line["control"] >= HURTS


def behind(line: Mapping[str, Any]) -> float:
    """Points of the healed training under the twin."""
    return float("inf") if line["healed"] is None else line["twin"] - line["healed"]


def near(line: Mapping[str, Any]) -> bool:
    return behind(line) <= HURTS


def gain(line: Mapping[str, Any]) -> float:
    """Points over the untreated; one without a number is worth nothing."""
    return (line["healed"] or 0.0) - (line["control"] or 0.0)


def better(line: Mapping[str, Any]) -> bool:
    return gain(line) >= HURTS


def share(hits: Any, count: int) -> str:
    found = sum(map(bool, hits))
    return f"{100 * found / count:.1f} % of {count}" if count else "-"


def median(values: Any) -> str:
    known = list(values)
    return f"{statistics.median(known):.3g}" if known else "-"


def worst(values: Any) -> str:
    known = list(values)
    return f"{max(known):.3g}" if known else "-"


def _treatments(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    tried: Counter[str] = Counter()
    kept: dict[str, list[bool]] = defaultdict(list)
    for line in lines:
        tried.update(line["tried"])
        for name in {name for some in line["kept"] for name in some}:
            kept[name].append(near(line))
    return [
        f"| {name} | {count} | {len(kept[name])} | {sum(kept[name])} |"
        for name, count in sorted(tried.items(), key=lambda each: (-each[1], each[0]))
    ]


def _row(name: str, line: Mapping[str, Any]) -> str:
    if "failed" in line:
        return f"| {name} | | | | | failed: {line['failed']} | |"
    kept = "; ".join(" + ".join(each) for each in line["kept"])
    first = line["found"][0] if line["found"] else ""
    scores = " | ".join(
        "-" if line[k] is None else f"{line[k]:.3f}" for k in ("control", "twin", "healed")
    )
    return f"| {name} | {scores} | {line['cost']:.2f} | {kept} | {first} |"


def main() -> None:
    """The page of each file of lines that lies here, written anew."""
    here = Path(__file__).resolve().parent
    for path in sorted(here.glob("healing*.jsonl")):
        first, *lines = [json.loads(each) for each in path.read_text().splitlines()]
        cells = {each.pop("cell"): each for each in lines}
        path.with_suffix(".md").write_text(page(cells, first["setup"]), encoding="utf-8")


if __name__ == "__main__":
    main()
