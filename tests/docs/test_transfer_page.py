"""The commands of `docs/transfer.md` run, in order."""

import re
import shlex
from pathlib import Path

from netwright.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "transfer.md"


def test_every_command_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_SET_steps", "2")
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert len(lines) == 3
    for line in lines:
        assert main(shlex.split(line, comments=True)[1:]) == 0, (line, capsys.readouterr().err)
    assert "all below the head (stages: 10;" in capsys.readouterr().err
