"""`netwright doctor --repair`: what it refuses, and how its lines look."""

from __future__ import annotations

import dataclasses
import io
import unicodedata

import pytest

from netwright.cli import main
from netwright.cli.commands.doctor import _Screen
from netwright.cli.screen import Call
from netwright.core import languages
from netwright.core.languages import Phrase
from netwright.tasks.doctored import Doctored
from netwright.tasks.launching import Ending
from netwright.tasks.repair.account import Attempt, Repaired


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data.txt", "There is no script data.txt."),
        ("folder", "folder is neither a script nor a run."),
        ("a-run", "--repair needs a script: a run cannot be trained again."),
    ],
)
def test_what_is_no_script_is_called_what_it_is(tmp_path, monkeypatch, capsys, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a-run").mkdir()
    (tmp_path / "a-run" / "run.json").write_text('{"format": 1, "status": "done"}')
    assert main(["doctor", "--repair", name]) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def lines(tmp_path):
    """What is told of a repair in a language, line by line."""

    def told(language, **values):
        stream = io.StringIO()
        screen = _Screen(Call(line="", quiet=False), stream)
        came = Repaired(
            done=Doctored(ending=Ending(status=0, why="done"), run=tmp_path),
            repaired=True,
            reason=Phrase("Repaired: the patched script ended above the script as it is"),
            table=(Attempt(findings=("x",), group="wiring", rows=()),),
            best=0.5, score=0.9, judge="accuracy", source="validation",
            patch=tmp_path / "it.diff", command="git apply it.diff",
        )  # fmt: skip
        languages.use(language)
        try:
            screen.tell("repair", Phrase("as it is"))
            screen.repaired(dataclasses.replace(came, **values), 0)
        finally:
            languages.use(None)
        return stream.getvalue().splitlines()

    return told


def test_one_line_is_one_line(lines):
    assert any("(1 line)." in each for each in lines("en", changed=1))
    assert any("(2 lines)." in each for each in lines("en", changed=2))


def test_its_words_are_chinese_in_chinese(lines):
    told = lines("zh", changed=1)
    for each in told[:2]:
        assert each.startswith("修复     ")
    assert "（在验证数据上）" in told[2]
    assert "(" not in told[2]
    assert sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in told[0][:7]) == 9
