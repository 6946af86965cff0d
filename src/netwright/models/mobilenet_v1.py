"""MobileNetV1: each convolution split in two, one for places and one for channels.

Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision
applications", table 1. A depthwise 3x3 kernel for each map and a 1x1 convolution over them replace
a full 3x3 convolution, at 8 to 9 times fewer multiply-adds.
"""

from __future__ import annotations

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS
from netwright.nn.activations import ActivationName
from netwright.nn.conv_norm_act import ConvNormAct, PaddingName
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName
from netwright.nn.stem import STEM_HELP, StemName, is_small
from netwright.nn.width import scaled

# Channels and stride of each pair.
_PAIRS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1),
    (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip


@config
class MobileNetV1Options:
    """The pieces of a pair, and how wide they are."""

    act: ActivationName = setting("relu", help="activation after each convolution")
    norm: NormName | None = setting("batch", help="normalisation after convolutions")
    dropout: float = setting(
        0.0, ge=0, lt=1, help="share of the features left out before the head", search=(0.0, 0.5)
    )
    stem: StemName = setting("auto", help=STEM_HELP)
    width: float = setting(1.0, gt=0, le=4, help="factor on the width of every layer")
    padding: PaddingName = setting(
        "torch", help="zeros around the maps: the same on all sides, or as TensorFlow's SAME"
    )


@MODELS.register(
    "mobilenet_v1",
    options=MobileNetV1Options,
    input=(3, 224, 224),
    classes=1000,
    params=4_231_976,
    macs=568_740_352,
    smallest=8,
    standard_smallest=32,
    paper="Howard et al. 2017, MobileNets: efficient convolutional neural networks for mobile "
    "vision applications",
    paper_params=4_200_000,
    paper_macs=569_000_000,
)
def mobilenet_v1(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    input_size: tuple[int, int] = (224, 224),
    act: ActivationName = "relu",
    norm: NormName | None = "batch",
    dropout: float = 0.0,
    stem: StemName = "auto",
    width: float = 1.0,
    padding: PaddingName = "torch",
) -> nn.Module:
    """MobileNetV1: a convolution, then 13 pairs of a depthwise and a 1x1 convolution.

    Images (N, C, H, W) to logits (N, num_classes). For 3 x 224 x 224; dw is a depthwise 3x3
    convolution, one kernel for each map, pw the 1x1 convolution behind it:

        layer                                  output
        conv 3x3, stride 2                     32 x 112 x 112
        dw, pw                                 64 x 112 x 112
        dw, pw (first with stride 2), twice    128 x 56 x 56
        dw, pw (first with stride 2), twice    256 x 28 x 28
        dw, pw (first with stride 2), 6 times  512 x 14 x 14
        dw, pw (first with stride 2), twice    1024 x 7 x 7
        mean over each map                     1024
        linear                                 num_classes

    Norm and activation behind every convolution. A pair has k^2 C + C N weights where a full
    convolution has k^2 C N: 1/N + 1/k^2 of them, and of the multiply-adds. `width` is the paper's
    width multiplier. The small stem leaves out the first two halvings: images of 32x32 keep 4x4
    positions to the end.

    What was new: a whole network of depthwise-separable convolutions (Sifre 2014), and one number,
    the width, that trades accuracy for cost.

    When to use it: few weights and few multiply-adds, on a phone or one processor core; with
    `model.width=0.5` or 0.25 on small images.

    What goes wrong: few multiply-adds are not always fast: a depthwise convolution reads about as
    much as it computes (7.4 times fewer convolution weights gave 1.5 times less time on a
    processor). Depthwise kernels have 9 inputs and small weights: too much weight decay hurts them
    most. The network is planned for a norm behind every convolution; `model.norm=none` needs a much
    smaller rate. Below 64 pixels it needs the small stem, which `auto` takes; with batch
    normalisation batches of a few images are noisy.

    >>> sum(p.numel() for p in mobilenet_v1(num_classes=10, width=0.25).parameters())
    215642
    """
    options = MobileNetV1Options(
        act=act, norm=norm, dropout=dropout, stem=stem, width=width, padding=padding
    )
    model = MobileNetV1(num_classes, in_channels, input_size, options)
    initialise(model, act, head=model.classifier[1])
    return model


class MobileNetV1(nn.Module):
    """`features`, the mean over each map, `classifier`: named as MobileNetV2 is in torchvision."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        options: MobileNetV1Options,
    ) -> None:
        super().__init__()
        halvings_left_out = 2 if is_small(options.stem, input_size) else 0
        channels = scaled(32, options.width)
        stride = 1 if halvings_left_out else 2
        layers: list[nn.Module] = [_block(in_channels, channels, 3, stride, 1, options)]
        halvings = 1
        for base, stride in _PAIRS:
            if stride == 2:
                halvings += 1
                stride = 1 if halvings <= halvings_left_out else 2
            out_channels = scaled(base, options.width)
            layers.append(
                nn.Sequential(
                    _block(channels, channels, 3, stride, channels, options),
                    _block(channels, out_channels, 1, 1, 1, options),
                )
            )
            channels = out_channels
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(options.dropout), nn.Linear(channels, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))  # (N, 1024, 1, 1)
        return self.classifier(x.flatten(1))


def _block(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    groups: int,
    options: MobileNetV1Options,
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
