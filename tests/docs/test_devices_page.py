"""The settings, files and numbers that docs/devices.md names are there, and its commands parse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from netwright.cli import main
from netwright.core.config import settings_of
from netwright.core.errors import RankLostError
from netwright.tasks.launcher import FRUITLESS
from netwright.tasks.recipe import General, RunOptions

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_run(line, tmp_path, monkeypatch, capsys):
    """In one process: what several do is tested with several."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    words = words[words.index("netwright") + 1 :]
    assert main([each for each in words if each != "devices=2"]) == 0, capsys.readouterr().err


def test_the_page_names_what_there_is():
    assert {"backend", "rank_timeout"} <= {each.name for each in settings_of(RunOptions)}
    assert "devices" in {each.name for each in settings_of(General)}
    assert f"status {RankLostError.exit_code}" in TEXT
    assert {3: "three in a row"}[FRUITLESS] in TEXT
