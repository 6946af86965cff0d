"""Does each kind of healthy run reach its number? Watched by nobody, over seeds.

python benchmarks/doctor/check_healthy.py [--seeds 2] [--only WORD]
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Mapping
from typing import Any

import torch
from children import answers
from healthy import KINDS
from setups import nobody


def reached(name: str, seed: int) -> Mapping[str, Any]:
    torch.manual_seed(seed)
    began = time.process_time()
    return {
        "reached": KINDS.get(name).target.run(seed, nobody),
        "seconds": time.process_time() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    tasks = [
        (f"{entry.name}, seed {seed}", functools.partial(reached, entry.name, seed))
        for seed in range(given.seeds)
        for entry in KINDS
        if given.only in entry.name
    ]
    short = 0
    for cell, answer in answers(tasks, jobs=given.jobs, seconds=120):
        name = cell.rpartition(", ")[0]
        least = KINDS.get(name).target.at_least
        if "failed" in answer:
            print(f"FAILED {cell}: {answer['failed']}", flush=True)
            short += 1
            continue
        good = answer["reached"] >= least
        short += not good
        print(
            f"{'ok    ' if good else 'SHORT '} {cell}: {answer['reached']:.3f} "
            f"(at least {least}), {answer['seconds']:.1f} s",
            flush=True,
        )
    print(f"{short} of {len(tasks)} fall short")


if __name__ == "__main__":
    main()
