"""Several seeds as one stacked model against one after the other: seconds of a step of all.

    python benchmarks/seeds.py            # some minutes; writes seeds.md
    python benchmarks/seeds.py --quick    # five seeds of the MLP on one thread; prints only

A round times both ways, one right after the other, on the same networks and the same kind of
batches (digits, batch 64, AdamW); a ratio is taken within a round. Making the batches is part
of a step, evaluating and saving are not: they cost the same both ways.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from cells import machine
from netwright.core.events import Events
from netwright.tasks.classification import Classification
from netwright.tasks.preparing import prepare, reproducible
from netwright.tasks.settings import resolve
from netwright.tasks.stacked import Stack

HERE = Path(__file__).resolve().parent

NETWORKS = {
    "MLP (hidden 64)": {"model": "mlp", "model__hidden": [64]},
    "MLP (as registered)": {"model": "mlp"},
    "LeNet-5 (14x14)": {"model": "lenet5", "data__size": 14},
}
COUNTS = (5, 20, 100)
ROUNDS = 5
SECONDS = 0.4  # of one way in one round, about


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one cell, nothing is kept")
    quick = parser.parse_args().quick
    rows = []
    for threads in (1,) if quick else (1, 2):
        torch.set_num_threads(threads)
        for name, settings in list(NETWORKS.items())[: 1 if quick else None]:
            for count in COUNTS[: 1 if quick else None]:
                row = measured(settings, count)
                rows.append((name, threads, count, *row))
                print(line(rows[-1]), flush=True)
    if not quick:
        (HERE / "seeds.md").write_text(page(rows), encoding="utf-8")


def measured(settings: dict[str, object], count: int) -> tuple[float, list[float]]:
    """(milliseconds of one step of one network alone, how many times faster in each round)."""
    with reproducible():
        tasks = [
            prepare(
                resolve(data="digits", settings={**settings, "seed": seed}, environ={}), Events()
            ).task
            for seed in range(count)
        ]
        stack = Stack(tasks)
        feeds = [task.train.iterate(0) for task in tasks]

        def stacked() -> None:
            stack.take([next(feed) for feed in feeds], 0)

        def alone() -> None:
            step_each(tasks, feeds)

        stacked()
        stack.publish()
        alone()
        once = timed(alone, 1)
        steps = max(2, min(200, round(SECONDS / once)))
        ratios, times = [], []
        for _ in range(ROUNDS):
            apart, together = timed(alone, steps), timed(stacked, steps)
            times.append(1000 * apart / count)
            ratios.append(apart / together)
    return statistics.median(times), ratios


def step_each(tasks: list[Classification], feeds: list) -> None:
    for task, feed in zip(tasks, feeds, strict=True):
        task.step(next(feed), 0)


def timed(action: Callable[[], None], steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        action()
    return (time.perf_counter() - started) / steps


def line(row: tuple) -> str:
    name, threads, count, alone, ratios = row
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    return (
        f"| {name} | {threads} | {count} | {alone:.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) |"
    )


def page(rows: list[tuple]) -> str:
    about = f"{machine()['processor']}, {machine()['cores']} cores"
    versions = f"Python {sys.version.split()[0]}, torch {torch.__version__}"
    table = "\n".join(line(row) for row in rows)
    return f"""# Seeds as one stack

{about}; {versions}. Written by `benchmarks/seeds.py`.

| network | threads | seeds | one by one, ms for a step of one seed | stacked: times as fast |
|---|---:|---:|---:|---:|
{table}

Digits, batch 64, AdamW. The last column is the time of a step of all seeds one by one, divided by
that of the stack, within a round: the median of {ROUNDS} rounds, with the least and the greatest.
Above 1 the stack is faster. `netwright train` takes no number from here: it tries both ways
where it runs (`run.stack=auto`).
"""


if __name__ == "__main__":
    main()
