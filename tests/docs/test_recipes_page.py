"""The page about recipes: its commands run, in their order, and its YAML is what is written."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import torch

from netwright.cli import main
from netwright.core import yaml_files
from netwright.tasks.settings import read_config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_every_command_runs_in_its_place(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_SET_steps", "3")
    lines = [line.removeprefix("$ ") for block in _blocks("console") for line in block.splitlines()]
    assert len(lines) > 10
    deterministic = torch.are_deterministic_algorithms_enabled()
    for line in lines:
        program, *words = shlex.split(line, comments=True)
        if program == "netwright":
            assert main(words) == 0, (line, capsys.readouterr().err)
            continue
        script = Path(words[0])
        script.write_text(script.read_text().replace("EPOCHS = 30", "EPOCHS = 1"))
        capsys.readouterr()
        try:
            with torch.random.fork_rng(devices=[]):
                runpy.run_path(str(script), run_name="__main__")
        finally:
            torch.use_deterministic_algorithms(deterministic)
        assert '"val/acc1"' in capsys.readouterr().out


def test_the_yaml_of_the_page_is_what_is_written_and_what_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shown, written = _blocks("yaml")
    assert main(["cp", "digits", "-"]) == 0
    text = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line not in text.splitlines()] == []
    Path("mine.yaml").write_text(written)
    recipe = read_config("mine.yaml").recipe
    assert (recipe.optim.options["lr"], dict(recipe.aug)) == (0.05, {"flip": True, "crop": 2})
    assert yaml_files.parse(written, name="page")["data"] == "flowers/"
