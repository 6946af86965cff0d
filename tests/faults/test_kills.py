"""Runs killed with SIGKILL at random moments, again and again, end as the run nobody killed.

Bit for bit: the weights, the best weights, the optimizer, and every line of metrics but its
times. No process is left behind, and the lock dies with its owner.
"""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from faults.fork_server import ForkServer
from faults.runs import STEPS, assert_same, newest, train
from netwright.core.linux import descendants

_KILLS_IN_ONE_RUN = 5


@pytest.mark.parametrize("workers", [0, 2])
def test_ten_kills_change_nothing(server, place, reference, workers):
    _kill_at_random(server, place, reference, workers=workers, kills=10, seed=workers)


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", range(10, 20))
def test_two_hundred_kills_change_nothing(server, place, reference, workers, seed):
    _kill_at_random(server, place, reference, workers=workers, kills=20, seed=seed)


def test_workers_change_nothing(server, place, reference):
    child = train(server, place / "run", workers=2)
    assert child.comes(lambda: newest(place / "run") >= 10), child.text()
    child.kill(signal.SIGSTOP)
    assert len(descendants(child.pid)) == 2  # else these tests would be of no workers at all
    child.kill(signal.SIGCONT)
    assert child.wait() == 0, child.text()
    assert_same(place / "run", reference)


def _kill_at_random(
    server: ForkServer, place: Path, reference: Path, *, workers: int, kills: int, seed: int
) -> None:
    """Kill runs `_KILLS_IN_ONE_RUN` times each, `kills` in all, and let each end and compare."""
    draw = random.Random(seed)
    left, number = kills, 0
    while left:
        number += 1
        run = place / f"run-{number}"
        left -= _kill_one(server, run, workers, draw, at_most=min(left, _KILLS_IN_ONE_RUN))
        child = train(server, run, workers=workers)
        assert child.wait() == 0, child.text()
        assert_same(run, reference)


def _kill_one(
    server: ForkServer, run: Path, workers: int, draw: random.Random, *, at_most: int
) -> int:
    """Start a run and kill it, up to `at_most` times; how many times it was alive to be killed."""
    for count in range(at_most):
        child = train(server, run, workers=workers)
        if draw.random() < 0.3:
            child.kill_after(draw.uniform(0.0, 0.5))  # at any moment, the beginning too
        else:
            # In the middle of the work: some checkpoints from here, and a little later.
            goal = newest(run) + draw.randint(0, STEPS // 4)
            child.comes(lambda goal=goal: newest(run) >= goal)
            child.kill_after(draw.uniform(0.0, 0.03))
        status = child.wait()
        assert status in (-9, 0), child.text()
        assert child.orphans() == []
        if status == 0:
            return count
    return at_most
