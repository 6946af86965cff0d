"""Locks and children that end with their process, however it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from netwright.core.errors import RunBusyError, SettingError
from netwright.core.linux import Lock, is_held

# The owner of a lock that forks a worker, and says its process id.
_OWNER = """
import os, pathlib, sys, time
from netwright.core.linux import Lock, die_with_parent
lock = Lock(pathlib.Path(sys.argv[1]))
owner = os.getpid()
worker = os.fork()
if worker == 0:
    if sys.argv[2] == "dies":
        die_with_parent(owner)
    print("ready", os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path):
    started = []

    def start(worker):
        process = subprocess.Popen(
            [sys.executable, "-c", _OWNER, str(tmp_path / ".lock"), worker], stdout=subprocess.PIPE
        )
        started.append(process)
        return process, int(process.stdout.readline().split()[1])

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_lock_is_refused_at_once_and_had_when_the_first_is_released(tmp_path):
    first = Lock(tmp_path / ".lock")
    with pytest.raises(RunBusyError, match=f"The run folder {tmp_path} is in use") as caught:
        Lock(tmp_path / ".lock")
    assert caught.value.exit_code == 7
    first.release()
    first.release()
    Lock(tmp_path / ".lock").release()


def test_a_lock_dies_with_its_killed_owner_although_a_worker_lives(tmp_path, owner):
    process, worker = owner("lives")
    with pytest.raises(RunBusyError):
        Lock(tmp_path / ".lock")
    process.kill()
    process.wait()
    try:
        Lock(tmp_path / ".lock").release()
        os.kill(worker, 0)
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_worker_that_asked_for_it_dies_with_its_parent(owner):
    process, worker = owner("dies")
    process.kill()
    process.wait()
    end = time.monotonic() + 20
    while _alive(worker):
        assert time.monotonic() < end
        time.sleep(0.01)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_link_is_followed_to_a_lock(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Lock(tmp_path / ".lock")
    assert not (tmp_path / "elsewhere").exists()


def test_another_system_is_told_that_it_cannot_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SettingError, match="on Linux only; this system is darwin"):
        Lock(tmp_path / ".lock")


def test_who_asks_is_told_whether_a_lock_is_held_and_takes_none(tmp_path, owner):
    process, _ = owner("dies")
    assert is_held(tmp_path / ".lock")
    process.kill()
    process.wait()
    time.sleep(0.05)
    assert is_held(tmp_path / ".lock") is False
    assert is_held(tmp_path / "absent") is False
