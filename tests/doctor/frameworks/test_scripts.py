"""`netwright doctor SCRIPT.py` on scripts that use a framework: what they print stays as it was."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.cli import main
from netwright.records.facts.steps import Steps
from netwright.records.record import Record


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_LANG", "en")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def printed(script, capsys, monkeypatch):
    """What the script prints by itself."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(script), *arguments])
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_healthy_script_keeps_its_output_and_its_status(framework, script, printed, capsys):
    alone = printed(framework)
    status = main(["doctor", "--run-dir", "seen", str(script), framework])
    told = capsys.readouterr()
    assert (status, told.out) == (0, alone)
    assert alone.startswith("losses 1.")
    assert "doctor   0 stop, 0 warn, 0 note, after 48 steps" in told.err
    assert Record.load(Path("seen")).get(Steps).total == 48


def test_a_fault_is_told_and_gives_status_4(framework, script, printed, capsys):
    alone = printed(framework, "--fault", "softmax")
    status = main(["doctor", "--run-dir", "seen", str(script), framework, "--fault", "softmax"])
    told = capsys.readouterr()
    assert (status, told.out) == (4, alone)
    assert "STOP     softmax-before-cross-entropy" in told.err


def test_a_process_of_its_own_ends_as_it_would(script, printed):
    pytest.importorskip("accelerate")
    watched = subprocess.run(
        [sys.executable, "-m", "netwright", "doctor", str(script), "accelerate"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ},
    )
    assert (watched.returncode, watched.stdout) == (0, printed("accelerate"))
