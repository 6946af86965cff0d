"""The commands and the Python of docs/seeds.md run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from netwright.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "seeds.md"


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_SET_epochs", "1")
    lines = [line for block in blocks("console") for line in block.splitlines()]
    found = [shlex.split(line.removeprefix("$ "), comments=True)[1:] for line in lines]
    assert len(found) == 4
    for words in found:
        assert main(words) == 0, (words, capsys.readouterr().err)


def test_the_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(compile(block, str(PAGE), "exec"), {})
    assert re.findall(r"^(\d) done", capsys.readouterr().out, flags=re.MULTILINE) == list("789")
