"""Runs that are asked to stop, frozen, met by a second one, damaged, or out of disk."""

import json
import os
import signal
import time

import pytest

from faults.programs import NOT_PERMITTED
from faults.runs import assert_same, command, newest, train


def _under_way(server, run, *, workers=0):
    child = train(server, run, workers=workers)
    assert child.comes(lambda: newest(run) >= 15), child.text()
    return child


@pytest.mark.parametrize(
    ("number", "workers", "status"),
    [(signal.SIGINT, 0, 130), (signal.SIGTERM, 0, 143), (signal.SIGUSR1, 2, 143)],
)
def test_a_signal_saves_the_step_says_how_to_go_on_and_loses_nothing(
    server, place, reference, number, workers, status
):
    child = _under_way(server, place / "run", workers=workers)
    child.kill(number)
    assert child.wait() == status, child.text()
    assert child.orphans() == []
    assert f"netwright train --resume {place / 'run'}" in child.text()
    assert "Traceback" not in child.text()
    assert json.loads((place / "run" / "run.json").read_text())["status"] == "interrupted"
    # To the end without workers, whatever their number was before.
    child = train(server, place / "run", cache="stream" if workers else "memory")
    assert child.wait() == 0, child.text()
    assert_same(place / "run", reference)


def test_a_frozen_run_goes_on_as_if_nothing_had_been(server, place, reference):
    child = _under_way(server, place / "run")
    child.kill(signal.SIGSTOP)
    time.sleep(0.2)
    child.kill(signal.SIGCONT)
    assert child.wait() == 0, child.text()
    assert_same(place / "run", reference)


def test_a_second_run_on_the_folder_ends_with_7_and_disturbs_nothing(server, place, reference):
    first = _under_way(server, place / "run")
    first.kill(signal.SIGSTOP)  # so that it cannot be done before the second one comes
    second = train(server, place / "run")
    assert second.wait() == 7, second.text()
    assert "is in use by another process" in second.text()
    first.kill(signal.SIGCONT)
    assert first.wait() == 0, first.text()
    assert_same(place / "run", reference)


def test_a_damaged_checkpoint_is_named_and_the_one_before_leads_to_the_same_end(
    server, place, reference
):
    run = place / "run"
    child = _under_way(server, run)
    child.kill()
    child.wait()
    step = newest(run)
    path = run / "ckpt" / f"step-{step:09d}" / "state.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    child = train(server, run)
    assert child.wait() == 0, child.text()
    assert f"step-{step:09d} is damaged" in child.text()
    assert os.listdir(run / "ckpt" / "damaged") == [path.parent.name]
    (run / "ckpt" / "damaged").rename(place / "damaged")
    assert_same(run, reference)


def test_a_disk_that_fills_up_ends_with_6_and_with_room_the_run_comes_to_the_same_end(
    server, place, reference
):
    (place / "disk").mkdir()
    child = server.run(
        "faults.programs:train_until_full",
        [str(place / "disk"), str(place / "kept"), *command(place / "disk" / "run")],
        cwd=place,
    )
    if child.wait() == NOT_PERMITTED:
        pytest.skip("mounting is not permitted here")
    assert child.wait() == 0, child.text()
    told = json.loads(child.text().splitlines()[-1])
    assert (told["full"], told["done"]) == (6, 0), child.text()
    assert told["left"], "no checkpoint was kept"
    assert not [name for name in told["left"] if name.startswith(".")]
    assert "bytes needed, " in child.text()
    assert_same(place / "kept", reference)


def test_a_finished_run_is_told_again_and_not_trained_again(server, reference):
    before = (reference / "run.json").stat().st_mtime_ns
    child = train(server, reference)
    assert child.wait() == 0
    assert "val/acc1" in child.text()
    assert (reference / "run.json").stat().st_mtime_ns == before
