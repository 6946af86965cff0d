"""What the page on the doctor shows can be typed, and comes out as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from netwright.cli import main
from netwright.cli.commands import COMMANDS
from netwright.cli.parsing import arguments

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")

SCRIPT = """
import argparse, torch
from torch import nn
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
args = parser.parse_args()
torch.manual_seed(0)
x = torch.randn(64, 8)
y = torch.arange(64) % 4
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(dim=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(args.epochs):
    for a, b in zip(x.split(16), y.split(16)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(a), b).backward()
        optimizer.step()
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    (tmp_path / "train_flowers.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_LANG", "en")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NETWRIGHT_SET_epochs", "1")


def without_names(text):
    """A run is called by its time and four random digits."""
    return re.sub(r"runs/\S+-Sequential-\w{4}", "runs/RUN", text)


def test_its_commands_run(capfd):
    lines = [line for block in blocks("console") for line in block.splitlines()]
    for line in lines:
        status = main(shlex.split(line.removeprefix("$ "))[1:])
        assert status == (4 if "train_flowers" in line else 0), line
        if "train_flowers" in line:
            (shown,) = blocks("text")
            assert without_names(capfd.readouterr().err).startswith(without_names(shown))
    assert len(lines) == 5


EXTRAS = ("accelerate", "lightning", "transformers")


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_its_python_runs(number, capsys):
    block = blocks("python")[number]
    for each in EXTRAS:
        if re.search(rf"^from {each} ", block, flags=re.MULTILINE):
            pytest.importorskip(each)
    exec(compile(block, "doctor.md", "exec"), {"__name__": "doctor_page"})
    promised = re.findall(r"print\(.*\)  # (.*)", block)
    assert set(promised) <= set(capsys.readouterr().out.splitlines())


def test_each_framework_has_its_example():
    whole = "".join(blocks("python"))
    for each in ("accelerator.prepare(", "fabric.setup(", "nw.LightningDoctor", "nw.HFDoctor"):
        assert each in whole


def test_its_table_names_every_option_of_the_command():
    known = {n for a in arguments(COMMANDS.get("doctor")) for n in a.names if n.startswith("-")}
    shown = set(re.findall(r"^\| `(-[-\w]*)", PAGE, flags=re.MULTILINE))
    assert known <= shown | {"--minutes"}
