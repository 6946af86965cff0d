"""LeNet-5 in today's form: LeCun's shape, with ReLU, max-pooling and a linear head.

`lenet5-1998` is the network of the paper. What changed since: every map of C3 sees every map
of S2 (61,706 parameters instead of 60,000), pooling takes the maximum and has no weights, and
ten logits and cross-entropy stand where distances to fixed codes stood.
"""

from __future__ import annotations

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise


@config
class LeNet5Options:
    """What stands between the layers."""

    act: ActivationName = setting("relu", help="activation after each layer")
    dropout: float = setting(
        0.0, ge=0, lt=1, help="share of C5's and F6's units left out in a step", search=(0.0, 0.6)
    )


@MODELS.register(
    "lenet5",
    options=LeNet5Options,
    input=(1, 32, 32),
    classes=10,
    params=61_706,
    macs=416_520,
    smallest=12,
    paper="after LeCun, Bottou, Bengio & Haffner 1998, "
    "Gradient-based learning applied to document recognition",
)
def lenet5(
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    input_size: tuple[int, int] = (28, 28),
    act: ActivationName = "relu",
    dropout: float = 0.0,
) -> nn.Module:
    """LeNet-5 with ReLU and max-pooling: two convolutions, three linear layers.

    Images (N, C, H, W) to logits (N, num_classes). For 1 x 32 x 32:

        layer                 output         parameters
        C1  conv 5x5          6 x 28 x 28           156
        S2  max-pool 2x2      6 x 14 x 14
        C3  conv 5x5          16 x 10 x 10        2,416
        S4  max-pool 2x2      16 x 5 x 5
        C5  linear            120                48,120
        F6  linear            84                 10,164
            linear            10                    850

    416,520 multiply-adds for one image. The paper's images are 32x32. Smaller ones get a border of
    2 zeros, which makes MNIST's 28x28 the same network; larger ones none. 12x12 is the smallest
    that leaves a pixel.

    What was new: the plan itself, kernels that look at a small place everywhere, then fewer places
    and more maps, then linear layers. See `lenet5-1998` for what the paper had and this has not.

    When to use it: digits, characters and other small grey images; a first network that trains in
    minutes on one core; a network small enough to look at every weight. The recipe `mnist-lenet5`
    comes to 99.47 % on MNIST (median of five seeds).

    What goes wrong: a unit of S4 sees 16x16 pixels, so that all beyond has to be put together by
    C5: on photographs it falls far behind a ResNet. C5 grows with the image: at 128x128 it has 1.6
    million weights where it had 48 thousand. There is no norm, so a rate far above 0.1 kills units
    (dead ReLUs) or diverges.

    >>> sum(p.numel() for p in lenet5(input_size=(28, 28)).parameters())
    61706
    """
    model = LeNet5(num_classes, in_channels, input_size, act, dropout)
    initialise(model, act, head=model.output)
    return model


class LeNet5(nn.Module):
    """The layers under the paper's names: C for convolution, S for sub-sampling, F for full."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        act: ActivationName,
        dropout: float,
    ) -> None:
        super().__init__()
        padding = border(input_size)
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in input_size)
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5, padding=padding)
        self.s2 = nn.MaxPool2d(2)
        self.act2 = activation(act)  # after the pool: for ReLU the same values, a quarter of them
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.s4 = nn.MaxPool2d(2)
        self.act4 = activation(act)
        self.c5 = nn.Linear(16 * height * width, 120)
        self.act5 = activation(act)
        self.f6 = nn.Linear(120, 84)
        self.act6 = activation(act)
        self.output = nn.Linear(84, num_classes)
        self.dropout5 = nn.Dropout(dropout) if dropout else nn.Identity()
        self.dropout6 = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # sizes for 32x32
        x = self.act2(self.s2(self.c1(x)))  # (N, 6, 14, 14)
        x = self.act4(self.s4(self.c3(x)))  # (N, 16, 5, 5)
        x = self.dropout5(self.act5(self.c5(x.flatten(1))))  # (N, 120)
        x = self.dropout6(self.act6(self.f6(x)))  # (N, 84)
        return self.output(x)


def border(input_size: tuple[int, int]) -> int:
    """Zeros around the image before C1: none from 32 pixels on, 2 below.

    >>> border((28, 28)), border((32, 32))
    (2, 0)
    """
    return 0 if min(input_size) >= 32 else 2
