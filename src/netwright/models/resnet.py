"""The residual networks of ImageNet size: four stages of 64 to 512 maps, 18 to 152 layers.

He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition", table 1. `resnet20` and
its like, for CIFAR, are smaller and stand in a file of their own.

In a bottleneck with stride 2 the paper lets the first 1x1 convolution skip pixels; here, as in
torchvision and most of what came since, the 3x3 one does, which sees them all. That costs 6.0 %
more multiply-adds in ResNet-50, 3.1 % in ResNet-101 and 2.0 % in ResNet-152 (counted).
"""

from __future__ import annotations

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS, Builder
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName, normalisation, normalises
from netwright.nn.stem import STEM_HELP, StemName, is_small
from netwright.nn.width import scaled


@config
class ImageNetResNetOptions:
    """The pieces of a residual network."""

    act: ActivationName = setting("relu", help="activation")
    norm: NormName | None = setting("batch", help="normalisation after convolutions")
    dropout: float = setting(
        0.0, ge=0, lt=1, help="share of the features left out before the head", search=(0.0, 0.5)
    )
    stem: StemName = setting("auto", help=STEM_HELP)
    width: float = setting(1.0, gt=0, le=4, help="factor on the width of every layer")


class ResNet(nn.Module):
    """Stem, four stages of blocks, the mean over each map, a linear head: torchvision's names."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        stages: tuple[int, ...],
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        options: ImageNetResNetOptions,
    ) -> None:
        super().__init__()
        small = is_small(options.stem, input_size)
        channels = scaled(64, options.width)
        self.conv1 = _conv(in_channels, channels, 3 if small else 7, 1 if small else 2, options)
        self.bn1 = normalisation(options.norm, channels)
        self.act1 = activation(options.act)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        made = []
        for index, blocks in enumerate(stages):
            layers: list[nn.Module] = []
            for place in range(blocks):
                stride = 2 if place == 0 and index > 0 else 1
                layers.append(block(channels, scaled(64 << index, options.width), stride, options))
                channels = scaled(64 << index, options.width) * block.expansion
            made.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = made
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(options.dropout) if options.dropout else nn.Identity()
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:  # sizes for 224x224, and 64 to 512 maps
        x = self.maxpool(self.act1(self.bn1(self.conv1(x))))  # (N, 64, 56, 56)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, 512, 7, 7)
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))


class BasicBlock(nn.Module):
    """y = act(F(x) + shortcut(x)), F two 3x3 convolutions with a norm behind each."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int, options: ImageNetResNetOptions
    ) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, channels, 3, stride, options)
        self.bn1 = normalisation(options.norm, channels)
        self.act1 = activation(options.act)
        self.conv2 = _conv(channels, channels, 3, 1, options)
        self.bn2 = normalisation(options.norm, channels)
        self.act2 = activation(options.act)
        self.downsample = _shortcut(in_channels, channels, stride, options)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.act2(out + self.downsample(x))


class Bottleneck(nn.Module):
    """y = act(F(x) + shortcut(x)), F narrow: 1x1 to `channels`, 3x3, and 1x1 to four times it."""

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, options: ImageNetResNetOptions
    ) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = _conv(in_channels, channels, 1, 1, options)
        self.bn1 = normalisation(options.norm, channels)
        self.act1 = activation(options.act)
        self.conv2 = _conv(channels, channels, 3, stride, options)
        self.bn2 = normalisation(options.norm, channels)
        self.act2 = activation(options.act)
        self.conv3 = _conv(channels, out_channels, 1, 1, options)
        self.bn3 = normalisation(options.norm, out_channels)
        self.act3 = activation(options.act)
        self.downsample = _shortcut(in_channels, out_channels, stride, options)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.act3(out + self.downsample(x))


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    options: ImageNetResNetOptions,
) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=not normalises(options.norm),
    )


