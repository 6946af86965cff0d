"""LeNet-5 as it was published: weighted sub-sampling, a sparse C3, distances to fixed codes.

LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), section II.B: 60,000 trainable parameters in C1 to F6. `lenet5`
is what it is today.

The paper draws the output codes by hand, as 7x12 pictures of characters, and says that they
could as well be random signs; here they are, so that there are codes for any number of classes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.core import keyed
from netwright.core.config import config, setting
from netwright.models import MODELS
from netwright.models.lenet5 import border

# Table I: the maps of S2 that each map of C3 sees. Three neighbours, four neighbours, four that
# are not all neighbours, all six: maps that see different things must learn different things.
TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


@config
class LeNet51998Options:
    """How F6 becomes an answer."""

    output: Literal["rbf", "linear"] = setting(
        "rbf", help="distances to fixed codes, as published, or a linear layer"
    )
    temperature: float = setting(
        10.0, gt=0, help="what the squared distances are divided by; 1 in the paper"
    )


@MODELS.register(
    "lenet5-1998",
    options=LeNet51998Options,
    input=(1, 32, 32),
    classes=10,
    params=60_000,
    macs=416_520,
    paper_macs=340_908,
    differs="the paper counts connections, those of sub-sampling and biases among them; here the "
    "36 kernels that C3 has not are multiplied as zeros",
    smallest=12,
    paper="LeCun, Bottou, Bengio & Haffner 1998, "
    "Gradient-based learning applied to document recognition",
)
def lenet5_1998(
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    input_size: tuple[int, int] = (28, 28),
    output: Literal["rbf", "linear"] = "rbf",
    temperature: float = 10.0,
) -> nn.Module:
    """LeNet-5 of the paper: scaled tanh, trainable sub-sampling, 60 of 96 kernels in C3.

    Images (N, C, H, W) to logits (N, num_classes). For 1 x 32 x 32:

        layer                              output         parameters
        C1  conv 5x5                       6 x 28 x 28           156
        S2  a (sum over 2x2) + b           6 x 14 x 14            12
        C3  conv 5x5, 60 pairs of maps     16 x 10 x 10        1,516
        S4  a (sum over 2x2) + b           16 x 5 x 5             32
        C5  linear                         120                48,120
        F6  linear                         84                 10,164
            -|F6 - code|^2 / temperature   10                      0

    Each layer but the last is followed by 1.7159 tanh(2/3 x). Images smaller than 32x32 get a
    border of 2 zeros. The logits are minus the squared distances of F6 to the codes of the classes
    over `temperature`, so that softmax and cross-entropy give the paper's loss (eq. 9) without its
    constant.

    What was new: local kernels with shared weights, sub-sampling and layers trained together from
    pixels to characters; a table of connections that makes maps differ; an activation chosen for
    its curvature.

    When to use it: to repeat the paper, or to see what ReLU, max-pooling and cross-entropy changed;
    `lenet5` for work.

    What goes wrong: the paper's temperature of 1 goes with its second-order training: plain SGD
    diverged at the rate 0.03, and at 0.01 came to 94.6 % on MNIST (12,000 images, 2 epochs), where
    10 takes 0.05 and came to 96.3 %. The codes are fixed, so F6 cannot be widened to help; tanh
    saturates if the rate is too high. Its first weights are the paper's; an initialiser that is
    chosen with `init=` draws all but the sparse kernels of C3 anew.

    >>> sum(p.numel() for p in lenet5_1998().parameters())
    60000
    """
    return LeNet51998(num_classes, in_channels, input_size, output, temperature)


class LeNet51998(nn.Module):
    """C1 to F6, each followed by 1.7159 tanh(2/3 x), and the output layer."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        output: Literal["rbf", "linear"],
        temperature: float,
    ) -> None:
        super().__init__()
        padding = border(input_size)
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in input_size)
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5, padding=padding)
        self.act1 = ScaledTanh()
        self.s2 = SubSampling(6)
        self.act2 = ScaledTanh()
        self.c3 = SparseConv2d(TABLE, kernel_size=5)
        self.act3 = ScaledTanh()
        self.s4 = SubSampling(16)
        self.act4 = ScaledTanh()
        self.c5 = nn.Linear(16 * height * width, 120)
        self.act5 = ScaledTanh()
        self.f6 = nn.Linear(120, 84)
        self.act6 = ScaledTanh()
        self.output: nn.Module = (
            Distances(num_classes, 84, temperature)
            if output == "rbf"
            else nn.Linear(84, num_classes)
        )
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        # Between -2.4 / fan-in and 2.4 / fan-in, biases 0; a sub-sampling layer starts as a mean.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = 2.4 / layer.weight[0].numel()
                layer.weight.uniform_(-bound, bound)
                if layer.bias is not None:
                    layer.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:  # sizes for 32x32
        x = self.act2(self.s2(self.act1(self.c1(x))))  # (N, 6, 14, 14)
        x = self.act4(self.s4(self.act3(self.c3(x))))  # (N, 16, 5, 5)
        x = self.act6(self.f6(self.act5(self.c5(x.flatten(1)))))  # (N, 84)
        return self.output(x)


