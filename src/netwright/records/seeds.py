"""A run over several seeds: a folder that holds one ordinary run for each, and how they differ.

    runs/2026-11-20T1802-digits-mlp-5seeds-3f2a/
      run.json  config.yaml  report.html  seed-0/  seed-1/  ...

Whatever is said of the seeds is read from their own folders, so it holds also for a run that
was killed before it could count them together.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netwright.core.errors import CheckpointError, DataError
from netwright.records.run import Run, is_run

_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """The run of one seed."""

    seed: int
    run: Run

    @property
    def status(self) -> str:
        """As that of any run; `waiting` before it began."""
        return self.run.status if is_run(self.run.path) else "waiting"

    @property
    def measured(self) -> dict[str, float]:
        """What the kept weights are worth, by full names: `val/acc1`, `test/loss`, ..."""
        found: dict[str, float] = {}
        for split in ("val", "test"):
            arrays = self.run.evidence(split) or {}
            for name in ("acc1", "loss"):
                array = arrays.get(name)
                if array is not None and array.size == 1 and array.dtype.kind in "fiu":
                    found[f"{split}/{name}"] = float(array.reshape(()).item())
        return found


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How one number differs over seeds."""

    count: int
    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """From the lowest to the highest."""
        return self.high - self.low

    def to_json(self) -> dict[str, float]:
        return {"median": self.median, "min": self.low, "max": self.high, "spread": self.width}


def spread(values: Mapping[int, float]) -> Spread | None:
    """Median and range of a value for each seed; None for none.

    >>> spread({0: 0.97, 1: 0.99, 2: 0.98}).to_json()["median"]
    0.98
    """
    if not values:
        return None
    known = list(values.values())
    return Spread(
        count=len(known), median=statistics.median(known), low=min(known), high=max(known)
    )


def middle(values: Mapping[int, float]) -> int | None:
    """The seed whose value is the median; of an even number the lower of the two in the middle,
    of equal ones the smallest seed.

    >>> middle({3: 0.97, 4: 0.99, 5: 0.98}), middle({0: 0.5, 1: 0.7}), middle({})
    (5, 0, None)
    """
    order = sorted(values, key=lambda seed: (values[seed], seed))
    if not order:
        return None
    value = values[order[(len(order) - 1) // 2]]
    return next(seed for seed in order if values[seed] == value)


def seed_runs(run: Run) -> tuple[SeedRun, ...]:
    """The runs of the seeds of `run`, in the order of the seeds; none for an ordinary run."""
    rows = run.info.get("seeds")
    found = []
    for row in rows[:_MOST] if isinstance(rows, list) else ():
        seed = row.get("seed") if isinstance(row, dict) else None
        # The place follows from the number: a name in a foreign file could lead anywhere.
        if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0:
            found.append(SeedRun(seed=seed, run=Run(run.path / f"seed-{seed}")))
    return tuple(found)


def typical(run: Run) -> SeedRun | None:
    """The finished seed that is the median by the metric that chooses weights (else by the test
    split); None when no seed has finished, or for an ordinary run."""
    done = {each.seed: each for each in seed_runs(run) if each.status == "done"}
    scores = {seed: score for seed, each in done.items() if (score := _score(each)) is not None}
    seed = middle(scores)
    if seed is not None:
        return done[seed]
    return next(iter(done.values()), None)


def row(each: SeedRun) -> dict[str, Any]:
    """One seed as `run.json` and `train --json` list it."""
    line = {"seed": each.seed, "run": each.run.path.name, "status": each.status}
    if line["status"] == "waiting":
        return line
    kept: dict[str, Any] = {"why": each.run.info.get("why")}
    kept |= {name: int(each.run.number(name)) for name in ("epochs", "steps")}
    kept["seconds"] = each.run.number("seconds")
    return {**line, **kept, "best": each.run.best, "metrics": each.measured}


def over_seeds(runs: tuple[SeedRun, ...]) -> dict[str, Spread]:
    """The spread of every metric of the finished seeds, by its full name."""
    done = {each.seed: each.measured for each in runs if each.status == "done"}
    names = dict.fromkeys(name for measured in done.values() for name in measured)
    found = {}
    for name in names:
        met = spread({seed: each[name] for seed, each in done.items() if name in each})
        if met is not None:
            found[name] = met
    return found


def _score(each: SeedRun) -> float | None:
    if each.run.best is not None:
        return float(each.run.best["value"])
    try:
        return each.measured.get("test/acc1")
    except DataError:
        return None


def answering(run: Run) -> Run:
    """The run that answers for `run`: of several seeds the one in the middle, else itself."""
    seeds = seed_runs(run)
    if not seeds:
        return run
    chosen = typical(run)
    if chosen is None:
        raise CheckpointError(
            "None of the {count} seeds of {run} is done: there are no weights to use.",
            hint="Go on with it:  netwright train --resume {run}\n"
            "or use one of its seeds:  {first}",
            count=len(seeds),
            run=str(run.path),
            first=str(seeds[0].run.path),
        )
    return chosen.run
