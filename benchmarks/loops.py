"""One training loop in this process, taken in bursts that another process calls for.

    python benchmarks/loops.py LOOP SETUP [WORD ...] --first 100 --burst 307 --bursts 9 --say 5

After its first steps and after each burst the loop stands still in the middle of training, says
how long the burst took, and waits for a line on standard input. So many loops can be taken in
turns, seconds apart, and what else the machine does falls on all of them alike. With `--bursts 0`
it trains on and tells of each evaluation, until it is killed or has taken its `--steps`.

All loops train the same layers with the same optimizer on the same arrays, log the training loss
and evaluate at the end of each epoch, inside the time that is measured. LOOP is `bare`,
`lightning` or `netwright` (`torch_loops.py`), `keras` (`keras_loops.py`) or `jax`
(`jax_loops.py`); the words are the loop's own.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed_setups import SETUPS, Clock, Job

LOOPS = ("bare", "lightning", "netwright", "keras", "jax")


def peak_mb() -> float:
    """Of this program alone: `ru_maxrss` begins with what its parent had when it was forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("setup", choices=sorted(SETUPS))
    parser.add_argument("words", nargs="*")
    parser.add_argument("--feed", choices=("memory", "loader"), default="memory")
    parser.add_argument("--first", type=int, default=0, help="steps before the first burst")
    parser.add_argument("--burst", type=int, default=0, help="steps of a burst")
    parser.add_argument("--bursts", type=int, default=0)
    parser.add_argument("--steps", type=int, required=True, help="steps of the whole run")
    parser.add_argument("--epoch", type=int, required=True, help="steps of an epoch")
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--say", type=int, default=1, help="an open file descriptor")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, os.fdopen(os.dup(given.say), "w") as say:
        clock = Clock(given.first, given.burst, given.bursts, say, given.steps)
        job = Job(
            setup=SETUPS[given.setup],
            feed=given.feed,
            seed=given.seed,
            lr=given.lr,
            epoch=given.epoch,
            threads=given.threads,
            folder=Path(folder),
            clock=clock,
            words=tuple(given.words),
        )
        found = loop_of(given.loop)(job)
        if found["params"] != job.setup.params:
            sys.exit(f"{found['params']} parameters, {job.setup.params} expected")
        peak = peak_mb()
        clock.tell(val_acc1=clock.last_accuracy, peak_mb=peak, **found)


def loop_of(name: str) -> Callable[[Job], dict[str, Any]]:
    """The loop, of whose framework the others need not even be installed."""
    if name == "keras":
        import keras_loops

        return keras_loops.run
    if name == "jax":
        import jax_loops

        return jax_loops.run
    import torch_loops

    return torch_loops.CONTENDERS[name]


if __name__ == "__main__":
    main()
