"""Memory runs out in a pass: the step is taken again in smaller ones, and a resume is exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faults.ranks import ended, start_ranks, told
from faults.runs import assert_same, newest
from netwright.train.checkpoints import read_checkpoint

# A network for whom more than 16 images at once are too many, from its 30th step on: the earlier
# steps are taken whole. (It counts in a buffer, so that a resume and a repeated pass see the same.)
NETWORK = """
import torch
from torch import nn

class Hungry(nn.Module):
    def __init__(self, num_classes, norm):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), norm, nn.ReLU())
        self.head = nn.Linear(32, num_classes)
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        hidden = self.body(x)
        if self.training:
            self.images += len(x)
            if self.images > 30 * 64 and len(x) > 16:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.54 GiB")
        return self.head(hidden)

def plain(num_classes):
    return Hungry(num_classes, nn.Identity())

def normed(num_classes):
    return Hungry(num_classes, nn.BatchNorm1d(32))
"""


def _command(place: Path, run: str, network: str = "plain", *more: str) -> list[str]:
    file = place / "hungry.py"
    file.write_text(NETWORK)
    return ["train", "digits", f"{file}:{network}", "epochs=4", "run.checkpoint_every=5", "seed=7",
            "batch=64", *more, "--run-dir", str(place / run), "--resume", "auto"]  # fmt: skip


@pytest.mark.parametrize("network", ["plain", "normed"])
def test_a_step_that_does_not_fit_is_taken_in_smaller_passes_and_recorded(server, place, network):
    child = server.start(_command(place, "run", network), cwd=place)
    assert child.wait() == 0, child.text()
    text = " ".join(child.text().split())
    assert "Memory ran out after step 30: the 64 images of the next one" in text
    assert "in passes of 32" in text
    assert "in passes of 16" in text
    assert ("Batch norm takes its statistics of each pass" in text) == (network == "normed")
    info = json.loads((place / "run" / "run.json").read_text())
    assert info["passes"] == [{"step": 30, "images": 32}, {"step": 30, "images": 16}]
    found = {path.name: read_checkpoint(path) for path in (place / "run" / "ckpt").glob("step-*")}
    state = found["step-000000080"].state
    assert state["environment"]["micro_batch"] == 16
    assert state["passes"]["halved"] == 2
    # Every image was counted once: what the failed passes had moved was put back.
    assert found["step-000000080"].weights["images"] == 80 * 64


@pytest.mark.parametrize("network", ["plain", "normed"])
def test_killed_after_memory_ran_out_a_run_goes_on_exactly(server, place, network):
    child = server.start(_command(place, "whole", network), cwd=place)
    assert child.wait() == 0, child.text()
    for goal in (10, 35, 60):
        child = server.start(_command(place, "run", network), cwd=place)
        assert child.comes(lambda goal=goal: newest(place / "run") >= goal), child.text()
        child.kill()
        child.wait()
    child = server.start(_command(place, "run", network), cwd=place)
    assert child.wait() == 0, child.text()
    assert_same(place / "run", place / "whole")


def test_gradients_in_smaller_passes_are_those_of_the_batch(server, place):
    """The same run on a network that is never too large comes to the same curve."""
    curves = []
    for run, most in (("small", 16), ("large", 6400)):  # of another length: Python caches by it
        command = _command(place, run)
        text = (place / "hungry.py").read_text().replace("len(x) > 16", f"len(x) > {most}")
        (place / "hungry.py").write_text(text)
        child = server.start(command, cwd=place)
        assert child.wait() == 0, child.text()
        lines = (place / run / "metrics.jsonl").read_text().splitlines()
        curves.append([json.loads(line)["train/loss"] for line in lines])
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)
    assert curves[0] != curves[1]


def test_memory_that_the_system_refuses_is_made_do_with(server, place):
    """Not told by the network but by the allocator: the process may have 300 MB more."""
    file = place / "wide.py"
    file.write_text(
        "from torch import nn\n"
        "class Wide(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.head = nn.Linear(64, num_classes)\n"
        "    def forward(self, x):\n"
        "        wide = x.flatten(1).unsqueeze(1).repeat(1, 1000, 1)\n"  # 256 kB an image
        "        return self.head(wide.exp().log().mean(1))\n"
        "def factory(num_classes):\n"
        "    return Wide(num_classes)\n"
    )
    child = server.start(
        ["314572800", "train", "digits", f"{file}:factory", "steps=3", "batch=1024",
         "--run-dir", str(place / "run")],
        cwd=place,
        call="faults.programs:with_little_memory",
    )  # fmt: skip
    assert child.wait() == 0, child.text()
    info = json.loads((place / "run" / "run.json").read_text())
    assert info["passes"][0] == {"step": 0, "images": 512}
    assert info["status"] == "done"


def test_all_ranks_take_the_step_again_when_one_has_no_memory_left(server, place):
    command = _command(place, "run", "plain", "run.backend=gloo")
    text = (place / "hungry.py").read_text().replace("len(x) > 16", "len(x) > 16 and RANK == '1'")
    text = f"import os\nRANK = os.environ.get('RANK')\n{text.replace('30 * 64', '30 * 32')}"
    (place / "hungry.py").write_text(text)
    ranks = start_ranks(server, command, cwd=place)
    assert ended(ranks, 120) == {0: 0, 1: 0}, told(ranks)
    assert "Memory ran out after step 30" in told(ranks)
    state = read_checkpoint(place / "run" / "ckpt" / "step-000000080").state
    assert state["environment"]["micro_batch"] == 16


def test_one_image_that_is_too_large_ends_the_run_with_6(server, place):
    command = _command(place, "run")
    text = (place / "hungry.py").read_text().replace("len(x) > 16", "len(x) > 0")
    (place / "hungry.py").write_text(text)
    child = server.start(command, cwd=place)
    assert child.wait() == 6, child.text()
    assert "Memory ran out: CUDA out of memory. Tried to allocate 9.54 GiB" in child.text()
    assert newest(place / "run") == 30
