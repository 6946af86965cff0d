"""What `run.tensorboard=true` costs, event by event, beside the step it watches.

    python benchmarks/tracking.py          # some minutes; writes tracking.md

The digits at 32x32, batch 64, one epoch; every call of the listener is timed inside a real run, so
the two sides of each ratio come from the same run.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

import netwright as nw
from netwright.core import events as e
from netwright.tasks.tensorboard import TensorBoard

NETWORKS = ("lenet5", "resnet20", "resnet18")
TABLE = Path(__file__).with_suffix(".md")


def main() -> int:
    rows = [measure(name) for name in NETWORKS]
    text = "\n".join(
        [
            "# What TensorBoard costs",
            "",
            f"Threads: {torch.get_num_threads()}, torch {torch.__version__}, load of the machine "
            f"at the end {os.getloadavg()[0]:.0f}. Written by `benchmarks/tracking.py`: the digits "
            "at 32x32, batch 64; the median of each event. On a loaded machine only shares tell.",
            "",
            "| network | tensors | a step, ms | listening to it, ms | share of a step, % | "
            "an evaluation, ms | in steps | the start (graph, pictures), ms | kB written |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )
    TABLE.write_text(text, encoding="utf-8")
    print(text)
    return 0


def measure(model: str) -> str:
    spent: dict[type, list[float]] = defaultdict(list)
    steps: list[float] = []
    listen = TensorBoard.__call__

    def timed(board: TensorBoard, event: e.Event) -> None:
        started = time.perf_counter()
        listen(board, event)
        spent[type(event)].append(time.perf_counter() - started)

    def watch(event: e.Event) -> None:
        if isinstance(event, e.StepEnded):
            steps.append(event.step_seconds)

    patched: Any = TensorBoard
    patched.__call__ = timed
    try:
        with tempfile.TemporaryDirectory() as place:
            run = Path(place) / "run"
            nw.train("digits", model=model, epochs=1, data__size=32, batch=64, run_dir=run,
                     run__tensorboard=True, listeners=[watch])  # fmt: skip
            size = sum(path.stat().st_size for path in (run / "tensorboard").iterdir())
            tensors = sum(1 for _ in nw.load(run).module.parameters())
    finally:
        patched.__call__ = listen
    step = 1000 * statistics.median(steps)
    each = 1000 * statistics.median(spent[e.StepEnded])
    measured = 1000 * statistics.median(spent[e.Measured])
    start = 1000 * spent[e.RunStarted][0]
    return (
        f"| {model} | {tensors} | {step:.1f} | {each:.2f} | {100 * each / step:.1f} | "
        f"{measured:.0f} | {measured / step:.1f} | {start:.0f} | {size / 1000:.0f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
