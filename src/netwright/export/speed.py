"""Speed of an exported file and of its network, side by side on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from netwright.export.formats import Runner

BATCH = 8
ROUNDS = 15
LEAST_ROUNDS = 3
ENOUGH_SECONDS = 5.0


def milliseconds(runners: Mapping[str, Runner], images: Tensor) -> dict[str, float]:
    """Milliseconds an image takes each of `runners`: the median over rounds of one batch of
    `images`, on one thread. They take turns, so that a busy machine hits all of them alike."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for run in runners.values():
            run(images)  # the first call also plans and allocates
        taken: dict[str, list[float]] = {name: [] for name in runners}
        begun = time.perf_counter()
        for done in range(ROUNDS):
            if done >= LEAST_ROUNDS and time.perf_counter() - begun > ENOUGH_SECONDS:
                break
            for name, run in runners.items():
                start = time.perf_counter()
                run(images)
                taken[name].append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: 1000 * statistics.median(each) / len(images) for name, each in taken.items()}