class ScaledTanh(nn.Module):
    """1.7159 tanh(2/3 x): f(1) = 1 and f(-1) = -1, where its curvature is largest (appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class SubSampling(nn.Module):
    """The sum over each 2x2 square, times one coefficient a map, plus one bias a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # Four times the mean, for torch's ONNX exporter leaves divisor_override=1 out without a
        # word. A factor of 4 is exact: the bits are those of the sum.
        means = F.avg_pool2d(x, kernel_size=2)
        return means * (4 * self.weight[:, None, None]) + self.bias[:, None, None]


class SparseConv2d(nn.Module):
    """A convolution in which output map k sees the input maps `table[k]` only.

    `weight` is (pairs, 1, k, k), one kernel for each pair of the table: what is not connected
    has no parameter. The kernels are laid into a dense weight, for torch's convolution is
    faster than sixteen small ones.
    """

    places: Tensor

    def __init__(self, table: tuple[tuple[int, ...], ...], kernel_size: int) -> None:
        super().__init__()
        self.in_channels = 1 + max(max(row) for row in table)
        self.out_channels = len(table)
        pairs = [(k, i) for k, row in enumerate(table) for i in row]
        places = torch.tensor([k * self.in_channels + i for k, i in pairs])
        self.register_buffer("places", places, persistent=False)
        area = kernel_size * kernel_size
        bounds = torch.tensor([2.4 / (area * len(table[k])) for k, _ in pairs])
        drawn = torch.rand(len(pairs), 1, kernel_size, kernel_size) * 2 - 1
        self.weight = nn.Parameter(drawn * bounds[:, None, None, None])
        self.bias = nn.Parameter(torch.zeros(self.out_channels))

    def dense(self) -> Tensor:
        """The weight as torch takes it, (out_channels, in_channels, k, k), 0 where unconnected."""
        size = self.weight.shape[-2:]
        weight = self.weight.new_zeros((self.out_channels * self.in_channels, 1, *size))
        weight = weight.index_copy(0, self.places, self.weight)
        return weight.view(self.out_channels, self.in_channels, *size)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.dense(), self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, pairs={len(self.weight)}"


class Distances(nn.Module):
    """Minus the squared distance to a fixed code of signs for each class, over a temperature.

    (N, length) -> (N, num_classes). A code is the point where a unit of F6 is most sensitive
    (+1 and -1), so F6 is never asked to saturate.
    """

    codes: Tensor

    def __init__(self, num_classes: int, length: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        draws = keyed.uniform(np.arange(num_classes * length), "lenet5-codes")
        signs = torch.from_numpy(np.where(draws < 0.5, -1.0, 1.0).astype(np.float32))
        self.register_buffer("codes", signs.view(num_classes, length))

    def forward(self, x: Tensor) -> Tensor:
        # |x - c|^2 with |c|^2 = length: one matrix product instead of (N, classes, length).
        squares = (x * x).sum(1, keepdim=True) + x.shape[1]
        return (2 * x @ self.codes.T - squares) / self.temperature

    def extra_repr(self) -> str:
        return f"{self.codes.shape[1]}, {self.codes.shape[0]}"
