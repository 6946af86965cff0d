"""Convolution, norm, activation: the block that most networks repeat, in its usual order."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from netwright.nn.activations import ActivationName, activation
from netwright.nn.normalisation import NormName, normalisation, normalises

PaddingName: TypeAlias = Literal["torch", "same"]


class ConvNormAct(nn.Sequential):
    """`0` the convolution, `1` its norm, `2` the activation: (N, in, H, W) to (N, out, H', W').

    H' is H / stride, rounded up. The convolution has a bias only where no norm follows. The
    places are those of torchvision's `Conv2dNormActivation`, and so are the names in a state
    dict. `act=None` leaves the activation out.

    >>> [type(each).__name__ for each in ConvNormAct(3, 8, kernel_size=3, norm="batch")]
    ['Conv2d', 'BatchNorm2d', 'ReLU']
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        norm: NormName | None = "batch",
        act: ActivationName | None = "relu",
        padding: PaddingName = "torch",
    ) -> None:
        kind = Conv2dSame if padding == "same" and stride > 1 else nn.Conv2d
        layers: list[nn.Module] = [
            kind(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=(kernel_size - 1) // 2,
                groups=groups,
                bias=not normalises(norm),
            ),
            normalisation(norm, out_channels),
        ]
        if act is not None:
            layers.append(activation(act))
        super().__init__(*layers)


class Conv2dSame(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: what does not come out even goes to the end.

    For each side of length n the output has ceil(n / stride) positions, and the image is padded
    by (ceil(n / stride) - 1) * stride + kernel_size - n zeros, the smaller half before. With a
    3x3 kernel and stride 2 an even side gets 0 before and 1 after where `padding=1` gives 1 and
    1: the kernel stands one pixel further on, and weights made for one answer wrongly under the
    other. `padding` is set aside.
    """

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis in (1, 0):  # F.pad begins with the last dimension
            length, stride = x.shape[2 + axis], self.stride[axis]
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            total = max(0, (-(-length // stride) - 1) * stride + reach - length)
            pads += [total // 2, total - total // 2]
        return F.conv2d(
            F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )
