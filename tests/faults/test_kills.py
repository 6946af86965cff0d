"""Runs killed with SIGKILL at random moments, again and again, end as the run nobody killed.

Bit for bit: the weights, the best weights, the optimizer, and every line of metrics but its
times. No process is left behind, and the lock dies with its owner.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from faults.fork_server import Child, ForkServer
from netwright.train.checkpoints import Checkpoint, read_checkpoint
from netwright.train.weights import read_weights

EPOCHS, STEPS = 4, 80
_KILLS_IN_ONE_RUN = 5


def _train(server: ForkServer, place: Path, name: str, workers: int) -> Child:
    cache = "stream" if workers else "memory"  # data in memory need no workers
    argv = ["train", "digits", "mlp", f"epochs={EPOCHS}", "run.checkpoint_every=5", "seed=7",
            f"data.workers={workers}", f"data.cache={cache}", "aug.shift=1",
            "--run-dir", str(place / name), "--resume", "auto"]  # fmt: skip
    return server.start(argv, cwd=place)


@pytest.fixture(scope="module")
def reference(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run nobody killed."""
    place = tmp_path_factory.mktemp("reference")
    child = _train(server, place, "run", workers=0)
    assert child.wait() == 0, child.text()
    return place / "run"


@pytest.mark.parametrize("workers", [0, 2])
def test_ten_kills_change_nothing(server, place, reference, workers):
    _kill_at_random(server, place, reference, workers=workers, kills=10, seed=workers)


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", range(10, 15))
def test_two_hundred_kills_change_nothing(server, place, reference, workers, seed):
    _kill_at_random(server, place, reference, workers=workers, kills=20, seed=seed)


def test_workers_change_nothing(server, place, reference):
    child = _train(server, place, "run", workers=2)
    assert child.wait() == 0, child.text()
    _assert_same(place / "run", reference)


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
        child = _train(server, place, run.name, workers)
        assert child.wait() == 0, child.text()
        _assert_same(run, reference)


def _kill_one(
    server: ForkServer, run: Path, workers: int, draw: random.Random, *, at_most: int
) -> int:
    """Start a run and kill it, up to `at_most` times; how many times it was alive to be killed."""
    for count in range(at_most):
        child = _train(server, run.parent, run.name, workers)
        if draw.random() < 0.3:
            child.kill_after(draw.uniform(0.0, 1.0))  # at any moment, the beginning too
        else:
            # In the middle of the work: some checkpoints from here, and a little later.
            goal = _newest(run) + draw.randint(0, STEPS // 4)
            child.comes(lambda goal=goal: _newest(run) >= goal)
            child.kill_after(draw.uniform(0.0, 0.03))
        status = child.wait()
        assert status in (-9, 0), child.text()
        assert child.orphans() == []
        if status == 0:
            return count
    return at_most


def _newest(run: Path) -> int:
    steps = [int(path.name.removeprefix("step-")) for path in (run / "ckpt").glob("step-*")]
    return max(steps, default=0)


def _assert_same(run: Path, reference: Path) -> None:
    assert _lines(run) == _lines(reference)
    ours, theirs = _last(run), _last(reference)
    assert ours.step == theirs.step == STEPS
    for part in ("weights", "best"):
        _assert_equal(getattr(ours, part), getattr(theirs, part), part)
    assert set(ours.state) == set(theirs.state)
    for part in ours.state.keys() - {"environment", "config", "progress"}:
        _assert_equal(ours.state[part], theirs.state[part], part)
    best, expected = (read_weights(path / "best.safetensors") for path in (run, reference))
    _assert_equal(best, expected, "best.safetensors")
    told, expected_told = (json.loads((each / "run.json").read_text()) for each in (run, reference))
    assert (told["status"], told["best"]) == ("done", expected_told["best"])
    how = [resume["how"] for resume in told.get("resumed", [])]
    assert set(how) <= {"exact"}
    assert not (run / "ckpt" / "damaged").exists()


def _lines(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def _last(run: Path) -> Checkpoint:
    return read_checkpoint(max((run / "ckpt").glob("step-*")))


def _assert_equal(ours: Any, theirs: Any, where: str) -> None:
    """Equal to the last bit, tensors in nested dicts and lists too."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key, value in theirs.items():
            _assert_equal(ours[key], value, f"{where}.{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for index, value in enumerate(theirs):
            _assert_equal(ours[index], value, f"{where}.{index}")
    elif isinstance(theirs, torch.Tensor):
        assert ours.dtype == theirs.dtype, where
        assert torch.equal(ours, theirs), where
    else:
        assert ours == theirs, where
