"""Write the lists of this folder: names, kinds and shapes of torchvision's networks.

The rules were read off the constructors in torchvision's `torchvision/models/*.py` (BSD licence,
github.com/pytorch/vision) and share no code with Netwright. One line is one layer:

    features.0 conv 64x3x11x11 55    weight (out, in, height, width); side of the output at 224x224
    features.0 conv+bias ...         the same with a bias (out,)
    bn1 norm 64                      weight, bias, running_mean, running_var, num_batches_tracked
    fc linear 1000x512               weight (out, in) and bias (out,)

    python tests/models/layouts/write_layouts.py
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


class Layout:
    """The lines of one network, in the order torchvision's state dict has them."""

    def __init__(self, source: str) -> None:
        self.lines = [f"# names and shapes of torchvision/models/{source}"]

    def conv(
        self, name: str, out: int, into: int, kernel: int, side: int, *, bias: bool = False
    ) -> None:
        kind = "conv+bias" if bias else "conv"
        self.lines.append(f"{name} {kind} {out}x{into}x{kernel}x{kernel} {side}")

    def norm(self, name: str, channels: int) -> None:
        self.lines.append(f"{name} norm {channels}")

    def linear(self, name: str, out: int, into: int) -> None:
        self.lines.append(f"{name} linear {out}x{into}")

    def write(self, name: str) -> None:
        (HERE / f"{name}.txt").write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def alexnet() -> None:
    layout = Layout("alexnet.py")
    layout.conv("features.0", 64, 3, 11, 55, bias=True)
    layout.conv("features.3", 192, 64, 5, 27, bias=True)
    layout.conv("features.6", 384, 192, 3, 13, bias=True)
    layout.conv("features.8", 256, 384, 3, 13, bias=True)
    layout.conv("features.10", 256, 256, 3, 13, bias=True)
    layout.linear("classifier.1", 4096, 9216)
    layout.linear("classifier.4", 4096, 4096)
    layout.linear("classifier.6", 1000, 4096)
    layout.write("alexnet")


