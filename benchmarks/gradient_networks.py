"""Correct networks that are hard to check: kinks, ties, randomness, statistics, loops over time.

`SOUND` holds a name, and what makes the network or function with its inputs; nothing in them is
wrong, so whatever is said of them is a false alarm. `TIMED` holds those whose check is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Made = tuple[Any, tuple[Any, ...]]
SOUND: dict[str, Callable[[], Made]] = {}
TIMED: dict[str, Callable[[], Made]] = {}


def sound(name: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    def add(make: Callable[[], Made]) -> Callable[[], Made]:
        SOUND[name] = make
        return make

    return add


def simple(name: str, module: Callable[[], Any], *inputs: Callable[[], Any]) -> None:
    SOUND[name] = lambda: (module(), tuple(each() for each in inputs))


def normal(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(shape)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                         nn.Linear(64, 10))  # fmt: skip


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


class Block(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = (
            nn.Identity() if stride == 1 and before == width
            else nn.Conv2d(before, width, 1, stride, bias=False)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


def resnet(depth: int, width: int = 16) -> nn.Module:
    """A residual network for small images, He et al. 2016, section 4.2, of 6 n + 2 layers."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False),
                               nn.BatchNorm2d(width), nn.ReLU()]  # fmt: skip
    before = width
    for stage in range(3):
        for number in range((depth - 2) // 6):
            wide = width * 2**stage
            layers.append(Block(before, wide, 2 if stage and not number else 1))
            before = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


TIMED["MLP 64-64-64-10"] = lambda: (mlp(), (torch.randn(4, 64),))
TIMED["LeNet-5"] = lambda: (lenet(), (torch.randn(2, 1, 28, 28),))
TIMED["ResNet-8, 4 wide"] = lambda: (resnet(8, 4), (torch.randn(2, 3, 16, 16),))
TIMED["ResNet-20"] = lambda: (resnet(20), (torch.randn(2, 3, 32, 32),))

simple("MLP with ReLU", mlp, normal(4, 64))
simple("LeNet-5", lenet, normal(2, 1, 28, 28))
simple("LeNet-5 on black images", lenet, lambda: torch.zeros(2, 1, 28, 28))
simple("ResNet-8 in training mode", lambda: resnet(8), normal(4, 3, 16, 16))
simple("ResNet-20 in training mode", lambda: resnet(20), normal(2, 3, 16, 16))
simple("ResNet-8 in evaluation mode", lambda: resnet(8).eval(), normal(2, 3, 16, 16))
simple("ReLU at zero", lambda: F.relu, lambda: torch.tensor([-1.0, 0.0, 2.0]))
simple("two ReLUs that hide the kink", lambda: lambda x: F.relu(x) - F.relu(-x),
       lambda: torch.zeros(3))  # fmt: skip
simple("the absolute value at zero", lambda: torch.abs, lambda: torch.tensor([0.0, 1.0, -2.0]))
simple("clamp at its ends", lambda: lambda x: x.clamp(-1, 1),
       lambda: torch.tensor([-1.0, 0.3, 1.0]))  # fmt: skip
simple("hard swish at its ends", nn.Hardswish, lambda: torch.tensor([[-3.0, 3.0, 0.0, 1.0]]))
simple("hard sigmoid, ReLU6 at 6", lambda: nn.Sequential(nn.ReLU6(), nn.Hardsigmoid()),
       lambda: torch.tensor([[6.0, 0.0, 1.0]]))  # fmt: skip
simple("max pooling of equal values", lambda: nn.MaxPool2d(2), lambda: torch.ones(1, 2, 4, 4))
simple("max pooling after ReLU", lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(),
       nn.MaxPool2d(3, 2)), normal(2, 1, 12, 12))  # fmt: skip
simple("max of equal values", lambda: lambda x: x.max(dim=1).values, lambda: torch.ones(3, 4))
simple("sorting", lambda: lambda x: x.sort(dim=1).values, normal(3, 6))
simple("median and quantile", lambda: lambda x: (x.median(), x.quantile(0.3)), normal(3, 7))
simple("hinge loss at its corner", lambda: F.margin_ranking_loss, lambda: torch.zeros(4),
       lambda: torch.zeros(4), lambda: torch.ones(4))  # fmt: skip
simple("smooth L1 loss", lambda: F.smooth_l1_loss, normal(4, 5), normal(4, 5))
simple("dropout", lambda: nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.5), nn.Linear(32, 3)),
       normal(4, 8))  # fmt: skip
simple("channel and alpha dropout", lambda: nn.Sequential(nn.Conv2d(2, 8, 3), nn.Dropout2d(0.3),
       nn.SELU(), nn.AlphaDropout(0.2)), normal(2, 2, 8, 8))  # fmt: skip
simple("RReLU, random slopes", lambda: nn.Sequential(nn.Linear(6, 6), nn.RReLU()), normal(4, 6))
simple("batch norm, three axes", lambda: nn.BatchNorm3d(3), normal(2, 3, 4, 4, 4))
simple("group, layer and instance norm", lambda: nn.Sequential(nn.Conv2d(2, 8, 3),
       nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True), nn.LayerNorm(6)),
       normal(2, 2, 8, 8))  # fmt: skip
simple("bias before batch norm", lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4),
       nn.ReLU()), normal(4, 2, 6, 6))  # fmt: skip
