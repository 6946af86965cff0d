"""SqueezeNet: few maps between layers, so that most kernels are small and see little.

Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
size", figure 2 and table 1; version 1.1 is the authors' later release, which pools earlier and
needs 2.3 times fewer multiply-adds (counted).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS, Builder
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName, normalisation
from netwright.nn.stem import STEM_HELP, StemName, is_small
from netwright.nn.width import scaled

# Squeeze and expand maps of each fire module, None for a pool.
_FIRES: dict[str, tuple[tuple[int, int] | None, ...]] = {
    "1.0": (
        (16, 64), (16, 64), (32, 128), None,
        (32, 128), (48, 192), (48, 192), (64, 256), None,
        (64, 256),
    ),
    "1.1": (
        (16, 64), (16, 64), None,
        (32, 128), (32, 128), None,
        (48, 192), (48, 192), (64, 256), (64, 256),
    ),
}  # fmt: skip

# The first convolution: channels, kernel size.
_FIRST = {"1.0": (96, 7), "1.1": (64, 3)}


@config
class SqueezeNetOptions:
    """The pieces of a fire module."""

    act: ActivationName = setting("relu", help="activation after each convolution")
    norm: NormName | None = setting("none", help="normalisation after convolutions")
    dropout: float = setting(
        0.5, ge=0, lt=1, help="share left out before the last convolution", search=(0.0, 0.6)
    )
    stem: StemName = setting("auto", help=STEM_HELP)
    width: float = setting(1.0, gt=0, le=4, help="factor on the width of every layer")


class SqueezeNet(nn.Module):
    """`features` and `classifier`, a 1x1 convolution to a map for each class: torchvision's names.

    The convolution's maps pass an activation before their mean is the logit, as published: with
    ReLU no logit is below 0.
    """

    def __init__(
        self,
        version: str,
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        options: SqueezeNetOptions,
    ) -> None:
        super().__init__()
        small = is_small(options.stem, input_size)
        first, kernel_size = _FIRST[version]
        channels = scaled(first, options.width)
        if small:
            conv = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        else:
            conv = nn.Conv2d(in_channels, channels, kernel_size, stride=2)
        layers: list[nn.Module] = [
            conv,
            activation(options.act),
            nn.Identity() if small else nn.MaxPool2d(3, stride=2, ceil_mode=True),
        ]
        for each in _FIRES[version]:
            if each is None:
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            else:
                squeeze, expand = (scaled(width, options.width) for width in each)
                layers.append(Fire(channels, squeeze, expand, options))
                channels = 2 * expand
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Conv2d(channels, num_classes, kernel_size=1),
            activation(options.act),
            nn.AdaptiveAvgPool2d(1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


class Fire(nn.Module):
    """1x1 to `squeeze` maps, then 1x1 and 3x3 to `expand` maps each, put together."""

    def __init__(
        self, in_channels: int, squeeze: int, expand: int, options: SqueezeNetOptions
    ) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, kernel_size=1)
        self.squeeze_norm = normalisation(options.norm, squeeze)
        self.squeeze_act = activation(options.act)
        self.expand1x1 = nn.Conv2d(squeeze, expand, kernel_size=1)
        self.expand1x1_norm = normalisation(options.norm, expand)
        self.expand1x1_act = activation(options.act)
        self.expand3x3 = nn.Conv2d(squeeze, expand, kernel_size=3, padding=1)
        self.expand3x3_norm = normalisation(options.norm, expand)
        self.expand3x3_act = activation(options.act)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_act(self.squeeze_norm(self.squeeze(x)))
        near = self.expand1x1_act(self.expand1x1_norm(self.expand1x1(x)))
        wide = self.expand3x3_act(self.expand3x3_norm(self.expand3x3(x)))
        return torch.cat([near, wide], 1)


def _register(version: str, params: int, macs: int, standard_smallest: int) -> Builder:
    def build(
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        input_size: tuple[int, int] = (224, 224),
        act: ActivationName = "relu",
        norm: NormName | None = "none",
        dropout: float = 0.5,
        stem: StemName = "auto",
        width: float = 1.0,
    ) -> nn.Module:
        options = SqueezeNetOptions(act=act, norm=norm, dropout=dropout, stem=stem, width=width)
        model = SqueezeNet(version, num_classes, in_channels, input_size, options)
        initialise(model, act, head=model.classifier[1])
        return model

    name = f"squeezenet{version.replace('.', '_')}"
    build.__name__ = build.__qualname__ = name
    build.__doc__ = _document(version)
    return MODELS.register(
        name,
        options=SqueezeNetOptions,
        input=(3, 224, 224),
        classes=1000,
        params=params,
        macs=macs,
        smallest=8,
        standard_smallest=standard_smallest,
        torchvision=name,
        paper="Iandola et al. 2016, SqueezeNet: AlexNet-level accuracy with 50x fewer parameters "
        "and <0.5MB model size",
    )(build)


def _document(version: str) -> str:
    return f"""SqueezeNet {version}: eight fire modules of 1x1 and 3x3 kernels, no linear layer.

Images (N, C, H, W) to logits (N, num_classes). For 3 x 224 x 224, s/e the maps that a fire module
squeezes to and expands to in each of its two halves:

{_TABLES[version]}
    dropout, conv 1x1, act             num_classes maps
    mean over each map                 num_classes

A fire module is 1x1 to s maps, then 1x1 to e and 3x3 to e side by side: most kernels are small, and
the 3x3 ones see few maps.

What was new: a network planned from its number of weights; a tenth of those of ResNet-18.

When to use it: where the file has to be small; {_USES[version]}

What goes wrong: it has no norm, so it needs a small rate, 0.01 to 0.04 with momentum, and warm-up;
`model.norm=batch` lifts that. A logit is the mean of an activation: under ReLU none is below 0, and
a class whose map is dead everywhere stays at 0 and learns no more (`model.act=leaky_relu` does not
die). Below 64 pixels it needs the small stem, which `auto` takes. Few weights are not few
multiply-adds, and activations take most of the memory."""


_TABLES = {
    "1.0": """\
    conv 7x7, stride 2; pool           96 x 54 x 54
    fire 16/64, 16/64, 32/128; pool    256 x 27 x 27
    fire 32/128, 48/192 twice, 64/256  512 x 27 x 27
    pool; fire 64/256                  512 x 13 x 13""",
    "1.1": """\
    conv 3x3, stride 2; pool           64 x 55 x 55
    fire 16/64 twice; pool             128 x 27 x 27
    fire 32/128 twice; pool            256 x 13 x 13
    fire 48/192 twice, 64/256 twice    512 x 13 x 13""",
}

_USES = {
    "1.0": """take 1.1 unless the public weights or results of 1.0 are wanted: it costs 2.3 times
the multiply-adds for the same number of weights.""",
    "1.1": """on 32x32 it takes 89 million multiply-adds and 0.73 million weights (10 classes),
the least of the ImageNet networks here but for MobileNetV2's multiply-adds.""",
}

squeezenet1_0 = _register("1.0", 1_248_424, 818_924_576, 21)
squeezenet1_1 = _register("1.1", 1_235_496, 349_151_936, 17)
