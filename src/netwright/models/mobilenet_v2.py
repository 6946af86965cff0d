"""MobileNetV2: blocks that widen, look at each map alone, and narrow without an activation.

Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "MobileNetV2: inverted residuals and linear
bottlenecks", table 2. The shortcut joins the narrow ends, where an activation would lose what few
maps hold.
"""

from __future__ import annotations

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS
from netwright.nn.activations import ActivationName
from netwright.nn.conv_norm_act import ConvNormAct, PaddingName
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName, normalisation, normalises
from netwright.nn.stem import STEM_HELP, StemName, is_small
from netwright.nn.width import scaled

# Table 2: expansion, channels, repeats, stride of the first.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@config
class MobileNetV2Options:
    """The pieces of a block, and how wide they are."""

    act: ActivationName = setting("relu6", help="activation after wide convolutions")
    norm: NormName | None = setting("batch", help="normalisation after convolutions")
    dropout: float = setting(
        0.2, ge=0, lt=1, help="share of the features left out before the head", search=(0.0, 0.5)
    )
    stem: StemName = setting("auto", help=STEM_HELP)
    width: float = setting(1.0, gt=0, le=4, help="factor on the width of every layer")
    padding: PaddingName = setting(
        "torch", help="zeros around the maps: the same on all sides, or as TensorFlow's SAME"
    )


@MODELS.register(
    "mobilenet_v2",
    options=MobileNetV2Options,
    input=(3, 224, 224),
    classes=1000,
    params=3_504_872,
    macs=300_774_272,
    smallest=8,
    standard_smallest=32,
    torchvision="mobilenet_v2",
    paper="Sandler, Howard, Zhu, Zhmoginov & Chen 2018, MobileNetV2: inverted residuals and "
    "linear bottlenecks",
    paper_params=3_400_000,
    paper_macs=300_000_000,
    differs="the paper's figure is a round one; without the 34,112 weights of its norms the layout "
    "has 3.47 million",
)
def mobilenet_v2(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    input_size: tuple[int, int] = (224, 224),
    act: ActivationName = "relu6",
    norm: NormName | None = "batch",
    dropout: float = 0.2,
    stem: StemName = "auto",
    width: float = 1.0,
    padding: PaddingName = "torch",
) -> nn.Module:
    """MobileNetV2: 17 inverted residual blocks with linear bottlenecks.

    Images (N, C, H, W) to logits (N, num_classes). For 3 x 224 x 224, t how many times a block
    widens its input:

        layer                          t   blocks   output
        conv 3x3, stride 2                          32 x 112 x 112
        inverted residuals             1   1        16 x 112 x 112
        inverted residuals             6   2        24 x 56 x 56
        inverted residuals             6   3        32 x 28 x 28
        inverted residuals             6   4        64 x 14 x 14
        inverted residuals             6   3        96 x 14 x 14
        inverted residuals             6   3        160 x 7 x 7
        inverted residuals             6   1        320 x 7 x 7
        conv 1x1                                    1280 x 7 x 7
        mean, dropout, linear                       num_classes

    A block is 1x1 to t times the maps, a depthwise 3x3, 1x1 back; the input is added where shapes
    agree. No activation follows the last 1x1. `width` is the paper's width multiplier; the last
    1280 maps are not narrowed by it. The small stem leaves out the first two halvings: images of
    32x32 keep 4x4 positions to the end. `padding=same` is for weights that were trained in
    TensorFlow.

    What was new: the shortcut joins the narrow ends of the blocks, and the narrow ends have no
    activation, which would lose what few maps hold.

    When to use it: as `mobilenet_v1`, with about half of its multiply-adds (88 against 176 million
    on 32x32); as the trunk of detectors and segmenters on small machines.

    What goes wrong: maps of six times the width are kept for the backward pass, so memory in
    training is larger than the few weights suggest. `relu6` cuts at 6 for the sake of 8-bit
    arithmetic; without that aim `model.act=relu` does. With batch normalisation batches of a few
    images are noisy: below about 8 take `model.norm=group`.

    >>> sum(p.numel() for p in mobilenet_v2(num_classes=10).parameters())
    2236682
    """
    options = MobileNetV2Options(
        act=act, norm=norm, dropout=dropout, stem=stem, width=width, padding=padding
    )
    model = MobileNetV2(num_classes, in_channels, input_size, options)
    initialise(model, act, head=model.classifier[1])
    return model


class MobileNetV2(nn.Module):
    """`features`, the mean over each map, `classifier`: torchvision's names."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        options: MobileNetV2Options,
    ) -> None:
        super().__init__()
        small = is_small(options.stem, input_size)
        channels = scaled(32, options.width)
        layers: list[nn.Module] = [_block(in_channels, channels, 3, 1 if small else 2, options)]
        for index, (expansion, base, repeats, first_stride) in enumerate(_STAGES):
            out_channels = scaled(base, options.width)
            for place in range(repeats):
                stride = first_stride if place == 0 else 1
                if small and index == 1:
                    stride = 1
                layers.append(InvertedResidual(channels, out_channels, expansion, stride, options))
                channels = out_channels
        last = scaled(1280, max(1.0, options.width))
        layers.append(_block(channels, last, 1, 1, options))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(last, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))  # (N, 1280, 1, 1)
        return self.classifier(x.flatten(1))


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the maps, a depthwise 3x3, 1x1 back; plus the input if it fits."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int,
        stride: int,
        options: MobileNetV2Options,
    ) -> None:
        super().__init__()
        self.joins = stride == 1 and in_channels == out_channels
        hidden = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_block(in_channels, hidden, 1, 1, options))
        layers += [
            _block(hidden, hidden, 3, stride, options, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=not normalises(options.norm)),
            normalisation(options.norm, out_channels),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.joins else self.conv(x)


def _block(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    options: MobileNetV2Options,
    *,
    groups: int = 1,
) -> ConvNormAct:
    return ConvNormAct(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        groups=groups,
        norm=options.norm,
        act=options.act,
        padding=options.padding,
    )
