"""The networks whose training step `memory.py` traces and measures, with a batch for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from netwright.models import build

Case = Callable[[], tuple[nn.Module, Tensor]]


def registered(name: str, batch: int, size: int, channels: int = 3, **options: Any) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        net = build(name, num_classes=10, in_channels=channels, input_size=(size, size), **options)
        return net, torch.randn(batch, channels, size, size)

    return make


def mlp() -> tuple[nn.Module, Tensor]:
    layers = [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)]
    return nn.Sequential(*layers), torch.randn(128, 1, 28, 28)


class UNet(nn.Module):
    """Two steps down and up; skips by concatenation, transposed convolutions on the way up."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.down = nn.ModuleList([_double(3, width), _double(width, 2 * width)])
        self.bottom = _double(2 * width, 4 * width)
        self.lift = nn.ModuleList(
            [
                nn.ConvTranspose2d(4 * width, 2 * width, 2, 2),
                nn.ConvTranspose2d(2 * width, width, 2, 2),
            ]
        )
        self.up = nn.ModuleList([_double(4 * width, 2 * width), _double(2 * width, width)])
        self.head = nn.Conv2d(width, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            images = block(images)
            skips.append(images)
            images = F.max_pool2d(images, 2)
        images = self.bottom(images)
        for lift, block in zip(self.lift, self.up, strict=True):
            images = block(torch.cat([lift(images), skips.pop()], dim=1))
        return self.head(images)


class Encoder(nn.Module):
    def __init__(self, width: int = 128, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, width)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.embedding(tokens)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.recurrent = kind(64, 128, 2, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.recurrent(rows)[0][:, -1])


class Checkpointed(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList([_double(width, width) for _ in range(4)])
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        images = self.stem(images)
        for block in self.blocks:
            images = checkpoint(block, images, use_reentrant=False)
        return self.head(images.mean((2, 3)))


def _double(first: int, second: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for channels in (first, second):
        parts += [nn.Conv2d(channels, second, 3, padding=1), nn.BatchNorm2d(second), nn.ReLU()]
    return nn.Sequential(*parts)


NETWORKS: dict[str, Case] = {
    "MLP": mlp,
    "LeNet-5": registered("lenet5", 64, 32, 1),
    "ResNet-20": registered("resnet20", 32, 32),
    "ResNet-18": registered("resnet18", 8, 64),
    "ResNet-50": registered("resnet50", 4, 64),
    "MobileNetV2": registered("mobilenet_v2", 8, 96),
    "VGG-11": registered("vgg11", 8, 32),
    "AlexNet": registered("alexnet", 4, 96),
    "GoogLeNet, auxiliary heads": registered("googlenet", 4, 96),
    "SqueezeNet 1.1": registered("squeezenet1_1", 4, 64),
    "U-Net": lambda: (UNet(), torch.randn(2, 3, 64, 64)),
    "transformer encoder": lambda: (Encoder(), torch.zeros(8, 64, dtype=torch.long)),
    "the same, no dropout": lambda: (Encoder(dropout=0.0), torch.zeros(8, 64, dtype=torch.long)),
    "LSTM": lambda: (Recurrent(nn.LSTM), torch.randn(16, 20, 64)),
    "GRU": lambda: (Recurrent(nn.GRU), torch.randn(16, 20, 64)),
    "checkpointed blocks": lambda: (Checkpointed(), torch.randn(4, 3, 32, 32)),
    "MobileNetV2, channels_last": lambda: channels_last(registered("mobilenet_v2", 4, 64)),
}


def channels_last(case: Case) -> tuple[nn.Module, Tensor]:
    net, images = case()
    return net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
