"""Strategies of Lightning and Fabric: `training_step` in the place of `forward`, two processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

import netwright as nw
from netwright.records.facts.answers import Answers

SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
import lightning, torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(dim=1))
    def training_step(self, batch):
        return F.cross_entropy(self.net(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

draw = torch.Generator().manual_seed(1)
x = torch.randn(128, 8, generator=draw)
y = (x @ torch.randn(8, 4, generator=draw)).argmax(1)
module = Module()
trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", devices=2, strategy="ddp",
                            logger=False, enable_progress_bar=False, enable_model_summary=False,
                            enable_checkpointing=False)
trainer.fit(module, DataLoader(TensorDataset(x, y), 16))
if trainer.global_rank == 0:
    print(sum(each.double().sum().item() for each in module.parameters()))
"""


def test_a_method_in_the_place_of_forward_is_looked_through(framework_loops):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = framework_loops.net("softmax")

        def training_step(self, x, y):
            return torch.nn.functional.cross_entropy(self.net(x), y)

    fabric = lightning.Fabric(accelerator="cpu")
    bare = Module()
    model, optimizer = fabric.setup(bare, torch.optim.SGD(bare.parameters(), lr=0.1))
    x, y = framework_loops.data()[0].tensors
    with nw.watch(model, optimizer) as doctor:
        for a, b in zip(x.split(32), y.split(32), strict=True):
            optimizer.zero_grad()
            fabric.backward(model.training_step(a, b))
            optimizer.step()
    assert doctor.findings[0].name == "softmax-before-cross-entropy"
    assert doctor.record().get(Answers).classes == 4


@pytest.mark.long
def test_of_two_processes_the_first_is_watched_and_both_train_as_they_would(tmp_path):
    pytest.importorskip("lightning")
    (tmp_path / "train.py").write_text(SCRIPT)
    alone, watched = (
        subprocess.run(
            [sys.executable, *command, "train.py"],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
            env={**os.environ, "NETWRIGHT_LANG": "en"},
        )
        for command in ([], ["-m", "netwright", "doctor"])
    )
    assert (alone.returncode, watched.returncode) == (0, 4)
    assert alone.stdout == watched.stdout != ""
    assert "STOP     softmax-before-cross-entropy" in watched.stderr
