"""The page of the healing benchmark, made of its lines."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from beyond import BEYOND, Kind

from netwright.report.judgement import interval

HURTS = 0.02
"""Points under the twin from which on an untreated training counts as one to be healed."""

Lines = Mapping[str, Mapping[str, Any]]


def page(cells: Lines, setup: Mapping[str, Any]) -> str:
    """Overall figures first, then treatments, then every cell."""
    faulty = [each for each in cells.values() if each.get("what") == "fault" and hurt(each)]
    treatable = [each for each in faulty if each["name"] not in BEYOND]
    healthy = [each for each in cells.values() if each.get("what") == "healthy"]
    well = [each for each in healthy if "failed" not in each]
    lines = [
        f"# Healing, {setup['part']} part",
        "",
        f"torch {setup['torch']}, {setup['processor']}, {setup['cores']} cores, one thread each; "
        f"{_trainings(setup)}. Scores are of "
        "test data. A fault counts where its untreated training ended two points or more under its "
        "healthy twin. The untreated training is trained to its end for this table alone.",
        "",
        "The goal is set for treatable faults: `beyond.py` names the others, each with its reason, "
        "from their definitions alone. What is healed of those counts among all faults only. "
        "Intervals are Wilson's at 95 %.",
        "",
        "Costs are those of everything (check-ups, trials, the repaired run) in plain trainings: "
        "by the samples that were trained on, and by the clock. Of trainings this short the clock "
        "counts the check-up most, which takes a second or a few however long the training is.",
        "",
        "| | treatable faults | all faults |",
        "|---|---|---|",
        *(
            f"| {title} | {one} | {other} |"
            for (title, one), (_, other) in zip(_figures(treatable), _figures(faulty), strict=True)
        ),
        "",
        f"Cells beyond treatment: {_kinds(faulty)}.",
        "",
        "| healthy set-ups | |",
        "|---|---|",
        f"| measured | {len(healthy)} |",
        f"| two points worse than plain | {sum(behind(e) >= HURTS for e in well)} |",
        f"| cost in samples trained on, median (worst) | {spread(e['passes'] for e in well)} |",
        f"| cost in seconds, median (worst) | {spread(e['cost'] for e in well)} |",
        f"| seconds of a plain training, median | {median(map(plain, well))} |",
        "",
        "## By treatment",
        "",
        "| treatment | tried | kept | of these within two points of the twin |",
        "|---|---:|---:|---:|",
        *_treatments([each for each in faulty if "failed" not in each]),
        "",
        "## Every cell",
        "",
        "| cell | beyond | untreated | twin | healed | samples | seconds | kept | first finding |",
        "|---|---|---:|---:|---:|---:|---:|---|---|",
        *(_row(name, each) for name, each in sorted(cells.items())),
        "",
    ]
    return "\n".join(lines)


def _figures(faulty: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What came of some faults that hurt."""
    ended = [each for each in faulty if "failed" not in each]
    said = [each for each in ended if each["repaired"]]
    healed = sum(map(near, ended))
    return [
        ("measured that hurt", f"{len(faulty)}"),
        ("healed to within two points of the twin", with_interval(healed, len(faulty))),
        ("said to be repaired", share(said, len(faulty))),
        (
            "said to be repaired, and two points better than untreated on test data",
            share(map(better, said), len(said)),
        ),
        ("points gained on the untreated, median", median(gain(e) for e in ended)),
        ("points gained where repaired, median", median(map(gain, said))),
        ("points under the twin, median", median(behind(e) for e in ended)),
        ("cost in samples trained on, median (worst)", spread(e["passes"] for e in ended)),
        ("cost in seconds, median (worst)", spread(e["cost"] for e in ended)),
        ("seconds of a plain training, median", median(map(plain, ended))),
        ("cells that failed", f"{len(faulty) - len(ended)}"),
    ]


def _kinds(faulty: Sequence[Mapping[str, Any]]) -> str:
    """How many are beyond treatment, of each kind."""
    found = Counter(BEYOND[each["name"]][0] for each in faulty if each["name"] in BEYOND)
    return ", ".join(f"{found[kind]} {kind}" for kind in get_args(Kind))


def _trainings(setup: Mapping[str, Any]) -> str:
    if setup["part"] == "problems":
        return f"AutoTrainer's five problems on three networks, {30 * setup['longer']} epochs"
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


def with_interval(hits: int, count: int) -> str:
    """
    >>> with_interval(8, 10)
    '80.0 % of 10 (49.0 to 94.3)'
    """
    if not count:
        return "-"
    low, high = interval(hits, count)
    return f"{100 * hits / count:.1f} % of {count} ({100 * low:.1f} to {100 * high:.1f})"


def median(values: Any) -> str:
    known = list(values)
    return f"{statistics.median(known):.3g}" if known else "-"


def spread(values: Any) -> str:
    known = list(values)
    return f"{statistics.median(known):.3g} ({max(known):.3g})" if known else "-"


def plain(line: Mapping[str, Any]) -> float:
    """Seconds of the untreated training."""
    return float(line["seconds"] / line["times"])


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
    beyond = BEYOND[line["name"]][0] if line["name"] in BEYOND else ""
    if "failed" in line:
        return f"| {name} | {beyond} | | | | | | failed: {line['failed']} | |"
    kept = "; ".join(" + ".join(each) for each in line["kept"])
    first = line["found"][0] if line["found"] else ""
    scores = " | ".join(
        "-" if line[k] is None else f"{line[k]:.3f}" for k in ("control", "twin", "healed")
    )
    costs = f"{line['passes']:.2f} | {line['cost']:.2f}"
    return f"| {name} | {beyond} | {scores} | {costs} | {kept} | {first} |"


def main() -> None:
    """The page of each file of lines that lies here, written anew."""
    here = Path(__file__).resolve().parent
    for path in sorted(here.glob("healing*.jsonl")):
        first, *lines = [json.loads(each) for each in path.read_text().splitlines()]
        cells = {each.pop("cell"): each for each in lines}
        path.with_suffix(".md").write_text(page(cells, first["setup"]), encoding="utf-8")


if __name__ == "__main__":
    main()