VGG = {
    "11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


def vgg(depth: str, *, normed: bool) -> None:
    layout = Layout("vgg.py")
    place, into, side = 0, 3, 224
    for word in VGG[depth].split():
        if word == "M":
            place, side = place + 1, side // 2
            continue
        layout.conv(f"features.{place}", int(word), into, 3, side, bias=True)
        if normed:
            layout.norm(f"features.{place + 1}", int(word))
        place, into = place + (3 if normed else 2), int(word)
    layout.linear("classifier.0", 4096, 25088)
    layout.linear("classifier.3", 4096, 4096)
    layout.linear("classifier.6", 1000, 4096)
    layout.write(f"vgg{depth}_bn" if normed else f"vgg{depth}")


def resnet(depth: int, blocks: tuple[int, ...], *, bottleneck: bool) -> None:
    layout = Layout("resnet.py")
    layout.conv("conv1", 64, 3, 7, 112)
    layout.norm("bn1", 64)
    into, before = 64, 56
    for stage, (planes, side) in enumerate([(64, 56), (128, 28), (256, 14), (512, 7)], 1):
        out = planes * 4 if bottleneck else planes
        for index in range(blocks[stage - 1]):
            at = f"layer{stage}.{index}"
            if bottleneck:
                layout.conv(f"{at}.conv1", planes, into, 1, before)
                layout.norm(f"{at}.bn1", planes)
                layout.conv(f"{at}.conv2", planes, planes, 3, side)
                layout.norm(f"{at}.bn2", planes)
                layout.conv(f"{at}.conv3", out, planes, 1, side)
                layout.norm(f"{at}.bn3", out)
            else:
                layout.conv(f"{at}.conv1", planes, into, 3, side)
                layout.norm(f"{at}.bn1", planes)
                layout.conv(f"{at}.conv2", planes, planes, 3, side)
                layout.norm(f"{at}.bn2", planes)
            if index == 0 and into != out:
                layout.conv(f"{at}.downsample.0", out, into, 1, side)
                layout.norm(f"{at}.downsample.1", out)
            into, before = out, side
    layout.linear("fc", 1000, into)
    layout.write(f"resnet{depth}")


INCEPTION = [
    ("3a", 192, 64, 96, 128, 16, 32, 32, 28),
    ("3b", 256, 128, 128, 192, 32, 96, 64, 28),
    ("4a", 480, 192, 96, 208, 16, 48, 64, 14),
    ("4b", 512, 160, 112, 224, 24, 64, 64, 14),
    ("4c", 512, 128, 128, 256, 24, 64, 64, 14),
    ("4d", 512, 112, 144, 288, 32, 64, 64, 14),
    ("4e", 528, 256, 160, 320, 32, 128, 128, 14),
    ("5a", 832, 256, 160, 320, 32, 128, 128, 7),
    ("5b", 832, 384, 192, 384, 48, 128, 128, 7),
]


def googlenet() -> None:
    layout = Layout("googlenet.py, with aux_logits")

    def basic(name: str, out: int, into: int, kernel: int, side: int) -> None:
        layout.conv(f"{name}.conv", out, into, kernel, side)
        layout.norm(f"{name}.bn", out)

    basic("conv1", 64, 3, 7, 112)
    basic("conv2", 64, 64, 1, 56)
    basic("conv3", 192, 64, 3, 56)
    for name, into, one, few3, three, few5, five, pooled, side in INCEPTION:
        at = f"inception{name}"
        basic(f"{at}.branch1", one, into, 1, side)
        basic(f"{at}.branch2.0", few3, into, 1, side)
        basic(f"{at}.branch2.1", three, few3, 3, side)
        basic(f"{at}.branch3.0", few5, into, 1, side)
        basic(f"{at}.branch3.1", five, few5, 3, side)  # 3x3, where the paper has 5x5
        basic(f"{at}.branch4.1", pooled, into, 1, side)
    for name, into in (("aux1", 512), ("aux2", 528)):
        basic(f"{name}.conv", 128, into, 1, 4)
        layout.linear(f"{name}.fc1", 1024, 2048)
        layout.linear(f"{name}.fc2", 1000, 1024)
    layout.linear("fc", 1000, 1024)
    layout.write("googlenet")


def mobilenet_v2() -> None:
    layout = Layout("mobilenetv2.py")
    layout.conv("features.0.0", 32, 3, 3, 112)
    layout.norm("features.0.1", 32)
    place, into, side = 1, 32, 112
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
              (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]  # fmt: skip
    for expand, out, repeats, first in stages:
        for index in range(repeats):
            at, hidden, inner = f"features.{place}.conv", into * expand, 0
            if expand != 1:
                layout.conv(f"{at}.0.0", hidden, into, 1, side)
                layout.norm(f"{at}.0.1", hidden)
                inner = 1
            side = side // 2 if index == 0 and first == 2 else side
            layout.conv(f"{at}.{inner}.0", hidden, 1, 3, side)
            layout.norm(f"{at}.{inner}.1", hidden)
            layout.conv(f"{at}.{inner + 1}", out, hidden, 1, side)
            layout.norm(f"{at}.{inner + 2}", out)
            place, into = place + 1, out
    layout.conv("features.18.0", 1280, 320, 1, 7)
    layout.norm("features.18.1", 1280)
    layout.linear("classifier.1", 1000, 1280)
    layout.write("mobilenet_v2")


def squeezenet(version: str) -> None:
    layout = Layout("squeezenet.py")
    if version == "1_0":
        layout.conv("features.0", 96, 3, 7, 109, bias=True)
        fires = [(3, 96, 16, 64, 54), (4, 128, 16, 64, 54), (5, 128, 32, 128, 54),
                 (7, 256, 32, 128, 27), (8, 256, 48, 192, 27), (9, 384, 48, 192, 27),
                 (10, 384, 64, 256, 27), (12, 512, 64, 256, 13)]  # fmt: skip
    else:
        layout.conv("features.0", 64, 3, 3, 111, bias=True)
        fires = [(3, 64, 16, 64, 55), (4, 128, 16, 64, 55), (6, 128, 32, 128, 27),
                 (7, 256, 32, 128, 27), (9, 256, 48, 192, 13), (10, 384, 48, 192, 13),
                 (11, 384, 64, 256, 13), (12, 512, 64, 256, 13)]  # fmt: skip
    for place, into, squeeze, expand, side in fires:
        layout.conv(f"features.{place}.squeeze", squeeze, into, 1, side, bias=True)
        layout.conv(f"features.{place}.expand1x1", expand, squeeze, 1, side, bias=True)
        layout.conv(f"features.{place}.expand3x3", expand, squeeze, 3, side, bias=True)
    layout.conv("classifier.1", 1000, 512, 1, 13, bias=True)
    layout.write(f"squeezenet{version}")


if __name__ == "__main__":
    alexnet()
    for depth in VGG:
        vgg(depth, normed=False)
        vgg(depth, normed=True)
    resnet(18, (2, 2, 2, 2), bottleneck=False)
    resnet(34, (3, 4, 6, 3), bottleneck=False)
    resnet(50, (3, 4, 6, 3), bottleneck=True)
    resnet(101, (3, 4, 23, 3), bottleneck=True)
    resnet(152, (3, 8, 36, 3), bottleneck=True)
    googlenet()
    mobilenet_v2()
    squeezenet("1_0")
    squeezenet("1_1")
