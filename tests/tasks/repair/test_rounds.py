"""Whole repairs, their runs made by one process that has torch: what is tried, claimed and said."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import pytest

from netwright.tasks.doctoring import Wish
from netwright.tasks.launching import Target
from netwright.tasks.repair.process import Process, Server
from netwright.tasks.repair.runs import Runs
from netwright.tasks.repairing import RepairWish, repair_script

DATA = """\
import torch
import torch.nn as nn

generator = torch.Generator().manual_seed(0)
means = torch.rand(4, 16, generator=generator)
y = torch.randint(0, 4, (512,), generator=generator)
x = (means[y] + 0.2 * torch.randn(512, 16, generator=generator)).clamp(0, 1)
"""

LOOP = """\
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for epoch in range(6):
    for i in range(0, 512, 32):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[i:i + 32]), y[i:i + 32])
        loss.backward()
        optimizer.step()
"""

SHIFTED = DATA + "y = y + 1\n" + LOOP


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all scripts stand: copies of one process begin in the folder that it was started in."""
    return tmp_path_factory.mktemp("repairs")


@pytest.fixture(scope="module")
def server():
    with Server() as made:
        yield made


@pytest.fixture
def repaired(folder, monkeypatch, server):
    """Repairs a script; gives what came of it, and what was told."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        Runs, "first", lambda self, heard: Process(self._job(self._wish), server=server)
    )
    monkeypatch.setattr(
        Runs,
        "patched",
        lambda self, script: Process(
            self._job(dataclasses.replace(self._wish, keep=False), script), server=server
        ),
    )

    def run(text):
        (folder / "train.py").write_text(text, encoding="utf-8")
        told = []
        came = repair_script(
            Target(name="train.py", args=(), module=False),
            Wish(checkup=False),
            RepairWish(seeds=1),
            tell=lambda word, what: told.append(f"{word} {what}"),
            show=lambda finding, where: None,
            table=lambda attempt: told.append(attempt.lines()),
            watched=lambda done: None,
        )
        return came, told

    return run


def test_a_script_that_crashes_at_its_first_loss_is_repaired_too(repaired):
    came, told = repaired(SHIFTED)
    assert came.repaired
    assert came.best is None
    assert "- 1)" in came.patch.read_text(encoding="utf-8")
    # As it is it takes no step; then the trial of one seed, and the patched run to its end.
    control, patched = came.table[0].rows
    assert (control.steps, control.judged) == (0, False)
    assert came.steps == patched.steps + 96
    assert came.cost == pytest.approx(came.steps / 96)
    assert "repair the patched script runs, to its end if nothing more is found" in told


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up as Linux tells them")
@pytest.mark.parametrize("trial", [True, False])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_a_script_started_ends_with_the_run_that_is_ended(tmp_path, server, trial, how):
    script = tmp_path / "train.py"
    script.write_text(
        "import os, time\n"
        "made = os.fork()\n"
        "if not made:\n"
        "    time.sleep(600)\n"
        "    os._exit(0)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(made))\n"
        + DATA
        + LOOP
        + "os.kill(made, 9)\n"
    )
    runs = Runs(Target(name=str(script)), Wish(checkup=False, keep=False), (5, 50), aside=False)
    job = runs._job(runs._wish, trial=trial)
    with Process(job, server=server if trial else None) as run:
        assert run.until_mark(120).step == 5
        made = int((tmp_path / "pid").read_text())
        assert _lives(made)
        getattr(run, how)()
        until = time.monotonic() + 20
        while _lives(made):
            assert time.monotonic() < until
            time.sleep(0.05)


def _lives(process):
    try:
        told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return told[0] != "Z"
