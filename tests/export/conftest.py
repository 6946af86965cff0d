"""One small network, made ready for export, and a run of it as torch itself computes it."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from netwright.data.preprocessing import Preprocessing
from netwright.export.formats import Exportable
from netwright.train.copies import ties_of
from netwright.train.weights import pack, unpack

FACTS = {"format": "netwright/1", "classes": '["cat", "狗"]', "run": "flowers"}


def exportable(network: nn.Module, *, channels: int = 3, dtype=torch.uint8) -> Exportable:
    weights = {name: each.detach().contiguous() for name, each in network.state_dict().items()}
    preprocessing = Preprocessing(
        channels=channels,
        size=(6, 5),
        mean=(0.48, 0.45, 0.4)[:channels],
        std=(0.22, 0.25, 0.3)[:channels],
    )
    return Exportable(
        network=network.eval(),
        preprocessing=preprocessing,
        dtype=dtype,
        facts=FACTS,
        pack=lambda facts: pack(weights, ties=ties_of(weights), step=7, best=7, more=facts),
        unpack=lambda data: unpack(data)[0],
    )


@pytest.fixture(scope="session")
def make():
    return exportable


class Small(nn.Module):
    """Convolution, batch normalisation, dropout: what differs between training and evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 2)
        self.norm.running_mean.uniform_(-1, 1)

    def forward(self, x):
        return self.fc(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))


@pytest.fixture(scope="session")
def given() -> Exportable:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return exportable(Small())


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (17, 3, 6, 5), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="session")
def in_torch(given):
    """Preprocessing and network as predict joins them, and a softmax."""

    @torch.no_grad()
    def run(images):
        logits = given.network(given.preprocessing(images))
        return logits, logits.softmax(1)

    return functools.partial(run)
