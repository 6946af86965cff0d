"""GoogLeNet: nine blocks in which kernels of several sizes look at the same maps side by side.

Szegedy et al. 2015, "Going deeper with convolutions", table 1. 1x1 convolutions make the maps few
before the larger kernels see them; the mean over each map replaces wide linear layers. The form is
torchvision's: batch normalisation, which the paper did not have, and in the third branch kernels
of 3x3 where the paper has 5x5 (a slip of a port that became the standard, for the public weights
need it). `kernel=5 norm=none` gives back the paper's layers.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.models import MODELS
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise
from netwright.nn.normalisation import NormName, normalisation, normalises
from netwright.nn.stem import STEM_HELP, StemName, is_small
from netwright.nn.width import scaled

# Channels of a block: 1x1; 1x1 and 3x3; 1x1 and the large kernel; 1x1 behind the pool.
_BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


@config
class GoogLeNetOptions:
    """The pieces of a block, and the two heads half-way."""

    act: ActivationName = setting("relu", help="activation after each convolution")
    norm: NormName | None = setting("batch", help="normalisation after convolutions")
    dropout: float = setting(
        0.2, ge=0, lt=1, help="share of the features left out before the head", search=(0.0, 0.6)
    )
    aux: bool = setting(False, help="two more heads, half-way, for the training loss")
    kernel: Literal[3, 5] = setting(3, help="side of the third branch's kernels: 5 in the paper")
    stem: StemName = setting("auto", help=STEM_HELP)
    width: float = setting(1.0, gt=0, le=4, help="factor on the width of every layer")


@MODELS.register(
    "googlenet",
    options=GoogLeNetOptions,
    input=(3, 224, 224),
    classes=1000,
    params=6_624_904,
    params_with_aux=13_004_888,
    macs=1_498_376_192,
    smallest=8,
    standard_smallest=32,
    torchvision="googlenet",
    paper="Szegedy et al. 2015, Going deeper with convolutions",
    paper_params=6_998_552,
    paper_macs=1_582_671_872,
    differs="the paper's layers, counted, have 5x5 kernels in the third branch, where "
    "torchvision's port has 3x3, and biases instead of batch normalisation",
)
def googlenet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    input_size: tuple[int, int] = (224, 224),
    act: ActivationName = "relu",
    norm: NormName | None = "batch",
    dropout: float = 0.2,
    aux: bool = False,
    kernel: Literal[3, 5] = 3,
    stem: StemName = "auto",
    width: float = 1.0,
) -> nn.Module:
    """GoogLeNet: nine Inception blocks, 22 layers deep, with few parameters.

    Images (N, C, H, W) to logits (N, num_classes) and nothing else. For 3 x 224 x 224:

        layer                               output
        conv 7x7, stride 2; max-pool 3x3    64 x 56 x 56
        conv 1x1; conv 3x3; max-pool 3x3    192 x 28 x 28
        Inception 3a, 3b; max-pool 3x3      480 x 14 x 14
        Inception 4a to 4e; max-pool 2x2    832 x 7 x 7
        Inception 5a, 5b                    1024 x 7 x 7
        mean over each map, dropout         1024
        linear                              num_classes

    A block puts four branches over the same maps side by side: 1x1; 1x1 then 3x3; 1x1 then the
    large kernel (`kernel`, 3 as in torchvision or 5 as published); a 3x3 max-pool then 1x1. The 1x1
    convolutions make maps few before the costly kernels see them.

    With `aux` it has two more heads, and in training mode `aux_logits` holds what they gave for the
    last batch, two tensors (N, num_classes): their losses are added with the weight `aux_weight`,
    0.3. In evaluation mode they rest and `aux_logits` is empty. The public weights hold both heads,
    so they load where `aux` is true, and expect images scaled to -1 ... 1.

    What was new: width as well as depth, by parallel kernels of several sizes; 1x1 convolutions as
    a saving, after Lin, Chen & Yan 2014; the mean over each map in place of wide linear layers. It
    has 6.6 million parameters to AlexNet's 61.

    When to use it: things of very different sizes in one image; little memory for weights. The
    heads half-way were made for a deep network without batch normalisation: set `model.aux=true
    model.norm=none model.kernel=5` to see what they were for.

    What goes wrong: many small convolutions keep a processor waiting, so that it is slower than its
    multiply-adds say. Below 64 pixels the small stem is needed (`model.stem=auto` takes it): with
    the standard one an image of 32x32 has a single place left in 5a. With batch normalisation
    batches of a few images are noisy: below about 8 take `model.norm=group`. Whoever computes a
    loss from the logits alone leaves the two heads of `aux` without a gradient.

    >>> from torch import zeros
    >>> small = googlenet(num_classes=10, input_size=(32, 32), width=0.25, aux=True)
    >>> small(zeros(2, 3, 32, 32)).shape, [each.shape for each in small.aux_logits]
    (torch.Size([2, 10]), [torch.Size([2, 10]), torch.Size([2, 10])])
    """
    options = GoogLeNetOptions(
        act=act, norm=norm, dropout=dropout, aux=aux, kernel=kernel, stem=stem, width=width
    )
    model = GoogLeNet(num_classes, in_channels, input_size, options)
    initialise(model, act, head=model.fc)
    return model


class GoogLeNet(nn.Module):
    """Stem, blocks 3a to 5b with pools between, the mean over each map, a head."""

    aux_weight = 0.3
    aux_logits: tuple[Tensor, ...]
    inception3a: Inception
    inception3b: Inception
    inception4a: Inception
    inception4b: Inception
    inception4c: Inception
    inception4d: Inception
    inception4e: Inception
    inception5a: Inception
    inception5b: Inception

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: tuple[int, int],
        options: GoogLeNetOptions,
    ) -> None:
        super().__init__()
        small = is_small(options.stem, input_size)
        first, second = scaled(64, options.width), scaled(192, options.width)
        if small:
            self.conv1 = BasicConv2d(in_channels, first, 3, options)
        else:
            self.conv1 = BasicConv2d(in_channels, first, 7, options, stride=2)
        self.maxpool1 = nn.Identity() if small else nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(first, first, 1, options)
        self.conv3 = BasicConv2d(first, second, 3, options)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        channels, seen = second, {}
        for name, widths in _BLOCKS.items():
            block = Inception(channels, widths, options)
            self.add_module(f"inception{name}", block)
            channels = seen[name] = block.out_channels
        self.aux1 = Auxiliary(seen["4a"], num_classes, options) if options.aux else None
        self.aux2 = Auxiliary(seen["4d"], num_classes, options) if options.aux else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(options.dropout)
        self.fc = nn.Linear(channels, num_classes)
        self.aux_logits = ()

    def forward(self, x: Tensor) -> Tensor:  # sizes for 224x224
        x = self.maxpool1(self.conv1(x))  # (N, 64, 56, 56)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N, 192, 28, 28)
        x = self.maxpool3(self.inception3b(self.inception3a(x)))  # (N, 480, 14, 14)
        fourth = self.inception4a(x)  # (N, 512, 14, 14)
        seventh = self.inception4d(self.inception4c(self.inception4b(fourth)))  # (N, 528, 14, 14)
        x = self.maxpool4(self.inception4e(seventh))  # (N, 832, 7, 7)
        x = self.inception5b(self.inception5a(x))  # (N, 1024, 7, 7)
        self.aux_logits = ()
        if self.training and self.aux1 is not None and self.aux2 is not None:
            self.aux_logits = (self.aux1(fourth), self.aux2(seventh))
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))

    def __getstate__(self) -> dict[str, Any]:
        # The graph behind the last batch can neither be copied nor written.
        return {**self.__dict__, "aux_logits": ()}


class Inception(nn.Module):
    """Four branches over the same maps, put together: (N, C, H, W) to (N, out_channels, H, W)."""

    def __init__(
        self, in_channels: int, widths: tuple[int, ...], options: GoogLeNetOptions
    ) -> None:
        super().__init__()
        one, few3, three, few5, five, pooled = (scaled(each, options.width) for each in widths)
        self.out_channels = one + three + five + pooled
        self.branch1 = BasicConv2d(in_channels, one, 1, options)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, few3, 1, options), BasicConv2d(few3, three, 3, options)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, few5, 1, options),
            BasicConv2d(few5, five, options.kernel, options),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            BasicConv2d(in_channels, pooled, 1, options),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """A small classifier over 4x4 places of the maps half-way: a short road for the gradient."""

    def __init__(self, in_channels: int, num_classes: int, options: GoogLeNetOptions) -> None:
        super().__init__()
        channels, hidden = scaled(128, options.width), scaled(1024, options.width)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.conv = BasicConv2d(in_channels, channels, 1, options)
        self.fc1 = nn.Linear(channels * 4 * 4, hidden)
        self.act = activation(options.act)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.pool(x)).flatten(1)
        return self.fc2(self.dropout(self.act(self.fc1(x))))


class BasicConv2d(nn.Module):
    """Convolution, norm, activation, with the names of torchvision's GoogLeNet."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        options: GoogLeNetOptions,
        *,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=not normalises(options.norm),
        )
        self.bn = normalisation(options.norm, out_channels, eps=0.001)
        self.act = activation(options.act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))
