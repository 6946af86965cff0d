"""Images that are deleted or cut short while a run trains on them: others stand in, and it is said.

The next good image of the same class comes in the place of a bad one. More than are forgiven, one
in a hundred, end the run with status 3; it goes on once the files are back.
"""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from faults.fork_server import Child, ForkServer
from faults.runs import assert_same, newest

COUNT = 1000
FORGIVEN = 7  # of the 720 for training

# A network that takes files away itself, so that two runs lose them in the same step.
NETWORK = """
import pathlib
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(64, num_classes)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        if self.training:
            self.steps += 1
            if self.steps == 30:
                for name in NAMES:
                    pathlib.Path(name).unlink(missing_ok=True)
        return self.head(x.flatten(1))

def factory(num_classes):
    return Network(num_classes)
"""


@pytest.fixture
def pictures(place: Path) -> Path:
    return _pictures(place / "pictures")


def _pictures(root: Path) -> Path:
    """Four classes of 250 images each: no two alike, the same at each call."""
    draw = random.Random(0)
    for i in range(COUNT):
        folder = root / f"class-{i % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.frombytes("L", (8, 8), draw.randbytes(64)).save(folder / f"{i:04}.png")
    return root


def _train(
    server: ForkServer, root: Path, run: Path, *, workers: int = 0, model: str = "mlp"
) -> Child:
    return server.start(
        ["train", str(root), model, "epochs=3", "batch=16", "run.checkpoint_every=5",
         "data.val_share=0.28", "seed=3", "data.cache=stream", f"data.workers={workers}",
         "--run-dir", str(run), "--resume", "auto"],
        cwd=run.parent,
    )  # fmt: skip


def _spoil(paths: Sequence[Path], how: str) -> None:
    for path in paths:
        if how == "deleted":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:60] if how == "truncated" else b"")


def _spoilt_under_way(
    server: ForkServer, root: Path, run: Path, count: int, how: str, *, workers: int = 0
) -> tuple[Child, list[Path]]:
    """A run in whose first epoch every `COUNT / count`-th file is spoilt, while it is held."""
    child = _train(server, root, run, workers=workers)
    assert child.comes(lambda: newest(run) >= 10), child.text()
    child.kill(signal.SIGSTOP)
    paths = sorted(root.rglob("*.png"))[:: COUNT // count]
    _spoil(paths, how)
    child.kill(signal.SIGCONT)
    return child, paths


@pytest.mark.parametrize(("how", "workers"), [("deleted", 2), ("truncated", 0), ("emptied", 0)])
def test_a_file_that_goes_is_stood_in_for_counted_and_named(server, place, pictures, how, workers):
    run = place / "run"
    child, spoilt = _spoilt_under_way(server, pictures, run, 5, how, workers=workers)
    assert child.wait() == 0, child.text()
    assert child.orphans() == []
    told = child.text().split("WARN", 1)[1]
    names = {path.name for path in spoilt if path.name in told}
    assert len(names) == len(spoilt), child.text()
    replaced = [line for line in told.splitlines() if "were replaced by others" in line]
    left_out = [line for line in told.splitlines() if "do not count" in line or "evaluated" in line]
    assert replaced or left_out
    assert json.loads((run / "run.json").read_text())["status"] == "done"


def test_what_stands_in_is_the_same_each_time(server, place):
    """Two runs that lose the same files in the same step come to the same bits."""
    for name in ("one", "two"):
        root = _pictures(place / name / "pictures")
        gone = [str(path) for path in sorted(root.rglob("*.png"))[::200]]
        (place / name / "network.py").write_text(NETWORK.replace("NAMES", repr(gone)))
        child = _train(
            server, root, place / name / "run", model=f"{place / name / 'network.py'}:factory"
        )
        assert child.wait() == 0, child.text()
        assert "replaced by others of their class" in " ".join(child.text().split())
    assert_same(place / "one" / "run", place / "two" / "run", steps=135)


def test_more_than_are_forgiven_end_the_run_with_3_and_it_goes_on_when_they_are_back(
    server, place, pictures
):
    run = place / "run"
    child, spoilt = _spoilt_under_way(server, pictures, run, 50, "emptied")
    assert child.wait() == 3, child.text()
    text = " ".join(child.text().split())
    assert f"{FORGIVEN + 1} of 720 images cannot be read any more, the last of them " in text
    assert any(path.name in text for path in spoilt)
    assert json.loads((run / "run.json").read_text())["status"] == "failed"

    child = _train(server, pictures, run)  # while they are gone: nothing is lost, and that is said
    assert child.wait() == 3, child.text()

    _pictures(pictures)
    child = _train(server, pictures, run)
    assert child.wait() == 0, child.text()
    assert all(
        each["how"] == "exact" for each in json.loads((run / "run.json").read_text())["resumed"]
    )
