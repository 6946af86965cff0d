"""Ordinary networks on small pictures, at ordinary rates, for a few epochs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy_of_two
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, MultiStepLR

import data
from healthy import kind
from healthy._everyday import taught
from healthy._plain import fit, reached
from networks import small_lenet, small_resnet, stack


def conv(wide: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(wide, out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out), nn.ReLU(),
    )  # fmt: skip


@kind("one-hidden-layer-by-small-steps-as-usual", at_least=0.93)
def one_hidden_layer(seed: int, watched: Watched) -> float:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    return taught(model, SGD(model.parameters(), lr=0.1), data.digits(seed), watched, epochs=20)


@kind("figures-in-colour-by-residual-blocks", at_least=0.8)
def figures_in_colour(seed: int, watched: Watched) -> float:
    model = small_resnet(16, channels=3, classes=4)
    optimizer = AdamW(model.parameters(), lr=5e-3)
    return taught(
        model, optimizer, data.shapes(seed), watched, epochs=15,
        schedule=CosineAnnealingLR(optimizer, 15),
    )  # fmt: skip


@kind("digits-by-blocks-and-half-a-dropout", at_least=0.93)
def digits_by_blocks(seed: int, watched: Watched) -> float:
    """As VGG: convolutions with batch norm, a wide head under dropout, the rate falls twice."""
    model = nn.Sequential(
        conv(1, 16), conv(16, 16), nn.MaxPool2d(2), conv(16, 32), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    return taught(
        model, optimizer, data.digits(seed), watched, epochs=8, batch=32,
        schedule=MultiStepLR(optimizer, [4, 7], 0.1),
    )  # fmt: skip


@kind("residual-blocks-in-batches-of-128", at_least=0.93)
def residual_in_large_batches(seed: int, watched: Watched) -> float:
    model = small_resnet(16)
    optimizer = AdamW(model.parameters(), lr=5e-3, weight_decay=0.05)
    return taught(
        model, optimizer, data.digits(seed), watched, epochs=10, batch=128,
        schedule=CosineAnnealingLR(optimizer, 10),
    )  # fmt: skip


@kind("three-epochs-in-batches-of-16", at_least=0.9)
def three_epochs(seed: int, watched: Watched) -> float:
    model = small_lenet()
    return taught(
        model, Adam(model.parameters(), lr=2e-3), data.digits(seed), watched, epochs=4, batch=16
    )  # fmt: skip


@kind("batches-of-half-a-thousand-as-usual", at_least=0.9)
def large_batches(seed: int, watched: Watched) -> float:
    model = stack([64, 128, 64, 10])
    return taught(
        model, Adam(model.parameters(), lr=5e-3), data.digits(seed), watched,
        epochs=20, batch=512,
    )  # fmt: skip


@kind("leaky-and-averaged-over-the-picture-as-usual", at_least=0.85)
def averaged(seed: int, watched: Watched) -> float:
    """No linear layer but the last; RMSprop."""
    model = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(24, 32, 3, padding=1, stride=2), nn.LeakyReLU(0.1),
        nn.Conv2d(32, 48, 3, padding=1), nn.LeakyReLU(0.1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip
    return taught(
        model, RMSprop(model.parameters(), lr=1e-3), data.digits(seed), watched, epochs=25
    )  # fmt: skip


@kind("stopped-by-its-patience-of-every-day", at_least=0.93)
def patience(seed: int, watched: Watched) -> float:
    """Until the validation has not got better for three epochs; back to the best."""
    model = stack([64, 256, 128, 10])
    return taught(
        model, Adam(model.parameters(), lr=2e-3), data.digits(seed), watched,
        epochs=40, patience=3, keep_best=True,
    )  # fmt: skip


@kind("tanh-and-a-rate-that-fades", at_least=0.92)
def fading(seed: int, watched: Watched) -> float:
    model = stack([64, 80, 40, 10], nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return taught(
        model, optimizer, data.digits(seed), watched, epochs=15,
        schedule=ExponentialLR(optimizer, 0.85),
    )  # fmt: skip


@kind("a-single-layer-of-weights", at_least=0.9)
def single_layer(seed: int, watched: Watched) -> float:
    """Linear, on standardised pixels."""
    sets = data.digits(seed)
    mean, std = sets.train[0].mean(), sets.train[0].std()
    sets = data.Splits(*(((x - mean) / std, y) for x, y in sets))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    return taught(model, SGD(model.parameters(), lr=0.05), sets, watched, epochs=10)


@kind("even-or-odd-as-usual", at_least=0.92)
def even_or_odd(seed: int, watched: Watched) -> float:
    sets = data.Splits(*((x, (y % 2).float()[:, None]) for x, y in data.digits(seed)))
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, 1),
    )  # fmt: skip
    return taught(
        model, Adam(model.parameters(), lr=2e-3), sets, watched, epochs=12,
        loss=nn.BCEWithLogitsLoss(), score=accuracy_of_two,
    )  # fmt: skip


@kind("grown-pictures-with-noise-by-the-book", at_least=0.9)
def grown(seed: int, watched: Watched) -> float:
    """Twice as large, a mean of one half and a standard deviation of one half taken off."""

    def made(x: Tensor, draws: torch.Generator) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        return ((x + 0.1 * torch.randn(x.shape, generator=draws)) - 0.5) / 0.5

    draws = torch.Generator().manual_seed(seed)
    sets = data.Splits(*((made(x, draws), y) for x, y in data.digits(seed)))
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    return taught(
        model, SGD(model.parameters(), lr=0.01, momentum=0.9), sets, watched, epochs=10
    )  # fmt: skip


@kind("moved-by-a-pixel-while-trained-as-usual", at_least=0.9)
def moved(seed: int, watched: Watched) -> float:
    def shift(x: Tensor) -> Tensor:
        down, right = (int(each) for each in torch.randint(0, 3, (2,)))
        return F.pad(x, (1, 1, 1, 1))[:, :, down : down + 8, right : right + 8]

    sets, model = data.digits(seed), small_lenet()
    fit(model, Adam(model.parameters(), lr=2e-3), sets, watched, epochs=30, augment=shift)
    return reached(model, sets)


@kind("patches-and-attention-on-digits", at_least=0.85)
def patches(seed: int, watched: Watched) -> float:
    """A small vision transformer: sixteen patches, a token for the class."""

    class Vit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 32, 2, stride=2)
            self.token = nn.Parameter(torch.zeros(1, 1, 32))
            self.place = nn.Parameter(0.02 * torch.randn(1, 17, 32))
            layer = nn.TransformerEncoderLayer(
                32, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
            return self.head(self.encoder(x)[:, 0])

    model = Vit()
    optimizer = AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    return taught(
        model, optimizer, data.digits(seed), watched, epochs=25, batch=64,
        schedule=CosineAnnealingLR(optimizer, 25),
    )  # fmt: skip


@kind("all-that-went-before-concatenated-as-usual", at_least=0.92)
def dense(seed: int, watched: Watched) -> float:
    """As DenseNet: each convolution reads all outputs before it."""

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList(conv(1 + 8 * each, 8) for each in range(4))
            self.head = nn.Linear(33 * 4, 10)

        def forward(self, x: Tensor) -> Tensor:
            for each in self.steps:
                x = torch.cat([x, each(x)], 1)
            return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))

    model = Dense()
    return taught(
        model, SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True),
        data.digits(seed), watched, epochs=8, batch=50,
    )  # fmt: skip
