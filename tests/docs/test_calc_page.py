"""The page on calc: its commands run, the answer it shows is the answer, its Python holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from netwright.arithmetic.calculations import CALCULATIONS, TOPICS
from netwright.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "calc.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [content for name, content in fenced if name == language]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert all(line.startswith("$ netwright calc ") for line in lines)
    return [shlex.split(line)[2:] for line in lines]


def test_its_commands_run_and_the_first_prints_what_the_page_shows(monkeypatch, capsys):
    monkeypatch.setenv("NETWRIGHT_LANG", "en")
    monkeypatch.setenv("COLUMNS", "80")
    printed = []
    for words in commands():
        assert main(words) == 0, (words, capsys.readouterr().err)
        printed.append(capsys.readouterr().out)
    (shown,) = blocks("")
    assert printed[0] == shown


def test_it_shows_every_calculation_but_those_that_are_like_another():
    shown = {words[1] for words in commands()}
    assert {*CALCULATIONS.names(), *TOPICS} - shown == {"rnn", "gru"}


def test_its_python_holds():
    (example,) = blocks("python")
    exec(compile(example, "docs/calc.md", "exec"), {})
