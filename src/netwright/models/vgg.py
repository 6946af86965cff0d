"""VGG: nothing but 3x3 convolutions and 2x2 pools, to a depth of 19.

Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition",
table 1, configurations A, B, D and E. Two 3x3 kernels see what one of 5x5 sees, with 18 weights
for 25 and an activation between them. Batch normalisation came after the paper.
"""

from __future__ import annotations

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS, Builder
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName, normalisation, normalises
from netwright.nn.width import scaled

_CHANNELS = (64, 128, 256, 512, 512)

# Convolutions in each of the five stages, by depth.
_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


@config
class VGGOptions:
    """What stands between the layers, and how wide they are."""

    act: ActivationName = setting("relu", help="activation after each layer but the last")
    norm: NormName | None = setting("none", help="normalisation after each convolution")
    dropout: float = setting(
        0.5, ge=0, lt=1, help="share left out after both hidden layers", search=(0.0, 0.7)
    )
    width: float = setting(1.0, gt=0, le=4, help="factor on the width of every layer")


@config
class VGGBatchNormOptions(VGGOptions):
    """The same, with batch normalisation unless told otherwise."""

    norm: NormName | None = setting("batch", help="normalisation after each convolution")


class VGG(nn.Module):
    """`features`, a mean over 7x7 places, `classifier`: torchvision's names."""

    def __init__(
        self, stages: tuple[int, ...], num_classes: int, in_channels: int, options: VGGOptions
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for base, convolutions in zip(_CHANNELS, stages, strict=True):
            channels = scaled(base, options.width)
            for _ in range(convolutions):
                layers.append(nn.Conv2d(in_channels, channels, kernel_size=3, padding=1))
                if normalises(options.norm):
                    layers.append(normalisation(options.norm, channels))
                layers.append(activation(options.act))
                in_channels = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        hidden = scaled(4096, options.width)
        self.classifier = nn.Sequential(
            nn.Linear(in_channels * 7 * 7, hidden),
            activation(options.act),
            nn.Dropout(options.dropout),
            nn.Linear(hidden, hidden),
            activation(options.act),
            nn.Dropout(options.dropout),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))  # (N, 512, 7, 7)
        return self.classifier(x.flatten(1))


def _register(depth: int, params: int, macs: int, *, batch_norm: bool = False) -> Builder:
    options_class = VGGBatchNormOptions if batch_norm else VGGOptions
    usual: NormName = "batch" if batch_norm else "none"

    def build(
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        input_size: tuple[int, int] = (224, 224),
        act: ActivationName = "relu",
        norm: NormName | None = usual,
        dropout: float = 0.5,
        width: float = 1.0,
    ) -> nn.Module:
        options = VGGOptions(act=act, norm=norm, dropout=dropout, width=width)
        model = VGG(_STAGES[depth], num_classes, in_channels, options)
        initialise(model, act, head=model.classifier[-1])
        return model

    name = f"vgg{depth}_bn" if batch_norm else f"vgg{depth}"
    build.__name__ = build.__qualname__ = name
    build.__doc__ = _document(depth, batch_norm)
    return MODELS.register(
        name,
        options=options_class,
        input=(3, 224, 224),
        classes=1000,
        params=params,
        macs=macs,
        smallest=32,
        torchvision=name,
        paper="Simonyan & Zisserman 2015, Very deep convolutional networks for large-scale image "
        "recognition" + ("; Ioffe & Szegedy 2015, Batch normalization" if batch_norm else ""),
    )(build)


def _document(depth: int, batch_norm: bool) -> str:
    described = f"VGG-{depth} with batch normalisation" if batch_norm else f"VGG-{depth}"
    table = [
        f"    {number} of conv 3x3; max-pool 2x2    {channels} x {112 >> stage} x {112 >> stage}"
        for stage, (number, channels) in enumerate(zip(_STAGES[depth], _CHANNELS, strict=True))
    ]
    return f"""{described}: {depth - 3} convolutions of 3x3 and three linear layers.

Images (N, C, H, W) to logits (N, num_classes). For 3 x 224 x 224:

{chr(10).join(table)}
    linear, act, dropout; twice    4096
    linear                         num_classes

Norm (if any) and activation behind every convolution. Most parameters are in the first linear
layer, which sees 7x7 places: 103 million.

What was new: depth from nothing but 3x3 kernels. Two of them see what one of 5x5 sees with 18
weights for 25, three what one of 7x7 sees with 27 for 49, and an activation stands between them.

When to use it: as features, for style transfer and for losses that compare images, where its layers
are what the literature names; for transfer from public weights; with `model.width=0.25` as a plain
network for small images. For a given accuracy residual networks cost less: ResNet-152 has fewer
multiply-adds than VGG-16.

What goes wrong: {_WITH_NORM if batch_norm else _WITHOUT_NORM} Of an image of 32x32 one place is
left and copied to all 7x7 that the first linear layer sees: `model.width=0.25` makes a network of a
sixteenth for such images (VGG-16: 8.4 million parameters). At full width weights, gradients and
momentum take about 1.6 GB."""


_WITH_NORM = """with few images a step batch normalisation is noisy: `model.norm=group`."""

_WITHOUT_NORM = """without a norm it starts slowly, the deeper the slower: a rate of about 0.01 with
warm-up, or `model.norm=batch`."""

vgg11 = _register(11, 132_863_336, 7_609_090_048)
vgg13 = _register(13, 133_047_848, 11_308_466_176)
vgg16 = _register(16, 138_357_544, 15_470_264_320)
vgg19 = _register(19, 143_667_240, 19_632_062_464)
vgg11_bn = _register(11, 132_868_840, 7_609_090_048, batch_norm=True)
vgg13_bn = _register(13, 133_053_736, 11_308_466_176, batch_norm=True)
vgg16_bn = _register(16, 138_365_992, 15_470_264_320, batch_norm=True)
vgg19_bn = _register(19, 143_678_248, 19_632_062_464, batch_norm=True)
