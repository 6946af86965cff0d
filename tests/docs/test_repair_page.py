"""What the page on repairing shows can be typed, and comes out as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from netwright.cli import main
from netwright.tasks.patches import PATCHES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "repair.md").read_text(encoding="utf-8")

SCRIPT = """
import torch
from torch import nn
torch.manual_seed(0)
means = torch.rand(4, 8)
y = torch.arange(256) % 4
x = means[y] + 0.1 * torch.randn(256, 8)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(dim=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
for epoch in range(8):
    for a, b in zip(x.split(16), y.split(16)):
        nn.functional.cross_entropy(model(a), b).backward()
        optimizer.step()
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_its_commands_run(tmp_path, monkeypatch, capfd):
    (tmp_path / "train_flowers.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_LANG", "en")
    (block,) = re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
    doctor, git = (line.removeprefix("$ ") for line in block.splitlines())
    assert main(shlex.split(doctor)[1:]) == 0
    told = capfd.readouterr().err
    subprocess.run(shlex.split(git), check=True)
    patched = (tmp_path / "train_flowers.py").read_text()
    assert "zero_grad" in patched
    assert "Repaired" in told


def test_every_treatment_that_it_can_write_is_known_to_a_condition():
    from netwright.doctor import conditions

    folder = Path(conditions.__file__).parent
    told = "".join(each.read_text(encoding="utf-8") for each in folder.glob("*.py"))
    unknown = [each for each in PATCHES.names() if f'"{each}"' not in told]
    assert unknown == []
