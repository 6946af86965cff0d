"""Train a network and data of your own, then use the result.

    python examples/own_network.py

The same from the command line:
    netwright train examples/own_network.py:stripes examples/own_network.py:StripeNet epochs=3
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import netwright as nw


def stripes() -> dict[str, object]:
    """Images of horizontal or vertical stripes; a factory of data returns its splits."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 2
    phase = torch.randint(0, 4, (600,), generator=generator)
    position = (torch.arange(12) + phase[:, None]) % 4 < 2  # (600, 12)
    rows = position[:, :, None].expand(600, 12, 12)
    images = torch.where(labels[:, None, None] == 0, rows, rows.transpose(1, 2))
    noisy = (images * 180 + torch.randint(0, 70, images.shape, generator=generator)).byte()
    images = noisy[:, None]  # (600, 1, 12, 12): N, C, H, W
    return {
        "train": (images[:500], labels[:500]),
        "val": (images[500:], labels[500:]),
        "classes": ["horizontal", "vertical"],
    }


class StripeNet(nn.Module):
    """A factory of a model is called with what its signature names."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, kernel_size=5, padding=2)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:  # (N, C, H, W) -> (N, num_classes)
        return self.head(self.conv(images).relu().mean((2, 3)))


if __name__ == "__main__":
    trained = nw.train(
        f"{__file__}:stripes",
        model=f"{__file__}:StripeNet",
        epochs=3,
        batch=25,
        model__width=12,  # reaches StripeNet.__init__
        optim="adamw",
        optim__lr=0.01,
    )
    print("validation accuracy", trained.best["value"] if trained.best else None)
    print("report", trained.report)
    network = nw.load(trained.run.path)
    images, labels = stripes()["val"]  # type: ignore[misc]
    print("first answers", [network.classes[i] for i in network(images[:5]).argmax(1)])
