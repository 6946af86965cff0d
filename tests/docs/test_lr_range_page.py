"""What the page on the range test shows can be typed, and comes out as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from netwright.cli import main
from netwright.optim.range_test import rates, suggest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "lr-range.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [content for name, content in fenced if name == language]


def test_its_commands_run_and_leave_the_picture_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("console") for line in block.splitlines()]
    for line in lines:
        assert main(shlex.split(line.removeprefix("$ "))[1:]) == 0, line
    assert len(lines) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["rates.svg"]


def test_the_output_it_shows_has_the_lines_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_LANG", "en")
    assert main(["lr-range", "digits", "mlp"]) == 0
    printed = capsys.readouterr()
    (shown,) = blocks("")

    def words(text: str) -> list[str]:
        return [
            re.sub(r" *\d[\d.]*(e[-+]\d+)?", " #", line).strip()
            for line in text.splitlines()
            if line
        ]

    following = [line for line in printed.err.splitlines() if line.startswith("Next:")]
    # Numbers differ between machines in the last place; how many lines the table has may too.
    assert set(words(shown)) == set(words(printed.out) + words("\n".join(following)))


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(compile(example, "lr-range.md", "exec"), {})
    assert (tmp_path / "rates.svg").is_file()


def test_every_refusal_it_lists_is_one_that_is_said():
    tried = rates(1e-6, 1.0, 60)
    said = [
        suggest(tried, [2.3] * 60),
        suggest(tried, [2.3 - 0.01 * k for k in range(60)]),
        suggest(tried, [2.3 + 0.01 * k for k in range(60)]),
        suggest([1.0, 2.0], [2.3, float("nan")]),
        suggest([1.0], [float("nan")]),
    ]
    listed = re.findall(r"^\| (The [^|]*) \|", PAGE, flags=re.MULTILINE)
    starts = [part.replace("N points", "") for row in listed for part in row.split(" · ")]
    for each in said:
        assert any(start.split(" after")[0] in str(each.why) for start in starts), each.why
