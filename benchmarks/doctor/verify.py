"""Does each fault fail? Each is trained beside its healthy twin, over seeds, watched by nobody.

    python benchmarks/doctor/verify.py              # what is not measured yet
    python benchmarks/doctor/verify.py --only WORD  # faults or set-ups with this word in their name

One line for each finished run goes into `verified.jsonl`; `verdicts` makes of them what counts. A
fault that does not hurt on a set-up is dropped there, and listed with its number.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import math
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from children import answers  # noqa: E402
from setups import SETUPS, Parts, nobody, trained  # noqa: E402

from cells import Cells, lines_of, machine  # noqa: E402
from faults import FAULTS, Fault  # noqa: E402

SEEDS = (0, 1)
LINES = HERE / "verified.jsonl"

SCORE = 0.02
"""Least fall of the mean score that counts as harm; it must exceed the twins' spread twice, too."""
LOSS = 1.5
"""Least factor on the test loss that counts, where the targets are those of the twin."""
HONESTY = 0.05
"""Least distance of the reported score from the true one, beyond the twin's."""
SECONDS = 1.5
MEGABYTES = 8.0


@dataclass(frozen=True)
class Verdict:
    """Whether a fault hurts on a set-up: `margin` in the unit of `by`."""

    hurts: bool
    by: str
    margin: float


def outcome(fault: str | None, setup: str, seed: int) -> dict[str, Any]:
    """One training without anybody watching."""
    parts = broken(fault, setup, seed)
    ended = trained(parts, nobody)
    digest = hashlib.sha256(parts.test[1].numpy().tobytes()).hexdigest()[:12]
    return {
        **{name: _plain(value) for name, value in vars(ended).items()},
        "targets": digest,
    }


def broken(fault: str | None, setup: str, seed: int) -> Parts:
    """The parts of a set-up, with a fault or without one."""
    parts = SETUPS[setup](seed)
    if fault is not None:
        FAULTS.get(fault).target.apply(parts)
    return parts


def verdict(
    fault: Fault, faulty: list[Mapping[str, Any]], twins: list[Mapping[str, Any]]
) -> Verdict:
    """Worse than the twins by what the fault is said to hurt?"""
    if any("failed" in each for each in faulty):
        return Verdict(True, "no end", math.inf)
    if any(each["error"] for each in faulty):
        return Verdict(True, "raised", math.inf)
    if fault.hurts == "honesty":
        off, usual = _off(faulty), _off(twins)
        return Verdict(off - usual >= HONESTY, "honesty", off - usual)
    if fault.hurts == "seconds":
        factor = _mean(faulty, "seconds") / _mean(twins, "seconds")
        return Verdict(factor >= SECONDS, "seconds", factor)
    if fault.hurts == "memory":
        grown = _mean(faulty, "grown") - _mean(twins, "grown")
        return Verdict(grown >= MEGABYTES, "MB", grown)
    if any(each["score"] is None or each["loss"] is None for each in faulty):
        return Verdict(True, "not finite", math.inf)
    scores = [each["score"] for each in twins]
    fall = statistics.mean(scores) - _mean(faulty, "score")
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    if fall >= max(SCORE, 2 * spread) and max(e["score"] for e in faulty) < min(scores):
        return Verdict(True, "score", fall)
    comparable = {each["targets"] for each in faulty} <= {each["targets"] for each in twins}
    factor = _mean(faulty, "loss") / max(_mean(twins, "loss"), 1e-9)
    apart = min(e["loss"] for e in faulty) > max(e["loss"] for e in twins)
    if comparable and factor >= LOSS and apart:
        return Verdict(True, "loss", factor)
    return Verdict(False, "score", fall)


def verdicts(lines: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Verdict]:
    """Of each fault on each set-up that was measured."""
    found = {}
    for entry in FAULTS:
        for setup in entry.target.on:
            faulty = [
                lines[cell_of(entry.name, setup, seed)]
                for seed in SEEDS
                if cell_of(entry.name, setup, seed) in lines
            ]
            twins = [
                lines[cell_of(None, setup, seed)]
                for seed in range(4)
                if cell_of(None, setup, seed) in lines
            ]
            if len(faulty) == len(SEEDS) and twins:
                found[entry.name, setup] = verdict(entry.target, faulty, twins)
    return found


def cell_of(fault: str | None, setup: str, seed: int) -> str:
    return f"{fault or 'healthy'} on {setup}, seed {seed}"


def _off(lines: list[Mapping[str, Any]]) -> float:
    """How far what was reported is from the truth, in the mean."""
    return statistics.mean(abs((each["reported"] or 0) - (each["score"] or 0)) for each in lines)


def _mean(lines: list[Mapping[str, Any]], name: str) -> float:
    return statistics.mean(each[name] for each in lines)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value


def known() -> dict[str, dict[str, Any]]:
    """The lines measured so far, none where the file is not there. What a fault does to a score is
    the same on another machine, to well within what is asked here."""
    return lines_of(LINES)


def setup_of() -> dict[str, Any]:
    return {**machine(), "threads": 1, "torch": version("torch")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only cells with this word in their name")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    cells = Cells(LINES, setup_of(), fresh=given.fresh)
    wanted = [(None, setup, seed) for setup in SETUPS for seed in range(4)]
    faults = [entry.target for entry in FAULTS]
    most = max(len(each.on) for each in faults)
    wanted += [
        (each.name, each.on[place], seed)
        for place in range(most)
        for part in ("tune", "held-out")
        for each in faults
        if each.part == part and place < len(each.on)
        for seed in SEEDS
    ]
    tasks = [
        (cell_of(*each), functools.partial(outcome, *each))
        for each in wanted
        if cell_of(*each) not in cells and given.only in cell_of(*each)
    ]
    for cell, answer in answers(tasks, jobs=given.jobs, seconds=90):
        cells.add(cell, answer)
        print(cell, answer.get("failed") or answer["score"], flush=True)
    found = verdicts(cells.found)
    dropped = {key: each for key, each in found.items() if not each.hurts}
    print(f"\n{len(found)} measured, {len(found) - len(dropped)} hurt; dropped:")
    for (fault, setup), each in sorted(dropped.items()):
        print(f"  {fault} on {setup}: {each.by} {each.margin:.3f}")


if __name__ == "__main__":
    main()
