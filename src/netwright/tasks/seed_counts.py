"""What the folder of several seeds says of them all: a row each, medians, the command of one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from netwright.records.seeds import SeedRun, middle, over_seeds, row, spread


def counted(runs: tuple[SeedRun, ...]) -> dict[str, Any]:
    """What `run.json` says of all seeds: a row for each, the spread of every metric, and as
    `best` the median of the metric that chose the weights."""
    rows = [row(each) for each in runs]
    bests = {line["seed"]: line["best"] for line in rows if _judged(line)}
    best = None
    met = spread({seed: float(each["value"]) for seed, each in bests.items()})
    seed = middle({seed: float(each["value"]) for seed, each in bests.items()})
    if met is not None and seed is not None:
        # Epoch and step are those of the seed in the middle, the one that predicts for all.
        best = {**bests[seed], "value": met.median, "seed": seed, **met.to_json()}
    return {
        "seeds": rows,
        "best": best,
        "metrics": {name: each.to_json() for name, each in over_seeds(runs).items()},
        "epochs": max((line.get("epochs") or 0 for line in rows), default=0),
        "steps": max((line.get("steps") or 0 for line in rows), default=0),
    }


def command_of(command: str, seed: int) -> str:
    """The command that trains one of the seeds alone.

    >>> command_of("netwright train digits seeds=5 --seed 3 epochs=2", 4)
    'netwright train digits epochs=2 seed=4'
    >>> command_of("netwright train --config many.yaml", 1)
    'netwright train --config many.yaml seeds=1 seed=1'
    """
    if not command:
        return ""
    words = shlex.split(command)
    kept: list[str] = []
    skipping, alone = False, False
    for word in words:
        name, equals, _ = word.partition("=")
        if skipping:
            skipping = False
        elif word in ("--seed", "--run-dir", "--resume"):
            skipping = True
        elif equals and name in ("seeds", "seed", "--seed", "--run-dir", "--resume"):
            alone = alone or name == "seeds"
        else:
            kept.append(word)
    return shlex.join([*kept, *([] if alone else ["seeds=1"]), f"seed={seed}"])


def _judged(line: Mapping[str, Any]) -> bool:
    return line["status"] == "done" and line.get("best") is not None


def lost_seeds(seeds: list[int], count: int) -> str:
    return f"{len(seeds)} of {count} seeds diverged: {', '.join(map(str, seeds))}"
