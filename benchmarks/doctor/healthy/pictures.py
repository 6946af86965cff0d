"""Odd tasks on pictures: few pixels that matter, mixed pictures, other norms and other gates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, overlap
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

import data
from healthy import kind
from healthy._plain import batches, fit, reached, steps_of


def dots(seed: int, rows: int = 900) -> tuple[Tensor, Tensor, Tensor]:
    """A bright cross on a noisy picture of 20 by 20, and where: (N, 1, 20, 20), (N, 2), pixels."""
    draws = torch.Generator().manual_seed(seed)
    place = torch.randint(2, 18, (rows, 2), generator=draws)
    x = 0.3 * torch.rand(rows, 1, 20, 20, generator=draws)
    pixels = torch.zeros(rows, 1, 20, 20)
    each = torch.arange(rows)
    for down, right in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        pixels[each, 0, place[:, 0] + down, place[:, 1] + right] = 1
    return x + 0.6 * pixels, place, pixels


class Unet(nn.Module):
    """Two steps down and up, with the fine features handed across."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU())
        self.down2 = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.low = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.up2 = nn.Sequential(nn.Conv2d(32, 8, 3, padding=1), nn.ReLU())
        self.up1 = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        low = F.interpolate(self.low(F.max_pool2d(second, 2)), scale_factor=2)
        second = F.interpolate(self.up2(torch.cat([second, low], 1)), scale_factor=2)
        return self.up1(torch.cat([first, second], 1))


@kind("one-pixel-in-eighty", at_least=0.7)
def dice(seed: int, watched: Watched) -> float:
    """A U-Net whose target covers 1.25 % of the picture, by overlap and cross-entropy."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        p = output.sigmoid()
        shared = 2 * (p * y).sum((1, 2, 3)) + 1
        return 1 - (shared / (p.sum((1, 2, 3)) + y.sum((1, 2, 3)) + 1)).mean()

    x, _, pixels = dots(seed)
    sets = data.split(x, pixels, seed, val=150, test=200)
    model = Unet()
    fit(
        model, Adam(model.parameters(), lr=5e-3), sets, watched, epochs=8, batch=25,
        loss=lambda output, y: loss(output, y) + F.binary_cross_entropy_with_logits(output, y),
    )  # fmt: skip
    return reached(model, sets, overlap)


@kind("heat-maps-of-places", at_least=0.9)
def heat_maps(seed: int, watched: Watched) -> float:
    """Squares against a map that is nearly 0 nearly everywhere: hits within one pixel."""
    x, place, _ = dots(seed)
    rows, columns = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
    far = (rows - place[:, :1, None]) ** 2 + (columns - place[:, 1:, None]) ** 2
    maps = torch.exp(-far / 4.0)[:, None]
    sets = data.split(x, maps, seed, val=150, test=200)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(),
        nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(),
        nn.Conv2d(12, 1, 3, padding=1),
    )  # fmt: skip
    fit(
        model, Adam(model.parameters(), lr=5e-3), sets, watched, epochs=10, batch=25,
        loss=F.mse_loss,
    )  # fmt: skip

    def hits(output: Tensor, y: Tensor) -> float:
        said, there = output.flatten(1).argmax(1), y.flatten(1).argmax(1)
        apart = (said // 20 - there // 20).abs() + (said % 20 - there % 20).abs()
        return float((apart <= 1).float().mean())

    return reached(model, sets, hits)


@kind("cutmix", at_least=0.9)
def cutmix(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 32, 3, stride=2), nn.GELU(),
        nn.Flatten(), nn.Linear(288, 10),
    )  # fmt: skip
    optimizer = AdamW(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 14):
            order, side = torch.randperm(len(x)), int(torch.randint(1, 7, ()))
            top, left = (int(torch.randint(0, 9 - side, ())) for _ in range(2))
            x = x.clone()
            patch = x[order, :, top : top + side, left : left + side]
            x[:, :, top : top + side, left : left + side] = patch
            share = 1 - side * side / 64
            output = model(x)
            loss = share * F.cross_entropy(output, y)
            loss = loss + (1 - share) * F.cross_entropy(output, y[order])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("squeezed-and-separable", at_least=0.9)
def separable(seed: int, watched: Watched) -> float:
    """Depthwise and pointwise convolutions, hard swish, gates by squeeze and excitation."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.deep = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
            self.norm = nn.BatchNorm2d(width)
            self.gate = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width // 4, 1), nn.ReLU(),
                nn.Conv2d(width // 4, width, 1), nn.Hardsigmoid(),
            )  # fmt: skip
            self.point = nn.Conv2d(width, width, 1, bias=False)
            self.last = nn.BatchNorm2d(width)

        def forward(self, x: Tensor) -> Tensor:
            y = F.hardswish(self.norm(self.deep(x)))
            return x + self.last(self.point(y * self.gate(y)))

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.Hardswish(), Block(24), nn.AvgPool2d(2), Block(24),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(96, 10),
    )  # fmt: skip
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    plan = CosineAnnealingLR(optimizer, steps_of(digits, 6))
    fit(model, optimizer, digits, watched, epochs=6, schedule=plan)
    return reached(model, digits, accuracy)


@kind("norm-of-each-picture", at_least=0.9)
def instance_norm(seed: int, watched: Watched) -> float:
    """Pictures of any brightness: instance norm, no moments kept, spatial logits averaged."""
    digits = data.digits(seed)
    draws = torch.Generator().manual_seed(seed)
    digits = data.Splits(
        *((x * (0.2 + 2 * torch.rand(len(x), 1, 1, 1, generator=draws)), y) for x, y in digits)
    )
    model = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.InstanceNorm2d(24, affine=True), nn.SiLU(),
        nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.InstanceNorm2d(32, affine=True), nn.SiLU(),
        nn.Conv2d(32, 10, 4), nn.Flatten(),
    )  # fmt: skip
    fit(model, AdamW(model.parameters(), lr=3e-3), digits, watched, epochs=6)
    return reached(model, digits)
