"""The residual networks of CIFAR size: 6n + 2 layers, three stages of 16, 32 and 64 maps.

He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition", section 4.2. They are
not ResNet-18 and its like, made for 224x224: these keep the full 32x32 through the first stage
and have 40 times fewer parameters.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from netwright.core.config import config, setting
from netwright.models import MODELS, Builder
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName, normalisation, normalises


@config
class ResNetOptions:
    """The pieces of a residual block."""

    act: ActivationName = setting("relu", help="activation")
    norm: NormName | None = setting("batch", help="normalisation after convolutions")
    shortcut: Literal["pad", "projection"] = setting(
        "pad", help="where the width changes: zero-padded maps (option A) or 1x1 convolution (B)"
    )
    dropout: float = setting(
        0.0, ge=0, lt=1, help="share of the 64 features left out before the head", search=(0.0, 0.5)
    )


class ResNet(nn.Module):
    """Stem, three stages of `depth` blocks, the mean over each map, a linear head."""

    def __init__(
        self, blocks: int, num_classes: int, in_channels: int, options: ResNetOptions
    ) -> None:
        super().__init__()
        biased = not normalises(options.norm)
        self.conv1 = nn.Conv2d(in_channels, 16, kernel_size=3, padding=1, bias=biased)
        self.bn1 = normalisation(options.norm, 16)
        self.act1 = activation(options.act)
        self.layer1 = _stage(blocks, 16, 16, 1, options)
        self.layer2 = _stage(blocks, 16, 32, 2, options)
        self.layer3 = _stage(blocks, 32, 64, 2, options)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(options.dropout) if options.dropout else nn.Identity()
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:  # sizes for 32x32
        x = self.act1(self.bn1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.layer3(self.layer2(self.layer1(x)))  # (N, 64, 8, 8)
        return self.linear(self.dropout(self.pool(x).flatten(1)))


class Block(nn.Module):
    """y = act(F(x) + shortcut(x)), F two 3x3 convolutions with a norm behind each (fig. 2)."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, options: ResNetOptions
    ) -> None:
        super().__init__()
        biased = not normalises(options.norm)
        self.conv1 = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size=3,
            stride=stride,
            padding=1,
            bias=biased,
        )
        self.bn1 = normalisation(options.norm, out_channels)
        self.act1 = activation(options.act)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=biased)
        self.bn2 = normalisation(options.norm, out_channels)
        self.act2 = activation(options.act)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            if options.shortcut == "pad":
                self.shortcut = PadShortcut(out_channels - in_channels, stride)
            else:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(
                        in_channels,
                        out_channels,
                        1,
                        stride=stride,
                        bias=biased,
                    ),
                    normalisation(options.norm, out_channels),
                )

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.act2(out + self.shortcut(x))


class PadShortcut(nn.Module):
    """Option A: every `stride`-th pixel, and maps of zeros, half of them on each side.

    (N, C, H, W) -> (N, C + extra, ceil(H / stride), ceil(W / stride)), without a parameter.
    """

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        below = self.extra // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, below, self.extra - below))

    def extra_repr(self) -> str:
        return f"extra={self.extra}, stride={self.stride}"


def _stage(
    blocks: int, in_channels: int, out_channels: int, stride: int, options: ResNetOptions
) -> nn.Sequential:
    first = Block(in_channels, out_channels, stride, options)
    rest = (Block(out_channels, out_channels, 1, options) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def _register(depth: int, params: int, macs: int) -> Builder:
    def build(
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        input_size: tuple[int, int] = (32, 32),
        act: ActivationName = "relu",
        norm: NormName | None = "batch",
        shortcut: Literal["pad", "projection"] = "pad",
        dropout: float = 0.0,
    ) -> nn.Module:
        options = ResNetOptions(act=act, norm=norm, shortcut=shortcut, dropout=dropout)
        model = ResNet((depth - 2) // 6, num_classes, in_channels, options)
        initialise(model, act, head=model.linear)
        return model

    build.__name__ = build.__qualname__ = f"resnet{depth}"
    build.__doc__ = _document(depth, params)
    return MODELS.register(
        f"resnet{depth}",
        options=ResNetOptions,
        input=(3, 32, 32),
        classes=10,
        params=params,
        macs=macs,
        paper="He, Zhang, Ren & Sun 2015, Deep residual learning for image recognition, sec. 4.2",
    )(build)


def _document(depth: int, params: int) -> str:
    blocks = (depth - 2) // 6
    return f"""ResNet-{depth} for CIFAR: {depth} layers with weights, any image size.

Images (N, C, H, W) to logits (N, num_classes); a block is y = act(F(x) + shortcut(x)), F two 3x3
convolutions with a norm behind each. For 3 x 32 x 32:

    conv1     3x3                                 16 x 32 x 32
    layer1    {blocks} blocks of 3x3 16, 3x3 16           16 x 32 x 32
    layer2    {blocks} blocks of 3x3 32, 3x3 32           32 x 16 x 16
    layer3    {blocks} blocks of 3x3 64, 3x3 64           64 x 8 x 8
              mean over each map                  64
    linear    linear                              num_classes

{params:,} parameters for 3 channels and 10 classes. Where the width doubles, the shortcut takes
every second pixel and adds maps of zeros (`shortcut=pad`, the paper's option A, without a
parameter) or is a 1x1 convolution (`projection`, option B).

What was new: as in ResNet-18, the block learns what to add to its input; this family was made to
show it at depths up to 110 and more on small images.

When to use it: {_USES[depth]}

What goes wrong: on large images it keeps the full size through layer1 and is slow: 224x224 costs 49
times 32x32. With 64 features before the head it may under-fit many classes. With few images a step
batch normalisation is noisy, most where maps are small: `model.norm=group`. With `model.norm=none`
every block adds its variance to the sum: take a smaller rate and warm-up."""


_USES = {
    20: """the first choice for images of 8 to 64 pixels on a small machine: the recipe `digits`
comes to 99.44 % with it in 19 seconds (median of five seeds).""",
    32: """where `resnet20` still under-fits and there is time: 1.7 times its multiply-adds.""",
    44: """where `resnet32` still under-fits and there is time: 2.4 times the multiply-adds of
ResNet-20.""",
    56: """small images and a graphics card; 3.1 times the multiply-adds of ResNet-20.""",
}

resnet20 = _register(20, 269_722, 40_551_040)
resnet32 = _register(32, 464_154, 68_862_592)
resnet44 = _register(44, 658_586, 97_174_144)
resnet56 = _register(56, 853_018, 125_485_696)
