"""The networks everybody counts: LeNet-5 to ResNet-152, as published (torchvision's layouts)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.kit import add, conv, norm_act, positional, transposed

IMAGE = positional((1, 3, 224, 224))


def lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


add(
    "LeNet-5",
    lenet5,
    positional((1, 1, 32, 32)),
    conv(1, 6, 5, 28) + conv(6, 16, 5, 10) + 400 * 120 + 120 * 84 + 84 * 10,
    registered="lenet5",
)


def alexnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.AdaptiveAvgPool2d(6), nn.Flatten(),
        nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(inplace=True),
        nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 1000),
    )  # fmt: skip


add(
    "AlexNet",
    alexnet,
    IMAGE,
    conv(3, 64, 11, 55) + conv(64, 192, 5, 27) + conv(192, 384, 3, 13) + conv(384, 256, 3, 13)
    + conv(256, 256, 3, 13) + 9216 * 4096 + 4096 * 4096 + 4096 * 1000,
    registered="alexnet",
)  # fmt: skip

VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # maps, convolutions; then a pool


def vgg16() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for maps, count in VGG16:
        for _ in range(count):
            layers += [nn.Conv2d(channels, maps, 3, padding=1), nn.ReLU(inplace=True)]
            channels = maps
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(inplace=True), nn.Dropout()]
    layers += [nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers)


def vgg16_macs() -> int:
    total, channels = 25088 * 4096 + 4096 * 4096 + 4096 * 1000, 3
    for place, (maps, count) in enumerate(VGG16):
        for _ in range(count):
            total += conv(channels, maps, 3, 224 >> place)
            channels = maps
    return total


add("VGG-16", vgg16, IMAGE, vgg16_macs(), registered="vgg16")


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, or with `wide` a bottleneck of 1x1, 3x3, 1x1."""

    def __init__(self, channels: int, maps: int, stride: int, wide: bool) -> None:
        super().__init__()
        out = 4 * maps if wide else maps
        if wide:
            body = [norm_act(channels, maps, 1), norm_act(maps, maps, 3, stride)]
            self.last = nn.Conv2d(maps, out, 1, bias=False)
        else:
            body = [norm_act(channels, maps, 3, stride)]
            self.last = nn.Conv2d(maps, out, 3, 1, 1, bias=False)
        self.body = nn.Sequential(*body)
        self.norm = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.last(self.body(x))) + self.shortcut(x))


def resnet(stages: tuple[int, ...], wide: bool) -> nn.Module:
    layers: list[nn.Module] = [norm_act(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for index, blocks in enumerate(stages):
        for place in range(blocks):
            maps = 64 << index
            layers.append(Block(channels, maps, 2 if place == 0 and index else 1, wide))
            channels = 4 * maps if wide else maps
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*layers)


def resnet_macs(stages: tuple[int, ...], wide: bool) -> int:
    total, channels, side = conv(3, 64, 7, 112), 64, 56
    for index, blocks in enumerate(stages):
        maps = 64 << index
        out = 4 * maps if wide else maps
        for place in range(blocks):
            before, side = side, 56 >> index
            if wide:
                total += conv(channels, maps, 1, before) + conv(maps, maps, 3, side)
                total += conv(maps, out, 1, side)
            else:
                total += conv(channels, maps, 3, side) + conv(maps, maps, 3, side)
            if place == 0 and (index or wide):
                total += conv(channels, out, 1, side)
            channels = out
    return total + channels * 1000


for depth, stages, wide in (
    (18, (2, 2, 2, 2), False),
    (50, (3, 4, 6, 3), True),
    (152, (3, 8, 36, 3), True),
):
    add(
        f"ResNet-{depth}",
        lambda stages=stages, wide=wide: resnet(stages, wide),
        IMAGE,
        resnet_macs(stages, wide),
        registered=f"resnet{depth}",
    )

# expansion, maps, blocks, stride of the first
MOBILENET = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


class Inverted(nn.Module):
    """1x1 to many maps, depthwise 3x3, 1x1 to few, and the input added where shapes agree."""

    def __init__(self, channels: int, expansion: int, maps: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        layers += [nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)]
        layers += [nn.BatchNorm2d(wide), nn.ReLU6(), nn.Conv2d(wide, maps, 1, bias=False)]
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(maps))
        self.adds = stride == 1 and channels == maps

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet_v2() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)]
    layers.append(nn.ReLU6())
    channels = 32
    for expansion, maps, blocks, stride in MOBILENET:
        for place in range(blocks):
            layers.append(Inverted(channels, expansion, maps, stride if place == 0 else 1))
            channels = maps
    layers += [nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


def mobilenet_v2_macs() -> int:
    total, channels, side = conv(3, 32, 3, 112), 32, 112
    for expansion, maps, blocks, stride in MOBILENET:
        for place in range(blocks):
            before, wide = side, channels * expansion
            side = side // stride if place == 0 else side
            total += conv(channels, wide, 1, before) if expansion > 1 else 0
            total += conv(wide, wide, 3, side, groups=wide) + conv(wide, maps, 1, side)
            channels = maps
    return total + conv(320, 1280, 1, 7) + 1280 * 1000


add("MobileNetV2", mobilenet_v2, IMAGE, mobilenet_v2_macs(), registered="mobilenet_v2")

# side, input maps, then the maps of 1x1; 1x1 and 3x3; 1x1 and 3x3; 1x1 behind the pool
INCEPTION = (
    (28, 192, 64, 96, 128, 16, 32, 32), (28, 256, 128, 128, 192, 32, 96, 64),
    (14, 480, 192, 96, 208, 16, 48, 64), (14, 512, 160, 112, 224, 24, 64, 64),
    (14, 512, 128, 128, 256, 24, 64, 64), (14, 512, 112, 144, 288, 32, 64, 64),
    (14, 528, 256, 160, 320, 32, 128, 128), (7, 832, 256, 160, 320, 32, 128, 128),
    (7, 832, 384, 192, 384, 48, 128, 128),
)  # fmt: skip


class Inception(nn.Module):
    """Four branches over the same maps, put together."""

    def __init__(
        self, channels: int, one: int, few3: int, three: int, few5: int, five: int, pooled: int
    ) -> None:
        super().__init__()
        self.one = norm_act(channels, one, 1)
        self.three = nn.Sequential(norm_act(channels, few3, 1), norm_act(few3, three, 3))
        self.five = nn.Sequential(norm_act(channels, few5, 1), norm_act(few5, five, 3))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), norm_act(channels, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1)