simple("RNN", lambda: nn.RNN(4, 8, 2, dropout=0.3), normal(6, 2, 4))
simple("RNN with ReLU", lambda: nn.RNN(4, 8, nonlinearity="relu"), normal(6, 2, 4))
simple("LSTM, both ways", lambda: nn.LSTM(4, 8, 2, bidirectional=True), normal(6, 2, 4))
simple("GRU", lambda: nn.GRU(4, 8), normal(6, 2, 4))
simple("attention", lambda: nn.MultiheadAttention(8, 2, dropout=0.1), normal(5, 2, 8),
       normal(5, 2, 8), normal(5, 2, 8))  # fmt: skip
simple("transformer layer", lambda: nn.TransformerEncoderLayer(8, 2, 16), normal(5, 2, 8))
simple("transformer layer, evaluation", lambda: nn.TransformerEncoderLayer(8, 2, 16).eval(),
       normal(5, 2, 8))  # fmt: skip
simple("embedding with padding", lambda: nn.Embedding(10, 4, padding_idx=0),
       lambda: torch.tensor([[0, 1, 2], [0, 0, 3]]))  # fmt: skip
simple("sparse embedding", lambda: nn.Embedding(10, 4, sparse=True), lambda: torch.arange(6))
for mode in ("sum", "mean", "max"):
    simple(f"EmbeddingBag, {mode}", lambda mode=mode: nn.EmbeddingBag(10, 4, mode=mode),
           lambda: torch.tensor([[1, 2, 2], [4, 5, 9]]))  # fmt: skip
for mode in ("nearest", "bilinear", "bicubic", "area"):
    simple(f"interpolate, {mode}", lambda mode=mode: lambda x: F.interpolate(x, (7, 5), mode=mode),
           normal(1, 2, 4, 4))  # fmt: skip
for mode in ("bilinear", "bicubic"):
    simple(f"grid_sample, {mode}", lambda mode=mode: lambda x, grid: F.grid_sample(
           x, grid, mode=mode, align_corners=False), normal(1, 2, 6, 6),
           lambda: torch.rand(1, 5, 5, 2) * 1.6 - 0.8)  # fmt: skip
simple("transposed, dilated, grouped convolution", lambda: nn.Sequential(
       nn.ConvTranspose2d(2, 8, 3, 2), nn.Conv2d(8, 8, 3, dilation=2, groups=4), nn.GELU()),
       normal(1, 2, 5, 5))  # fmt: skip
simple("max unpooling", lambda: lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True),
       2), normal(1, 2, 6, 6))  # fmt: skip
simple("fractional max pooling", lambda: nn.FractionalMaxPool2d(2, output_ratio=0.6),
       normal(1, 2, 8, 8))  # fmt: skip
simple("adaptive pooling", lambda: nn.Sequential(nn.AdaptiveMaxPool2d(3), nn.AdaptiveAvgPool2d(2)),
       normal(1, 2, 7, 7))  # fmt: skip
simple("activations", lambda: nn.Sequential(nn.Linear(6, 6), nn.PReLU(), nn.ELU(), nn.SiLU(),
       nn.Mish(), nn.Softplus(), nn.LeakyReLU(), nn.Hardtanh()), normal(4, 6))  # fmt: skip
simple("shrinking activations", lambda: nn.Sequential(nn.Softshrink(), nn.Linear(6, 6),
       nn.Tanhshrink()), normal(4, 6))  # fmt: skip
simple("local response norm", lambda: nn.LocalResponseNorm(3), normal(2, 4, 5, 5))
simple("weight norm", lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), normal(2, 4))
simple("spectral norm in evaluation", lambda: nn.utils.parametrizations.spectral_norm(
       nn.Linear(4, 3)).eval(), normal(2, 4))  # fmt: skip
simple("cross entropy, label smoothing", lambda: lambda x, y: F.cross_entropy(
       x, y, label_smoothing=0.1), normal(4, 5), lambda: torch.tensor([0, 2, 1, 4]))  # fmt: skip
simple("CTC loss", lambda: lambda x: F.ctc_loss(x.log_softmax(2), torch.tensor([[1, 2, 1]]),
       torch.tensor([8]), torch.tensor([3])), normal(8, 1, 4))  # fmt: skip
simple("focal loss", lambda: lambda x: (-(1 - x.sigmoid()) ** 2 * F.logsigmoid(x)).mean(),
       normal(4, 5))  # fmt: skip
simple("singular values", lambda: torch.linalg.svdvals, normal(4, 3))
simple("determinant and inverse", lambda: lambda x: (torch.linalg.inv(x), torch.logdet(x @ x.T)),
       normal(4, 4))  # fmt: skip
simple("Fourier transform", lambda: torch.fft.rfft2, normal(2, 6, 6))
simple("norm of a vector", lambda: lambda x: x.norm(dim=1), normal(4, 3))
simple("pixel shuffle and padding", lambda: nn.Sequential(nn.PixelShuffle(2), nn.ReflectionPad2d(1),
       nn.ReplicationPad2d(1)), normal(1, 4, 4, 4))  # fmt: skip
simple("tied weights", lambda: Tied(), normal(3, 6))
simple("a head that is detached", lambda: Detached(), normal(3, 6))
simple("an in-place activation first", lambda: nn.Sequential(nn.ReLU(inplace=True),
       nn.Linear(4, 2)), normal(3, 4))  # fmt: skip
simple("very deep sigmoids", lambda: nn.Sequential(*(each for _ in range(10)
       for each in (nn.Linear(16, 16), nn.Sigmoid()))), normal(4, 16))  # fmt: skip


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 6), nn.Linear(6, 6)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(torch.tanh(self.encoder(x)))


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.body(x)
        return {"logits": self.head(features), "seen": features.detach()}