def _shortcut(
    in_channels: int, out_channels: int, stride: int, options: ImageNetResNetOptions
) -> nn.Module:
    """The input itself, or a 1x1 convolution where its shape must change (option B)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        _conv(in_channels, out_channels, 1, stride, options),
        normalisation(options.norm, out_channels),
    )


def _register(
    depth: int,
    block: type[BasicBlock] | type[Bottleneck],
    stages: tuple[int, ...],
    *,
    params: int,
    macs: int,
    **facts: object,
) -> Builder:
    def build(
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        input_size: tuple[int, int] = (224, 224),
        act: ActivationName = "relu",
        norm: NormName | None = "batch",
        dropout: float = 0.0,
        stem: StemName = "auto",
        width: float = 1.0,
    ) -> nn.Module:
        options = ImageNetResNetOptions(act=act, norm=norm, dropout=dropout, stem=stem, width=width)
        model = ResNet(block, stages, num_classes, in_channels, input_size, options)
        initialise(model, act, head=model.fc)
        return model

    build.__name__ = build.__qualname__ = f"resnet{depth}"
    build.__doc__ = _document(depth, block, stages)
    return MODELS.register(
        f"resnet{depth}",
        options=ImageNetResNetOptions,
        input=(3, 224, 224),
        classes=1000,
        params=params,
        macs=macs,
        smallest=8,
        standard_smallest=32,
        torchvision=f"resnet{depth}",
        paper="He, Zhang, Ren & Sun 2015, Deep residual learning for image recognition, table 1",
        **facts,
    )(build)


def _document(
    depth: int, block: type[BasicBlock] | type[Bottleneck], stages: tuple[int, ...]
) -> str:
    plain = block is BasicBlock
    kind = "two 3x3 convolutions" if plain else "bottlenecks of 1x1, 3x3 and 1x1"
    strided = "first" if plain else "3x3"
    table = []
    for index, blocks in enumerate(stages):
        maps, side = 64 << index, 56 >> index
        layers = f"3x3 {maps}, 3x3 {maps}" if plain else f"1x1 {maps}, 3x3 {maps}, 1x1 {4 * maps}"
        output = f"{maps * block.expansion} x {side} x {side}"
        table.append(f"    layer{index + 1}   {blocks:2} blocks of {layers:<28} {output}")
    return f"""ResNet-{depth} for ImageNet: {sum(stages)} residual blocks, {kind}.

Images (N, C, H, W) to logits (N, num_classes); a block is y = act(F(x) + shortcut(x)), where the
shortcut is x itself, or a 1x1 convolution of x where the shape changes. For 3 x 224 x 224:

    conv1    7x7, stride 2; max-pool 3x3, stride 2     64 x 56 x 56
{chr(10).join(table)}
             mean over each map                        {512 * block.expansion}
    fc       linear                                    num_classes

Norm behind every convolution, activation behind every norm, the last one of a block behind the
sum. The first block of layer2, 3 and 4 has stride 2, in its {strided} convolution.
The small stem, a 3x3 convolution without a pool behind it, is that of the paper's networks for
CIFAR: images of 32x32 keep 4x4 positions to the end.

What was new: the block learns what to add to its input. Plain networks with a norm get worse in
*training* when they get deep (in our measurement 0.6 % training error at 4 layers, 28 % at 20),
residual ones hardly (0.08 % and 0.6 %): a block that has nothing to add can learn F = 0.

When to use it: {_USES[depth]}

What goes wrong: below 64 pixels the standard stem throws nearly everything away (32x32 ends in one
place); `model.stem=auto` takes the small one, which costs sixteen times the positions. With few
images a step batch normalisation is noisy, most where maps are small: `model.norm=group`. With
`model.norm=none` every block adds its variance to the sum, which grows with depth: take a smaller
rate and warm-up. Images far larger than in training give other means over each map."""


_USES = {
    18: """the first choice for photographs of 64 pixels and more. On 32x32 it takes 555 million
multiply-adds where `resnet20` takes 41: on a processor begin with that one.""",
    34: """where `resnet18` still under-fits; it doubles the multiply-adds (1.16 billion on 32x32)
at the same width, so the public weights are what it is mostly taken for.""",
    50: """transfer from public weights, the trunk most of the literature compares with; hardly
more multiply-adds than ResNet-34 (4.09 and 3.66 billion). Not for training from the beginning on a
processor.""",
    101: """transfer to tasks that gain from a strong trunk, on a graphics card; twice the
multiply-adds of `resnet50`, so measure against that first.""",
    152: """as `resnet101`; the deepest of the paper, and with 11.5 billion multiply-adds still
below VGG-16 (15.5 billion).""",
}

_DIFFERS = "the paper halves the maps in the first 1x1 convolution of a bottleneck, not in the 3x3"

resnet18 = _register(18, BasicBlock, (2, 2, 2, 2), params=11_689_512, macs=1_814_073_344)
resnet34 = _register(34, BasicBlock, (3, 4, 6, 3), params=21_797_672, macs=3_663_761_408)
resnet50 = _register(
    50, Bottleneck, (3, 4, 6, 3), params=25_557_032, macs=4_089_184_256,
    paper_macs=3_800_000_000, differs=_DIFFERS,
)  # fmt: skip
resnet101 = _register(
    101, Bottleneck, (3, 4, 23, 3), params=44_549_160, macs=7_801_405_440,
    paper_macs=7_600_000_000, differs=_DIFFERS,
)  # fmt: skip
resnet152 = _register(
    152, Bottleneck, (3, 8, 36, 3), params=60_192_808, macs=11_513_626_624,
    paper_macs=11_300_000_000, differs=_DIFFERS,
)  # fmt: skip