def googlenet() -> nn.Module:
    layers: list[nn.Module] = [norm_act(3, 64, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True)]
    layers += [norm_act(64, 64, 1), norm_act(64, 192, 3)]
    side = 56
    for place, *widths in INCEPTION:
        if place != side:
            layers.append(nn.MaxPool2d(2 if place == 7 else 3, 2, ceil_mode=True))
        layers.append(Inception(*widths))
        side = place
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1024, 1000)]
    return nn.Sequential(*layers)


def googlenet_macs() -> int:
    total = conv(3, 64, 7, 112) + conv(64, 64, 1, 56) + conv(64, 192, 3, 56) + 1024 * 1000
    for side, channels, one, few3, three, few5, five, pooled in INCEPTION:
        total += conv(channels, one + few3 + few5 + pooled, 1, side)
        total += conv(few3, three, 3, side) + conv(few5, five, 3, side)
    return total


add("GoogLeNet", googlenet, IMAGE, googlenet_macs(), registered="googlenet")

# side, input maps, squeezed, expanded (in each half)
FIRES = (
    (55, 64, 16, 64), (55, 128, 16, 64), (27, 128, 32, 128), (27, 256, 32, 128),
    (13, 256, 48, 192), (13, 384, 48, 192), (13, 384, 64, 256), (13, 512, 64, 256),
)  # fmt: skip


class Fire(nn.Module):
    """1x1 to few maps, then 1x1 and 3x3 side by side."""

    def __init__(self, channels: int, few: int, many: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, few, 1)
        self.near, self.wide = nn.Conv2d(few, many, 1), nn.Conv2d(few, many, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.squeeze(x))
        return torch.cat([self.act(self.near(x)), self.act(self.wide(x))], 1)


def squeezenet() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2), nn.ReLU()]
    before = 111
    for side, channels, few, many in FIRES:
        if side != before:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        layers.append(Fire(channels, few, many))
        before = side
    layers += [nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten())


add(
    "SqueezeNet 1.1",
    squeezenet,
    IMAGE,
    conv(3, 64, 3, 111) + conv(512, 1000, 1, 13)
    + sum(
        conv(channels, few, 1, side) + conv(few, many, 1, side) + conv(few, many, 3, side)
        for side, channels, few, many in FIRES
    ),
    registered="squeezenet1_1",
)  # fmt: skip


class UNet(nn.Module):
    """Three levels of 16, 32 and 64 maps; transposed convolutions on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = _twice(3, 16), _twice(16, 32)
        self.bottom = _twice(32, 64)
        self.rise2, self.up2 = nn.ConvTranspose2d(64, 32, 2, 2), _twice(64, 32)
        self.rise1, self.up1 = nn.ConvTranspose2d(32, 16, 2, 2), _twice(32, 16)
        self.head = nn.Conv2d(16, 5, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(self.pool(first))
        x = self.bottom(self.pool(second))
        x = self.up2(torch.cat([second, self.rise2(x)], 1))
        x = self.up1(torch.cat([first, self.rise1(x)], 1))
        return self.head(x)


def _twice(channels: int, maps: int) -> nn.Module:
    return nn.Sequential(norm_act(channels, maps, 3), norm_act(maps, maps, 3))


add(
    "U-Net",
    UNet,
    positional((1, 3, 64, 64)),
    conv(3, 16, 3, 64) + conv(16, 16, 3, 64) + conv(16, 32, 3, 32) + conv(32, 32, 3, 32)
    + conv(32, 64, 3, 16) + conv(64, 64, 3, 16)
    + transposed(64, 32, 2, 16) + conv(64, 32, 3, 32) + conv(32, 32, 3, 32)
    + transposed(32, 16, 2, 32) + conv(32, 16, 3, 64) + conv(16, 16, 3, 64) + conv(16, 5, 1, 64),
)  # fmt: skip
