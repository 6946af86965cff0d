"""What happens around a run: its data workers die, the clock jumps, Ctrl-C comes twice."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from faults.fork_server import Child, ForkServer
from faults.runs import assert_same, command, newest, train
from netwright.core.linux import descendants


@pytest.mark.parametrize("victims", [1, 2])
def test_a_data_worker_that_is_killed_ends_the_run_with_6_and_a_resume_is_exact(
    server, place, reference, victims
):
    run = place / "run"
    child, workers = _held(server, run)
    for pid in workers[:victims]:
        os.kill(pid, signal.SIGKILL)
    child.kill(signal.SIGCONT)
    assert child.wait() == 6, child.text()
    assert child.orphans() == []
    text = " ".join(child.text().split())
    assert "A data worker was killed or ended before its work was done." in text
    assert "netwright train --resume" in text
    child = train(server, run, workers=2)
    assert child.wait() == 0, child.text()
    assert_same(run, reference)


def test_a_data_worker_that_is_frozen_and_wakes_costs_time_alone(server, place, reference):
    run = place / "run"
    child, workers = _held(server, run)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    child.kill(signal.SIGCONT)
    time.sleep(0.3)
    assert not child.ended()
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    assert child.wait() == 0, child.text()
    assert_same(run, reference)


def _held(server: ForkServer, run: Path) -> tuple[Child, list[int]]:
    """A run with two workers, stopped in the middle, and the process ids of the workers."""
    child = train(server, run, workers=2)
    assert child.comes(lambda: newest(run) >= 10), child.text()
    child.kill(signal.SIGSTOP)
    workers = list(descendants(child.pid))
    assert len(workers) == 2, child.text()
    return child, workers


@pytest.mark.parametrize("leap", ["+3650", "-3650", "both"])
def test_a_clock_that_leaps_ten_years_changes_nothing(server, place, reference, leap):
    """At every look at it, forwards, backwards, or in turns; the monotonic clock goes on."""
    run = place / "run"
    child = server.start(
        [leap, *command(run)], cwd=place, call="faults.programs:with_a_leaping_clock"
    )
    assert child.wait() == 0, child.text()
    assert_same(run, reference)
    info = json.loads((run / "run.json").read_text())
    assert 0 < info["seconds"] < 600
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= line["time/epoch_s"] < 600 for line in lines)


@pytest.mark.parametrize("leap", ["+3650", "-3650"])
def test_checkpoints_by_the_clock_come_all_the_same(server, place, leap):
    """`run.checkpoint_every` in time counts the seconds that pass, not those on the wall."""
    run = place / "run"
    words = [word for word in command(run) if not word.startswith("run.checkpoint_every")]
    child = server.start(
        [leap, *words, "run.checkpoint_every=1h"],
        cwd=place,
        call="faults.programs:with_a_leaping_clock",
    )
    assert child.wait() == 0, child.text()
    saved = [path for path in (run / "ckpt").iterdir() if path.name.startswith("step-")]
    assert all(int(path.name.removeprefix("step-")) % 20 == 0 for path in saved)  # bests alone


def test_a_run_goes_on_whose_files_are_from_the_future(server, place, reference):
    """The newest checkpoint is told by its number; time stamps may say anything."""
    run = place / "run"
    child = train(server, run)
    assert child.comes(lambda: newest(run) >= 25), child.text()
    child.kill()
    child.wait()
    for number, path in enumerate(sorted(run.rglob("*"))):
        stamp = time.time() + (-1) ** number * 10 * 365 * 86400
        os.utime(path, (stamp, stamp), follow_symlinks=False)
    child = train(server, run)
    assert child.wait() == 0, child.text()
    assert_same(run, reference)


def _slow(place: Path) -> list[str]:
    """A run whose 10th step takes a minute."""
    file = place / "slow.py"
    file.write_text(
        "import pathlib, time, torch\n"
        "from torch import nn\n"
        "class Slow(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.head, self.steps = nn.Linear(64, num_classes), 0\n"
        "    def forward(self, x):\n"
        "        self.steps += self.training\n"
        "        if self.steps == 10:\n"
        f"            pathlib.Path({str(place / 'waits')!r}).touch()\n"
        "            end = time.monotonic() + 60\n"
        f"            while time.monotonic() < end and not pathlib.Path({str(place / 'on')!r})"
        ".exists():\n"
        "                time.sleep(0.01)\n"
        "        return self.head(x.flatten(1))\n"
        "def factory(num_classes):\n"
        "    return Slow(num_classes)\n"
    )
    return ["train", "digits", f"{file}:factory", "epochs=1", "run.checkpoint_every=5",
            "--run-dir", str(place / "run")]  # fmt: skip


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 143)])
def test_a_step_under_way_is_finished_and_saved_before_a_signal_is_obeyed(
    server, place, number, status
):
    child = server.start(_slow(place), cwd=place)
    assert child.comes((place / "waits").exists), child.text()
    child.kill(number)
    child.kill(number)  # again: schedulers do
    time.sleep(0.3)
    assert not child.ended()
    (place / "on").touch()
    assert child.wait() == status, child.text()
    assert newest(place / "run") == 10
    assert f"netwright train --resume {place / 'run'}" in child.text()


def test_a_second_ctrl_c_leaves_at_once_and_the_last_checkpoint_is_kept(server, place):
    child = server.start(_slow(place), cwd=place)
    assert child.comes((place / "waits").exists), child.text()
    assert child.comes(lambda: newest(place / "run") >= 5)
    child.kill(signal.SIGINT)
    time.sleep(0.3)
    assert not child.ended()
    child.kill(signal.SIGINT)
    assert child.wait(30) == 130, child.text()
    assert "Left at once; the last checkpoint is kept." in child.text()
    assert child.orphans() == []
    assert newest(place / "run") == 5
    (place / "on").touch()
    child = server.start(["train", "--resume", str(place / "run")], cwd=place)
    assert child.wait() == 0, child.text()
    (resumed,) = json.loads((place / "run" / "run.json").read_text())["resumed"]
    assert (resumed["step"], resumed["how"]) == (5, "exact")
