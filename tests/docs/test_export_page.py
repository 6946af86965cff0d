"""The page on export does what it says: its commands run, and its Python reads their files."""

import re
import shlex
from pathlib import Path

import numpy as np
from PIL import Image

from netwright.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_commands_and_the_python_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_SET_epochs", "1")
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save("a.png")
    for line in "".join(blocks("console")).splitlines():
        words = shlex.split(line.removeprefix("$ "))
        assert words[0] == "netwright"
        assert main(words[1:]) == 0, (line, capsys.readouterr().err)
    shown = capsys.readouterr().err
    said = []
    for block in blocks("python"):
        exec(compile(block, "docs/export.md", "exec"), {})
        said.append(capsys.readouterr().out.strip())
    assert said[0] == said[1], "the same class from both files"
    assert said[0] in "0123456789"
    assert re.fullmatch(r"\S+ 64 of 64", said[2])
    for block in blocks("python")[:2]:  # the page shows what the command does
        assert all(line in shown for line in block.splitlines() if line)
