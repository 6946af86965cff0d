"""Exit statuses: one for each kind of failure, and never a traceback of ours but for 1."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.core import errors as e
from netwright.records import run as records

FAILURES = [
    (e.SettingError("Wrong {what}.", what="key"), 2),
    (e.UnknownNameError("model", "resnet8", ["resnet20"]), 2),
    (e.DataError("No image in {path}.", path="a/"), 3),
    (e.CheckpointError("No checkpoint verifies."), 3),
    (e.CheckFailedError("The check failed."), 4),
    (e.DivergedError("The loss is NaN."), 5),
    (e.ExhaustedError("The disk is full."), 6),
    (MemoryError("Unable to allocate 9 GiB"), 6),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), 6),
    (RuntimeError("could not create a primitive"), 6),  # a convolution that has found no room
    (OSError(errno.ENOMEM, "Cannot allocate memory"), 6),  # a process that cannot be forked
    (e.RunBusyError("The run folder is in use."), 7),
    (e.InterruptedRunError("Stopped.", exit_code=130), 130),
    (e.InterruptedRunError("Stopped.", exit_code=143), 143),
    (KeyboardInterrupt(), 130),
]

NAMES = [f"{type(error).__name__}-{status}" for error, status in FAILURES]


@pytest.fixture
def report_fails(monkeypatch):
    """`netwright report` stands for any command: its first call raises what it is given."""

    def with_error(error: BaseException) -> None:
        def find_run(*_):
            raise error

        monkeypatch.setattr(records, "find_run", find_run)

    return with_error


@pytest.mark.parametrize(("error", "status"), FAILURES, ids=NAMES)
def test_a_failure_ends_with_its_status_and_words_on_standard_error(
    netwright, report_fails, error, status
):
    report_fails(error)
    answer = netwright("report")
    assert answer.status == status
    assert answer.out == ""
    assert answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(("error", "status"), FAILURES, ids=NAMES)
def test_under_json_a_failure_is_one_document_too(netwright, report_fails, error, status):
    report_fails(error)
    answer = netwright("report", "--json")
    document = json.loads(answer.out)
    assert document["exit"] == status == answer.status
    assert document["kind"] == type(error).__name__
    assert document["error"] == answer.err.rstrip("\n")


def test_a_fault_of_ours_is_one_line_and_its_traceback_lies_in_a_file(netwright, report_fails):
    report_fails(ZeroDivisionError("by zero\nand more"))
    answer = netwright("report")
    assert answer.status == 1
    assert answer.err.count("\n") == 1
    assert "ZeroDivisionError: by zero" in answer.err
    place = Path(answer.err.rsplit(" ", 1)[1].strip())
    assert "Traceback" in place.read_text()
    place.unlink()


def test_a_reader_who_leaves_early_is_no_failure():
    """`netwright --help | head -0`: the pipe is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "netwright", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
