"""AlexNet in the form that is passed around today: one tower, five convolutions, three layers.

Krizhevsky, Sutskever & Hinton 2012 split the network over two cards, with 96-256-384-384-256
maps of which three layers see only their own card's half, and local response normalisation. The
one tower here is that of Krizhevsky 2014, "One weird trick for parallelizing convolutional neural
networks": 64-192-384-256-256 maps, no groups and no response normalisation.
"""

from __future__ import annotations

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName, normalisation, normalises
from netwright.nn.stem import STEM_HELP, StemName, is_small
from netwright.nn.width import scaled


@config
class AlexNetOptions:
    """What stands between the layers, and how wide they are."""

    act: ActivationName = setting("relu", help="activation after each layer but the last")
    norm: NormName | None = setting("none", help="normalisation after each convolution")
    dropout: float = setting(
        0.5, ge=0, lt=1, help="share left out before both hidden layers", search=(0.0, 0.7)
    )
    stem: StemName = setting("auto", help=STEM_HELP)
    width: float = setting(1.0, gt=0, le=4, help="factor on the width of every layer")


@MODELS.register(
    "alexnet",
    options=AlexNetOptions,
    input=(3, 224, 224),
    classes=1000,
    params=61_100_840,
    macs=714_188_480,
    smallest=15,
    standard_smallest=63,
    torchvision="alexnet",
    paper="Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional "
    "neural networks; Krizhevsky 2014, One weird trick for parallelizing convolutional neural "
    "networks",
    paper_params=60_965_224,
    paper_macs=724_406_816,
    differs="the network of 2012, counted from its layers, has 96-256-384-384-256 maps, two "
    "groups in the second, fourth and fifth convolution, and sees 227x227 pixels",
)
def alexnet(
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
    """AlexNet in one tower: large first kernels, overlapping pools, two wide hidden layers.

    Images (N, C, H, W) to logits (N, num_classes). For 3 x 224 x 224 and 1000 classes:

        layer                     output         parameters
        conv 11x11, stride 4      64 x 55 x 55       23,296
        max-pool 3x3, stride 2    64 x 27 x 27
        conv 5x5                  192 x 27 x 27     307,392
        max-pool 3x3, stride 2    192 x 13 x 13
        conv 3x3                  384 x 13 x 13     663,936
        conv 3x3                  256 x 13 x 13     884,992
        conv 3x3                  256 x 13 x 13     590,080
        max-pool 3x3, stride 2    256 x 6 x 6
        dropout, linear           4096           37,752,832
        dropout, linear           4096           16,781,312
        linear                    1000            4,097,000

    96 % of the parameters are in the three linear layers, and 92 % of the multiply-adds in the
    convolutions. The small stem begins with a 3x3 convolution of stride 1 and takes images from
    15x15.

    What was new: a large convolutional network trained on graphics cards with ReLU, dropout and
    much augmentation; it won ImageNet's contest of 2012 and began the present age. Its local
    response normalisation and its two towers were dropped soon after, and are not here.

    When to use it: to study the history, and where the public weights are wanted for features or
    for transfer to larger images. On 32x32 it costs less than half of ResNet-18's multiply-adds
    (230 against 555 million), but it has 57 million weights there, where `resnet20` has 0.27.

    What goes wrong: without a norm it starts slowly; take a rate of 0.01 with momentum 0.9 and some
    warm-up, where others take 0.1, or set `model.norm=batch`. Weights, gradients and momentum of 57
    million parameters are 0.7 GB before the first image. Of an image of 32x32 3x3 places are left,
    each copied to four of the 6x6 that the first linear layer sees: `model.width=0.25` makes a
    network of a sixteenth. Few images and two layers of 4096 units over-fit: keep the dropout.

    >>> small = alexnet(num_classes=10, input_size=(32, 32), width=0.25)
    >>> sum(p.numel() for p in small.parameters())
    3573722
    """
    options = AlexNetOptions(act=act, norm=norm, dropout=dropout, stem=stem, width=width)
    model = AlexNet(num_classes, in_channels, input_size, options)
    initialise(model, act, head=model.classifier[-1])
    return model


class AlexNet(nn.Module):
    """`features`, a mean over 6x6 places, `classifier`: torchvision's names."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        options: AlexNetOptions,
    ) -> None:
        super().__init__()
        self.features = _features(in_channels, is_small(options.stem, input_size), options)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        hidden = scaled(4096, options.width)
        self.classifier = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(scaled(256, options.width) * 6 * 6, hidden),
            activation(options.act),
            nn.Dropout(options.dropout),
            nn.Linear(hidden, hidden),
            activation(options.act),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))  # (N, 256, 6, 6)
        return self.classifier(x.flatten(1))


def _features(in_channels: int, small: bool, options: AlexNetOptions) -> nn.Sequential:
    first = (3, 1, 1) if small else (11, 4, 2)
    # channels, (kernel, stride, padding), whether a pool follows; sizes for 224x224
    table = [
        (64, first, True),  # 55 x 55, pooled to 27 x 27
        (192, (5, 1, 2), True),  # pooled to 13 x 13
        (384, (3, 1, 1), False),
        (256, (3, 1, 1), False),
        (256, (3, 1, 1), True),  # pooled to 6 x 6
    ]
    layers: list[nn.Module] = []
    for channels, (kernel_size, stride, padding), pooled in table:
        out_channels = scaled(channels, options.width)
        layers.append(nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding))
        if normalises(options.norm):
            layers.append(normalisation(options.norm, out_channels))
        layers.append(activation(options.act))
        if pooled:
            layers.append(nn.MaxPool2d(kernel_size=3, stride=2))
        in_channels = out_channels
    return nn.Sequential(*layers)
