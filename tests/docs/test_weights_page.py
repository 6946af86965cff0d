"""The commands of `docs/weights.md` run, in order."""

import re
import shlex
from pathlib import Path

from netwright.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "weights.md"


def test_every_command_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_SET_epochs", "1")
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    found = [shlex.split(line, comments=True)[1:] for line in lines]
    assert len(found) == 5
    for words in found:
        assert main(words) == 0, (words, capsys.readouterr().err)
    assert "squeezenet-deep-compression" in capsys.readouterr().out
