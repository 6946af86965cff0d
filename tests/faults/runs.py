"""One small training run through the command line, and what "the same run" means to a bit."""

from __future__ import annotations

import atexit
import functools
import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from faults.fork_server import Child, ForkServer
from netwright.train.checkpoints import Checkpoint, read_checkpoint
from netwright.train.weights import read_weights

STEPS = 80  # 4 epochs of 20


def command(run: Path, *, workers: int = 0, cache: str = "") -> list[str]:
    """The command line that starts the run in the folder `run`, or goes on with it."""
    cache = cache or ("stream" if workers else "memory")  # data in memory need no workers
    return ["train", str(pictures()), "mlp", "epochs=4", "batch=16", "data.val_share=0.2",
            "run.checkpoint_every=5", "seed=7", f"data.workers={workers}", f"data.cache={cache}",
            "aug.shift=1", "--run-dir", str(run), "--resume", "auto"]  # fmt: skip


@functools.cache
def pictures() -> Path:
    """400 files of four classes, which differ in brightness. Files, for the built-in digits lie in
    memory, and a run on them has no data workers whatever it is asked for."""
    memory = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="netwright-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    draw = random.Random(0)
    for i in range(400):
        folder = root / f"class-{i % 4}"
        folder.mkdir(exist_ok=True)
        shades = bytes(40 * (i % 4) + draw.randrange(120) for _ in range(64))
        Image.frombytes("L", (8, 8), shades).save(folder / f"{i:03}.png")
    return root


def train(server: ForkServer, run: Path, *, workers: int = 0, cache: str = "") -> Child:
    """Give that command line to a child of the fork server."""
    return server.start(command(run, workers=workers, cache=cache), cwd=run.parent)


def newest(run: Path) -> int:
    """The step of the newest checkpoint, by its name; 0 before the first."""
    steps = [int(path.name.removeprefix("step-")) for path in (run / "ckpt").glob("step-*")]
    return max(steps, default=0)


def assert_same(run: Path, reference: Path, *, steps: int = STEPS) -> None:
    """Weights, best weights, optimizer and metrics of two finished runs are equal bit by bit."""
    assert _lines(run) == _lines(reference)
    ours, theirs = _last(run), _last(reference)
    assert ours.step == theirs.step == steps
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
