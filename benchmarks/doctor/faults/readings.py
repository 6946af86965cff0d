"""What is read is not what is meant: units, lost columns, gaps, another treatment in validation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor

from faults import fault
from faults._surgery import draws, on_inputs, rows

UNSCALED = ("unscaled-input",)


@fault("images-of-sixteen-bits", *UNSCALED, on="lenet deep-relu segmentation")
def sixteen_bits(parts: Parts) -> None:
    on_inputs(parts, lambda x: (x * 65535).round())


@fault("fifty-volts-on-top", *UNSCALED, on="gru regression")
def offset(parts: Parts) -> None:
    on_inputs(parts, lambda x: x + 50)


@fault("readings-in-teravolts", *UNSCALED, on="gru mlp")
def gigavolts(parts: Parts) -> None:
    on_inputs(parts, lambda x: x * 1e-4)


@fault("an-index-among-the-features", *UNSCALED, on="regression binary")
def row_numbers(parts: Parts) -> None:
    """The file's index has become its first column."""
    begin = 0
    for name in ("train", "val", "test"):
        x, y = getattr(parts, name)
        numbers = begin + torch.arange(len(x)).float()
        setattr(parts, name, (torch.cat([numbers[:, None], x[:, 1:]], 1), y))
        begin += len(x)


@fault(
    "three-columns-lost-in-a-join",
    "dead-feature",
    "constant-input",
    on="binary regression",
    why="columns of one value each",
)
def lost_in_a_join(parts: Parts) -> None:
    """The keys did not match, and what was missing was filled with zero."""

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, :3] = 0
        return x

    on_inputs(parts, change)


@fault(
    "a-lens-half-covered",
    "dead-feature",
    "constant-input",
    on="resnet mlp",
    why="five columns of pixels of one value each",
)
def half_covered(parts: Parts) -> None:
    on_inputs(parts, lambda x: torch.cat([x[..., :3], torch.full_like(x[..., 3:], 0.5)], -1))


@fault(
    "the-second-channel-unplugged",
    "dead-feature",
    "constant-input",
    on="gru",
    why="a channel of one value: which way it turns cannot be told",
)
def unplugged(parts: Parts) -> None:
    on_inputs(parts, lambda x: x * torch.tensor([1.0, 0.0]))


@fault(
    "three-words-and-then-padding",
    "dead-feature",
    "constant-input",
    on="transformer",
    why="nine places of each row hold the padding",
)
def cut_texts(parts: Parts) -> None:
    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, 3:] = 9
        return x

    on_inputs(parts, change)


@fault(
    "readings-that-are-missing",
    "nonfinite-input",
    "nonfinite",
    on="gru regression binary",
    why="both",
)
def gaps(parts: Parts) -> None:
    def change(x: Tensor) -> Tensor:
        lost = torch.rand(x.shape, generator=draws(parts)) < 1e-3
        return x.masked_fill(lost, float("nan"))

    on_inputs(parts, change, "train")


@fault(
    "roots-of-negative-readings",
    "nonfinite-input",
    "nonfinite",
    on="regression autoencoder",
    why="both",
)
def roots_of_readings(parts: Parts) -> None:
    on_inputs(parts, lambda x: (x - 0.1).sqrt())


@fault(
    "kept-in-half-precision", "nonfinite-input", "nonfinite", on="segmentation lenet", why="both"
)
def stored_in_half(parts: Parts) -> None:
    """Sixteen-bit images in a format that ends at 65504: the brightest pixels are infinite."""
    on_inputs(parts, lambda x: (x * 65535 * 1.05).half().float() / 65535)


@fault(
    "gamma-after-darkening",
    "nonfinite-input",
    "nonfinite",
    "destructive-augmentation",
    on="resnet lenet",
    why="an augmentation that makes inputs of no number",
)
def darkened(parts: Parts) -> None:
    parts.augment = lambda x: (x - 0.02 * torch.rand(len(x), 1, 1, 1)) ** 0.7


OTHERWISE = ("inconsistent-preprocessing", "distribution-shift")
WHY = "validation is not what was trained on: treated otherwise, or drawn otherwise"


@fault("waves-run-backwards-later", *OTHERWISE, on="gru", why=WHY)
def backwards_later(parts: Parts) -> None:
    on_inputs(parts, lambda x: x.flip(1), "val test")


@fault("zoomed-while-training-only", *OTHERWISE, on="lenet resnet", why=WHY)
def zoomed(parts: Parts) -> None:
    on_inputs(
        parts,
        lambda x: F.interpolate(x[..., 2:6, 2:6], size=(8, 8), mode="bilinear"),
        "train",
    )


@fault("logarithms-while-training", *OTHERWISE, on="regression binary", why=WHY)
def logarithms(parts: Parts) -> None:
    on_inputs(parts, lambda x: 0.3 * x.sign() * (5 * x.abs()).log1p(), "train")


@fault("standardised-twice-later", *OTHERWISE, on="mlp segmentation bn-mlp", why=WHY)
def standardised_twice(parts: Parts) -> None:
    mean, spread = parts.train[0].mean(), parts.train[0].std()
    on_inputs(parts, lambda x: (x - mean) / spread)
    on_inputs(parts, lambda x: (x - mean) / spread, "val test")


@fault("a-column-in-feet-later", *OTHERWISE, on="regression binary", why=WHY)
def in_feet(parts: Parts) -> None:
    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, :2] *= 3.28
        return x

    on_inputs(parts, change, "val test")


@fault("drift-of-a-later-year", *OTHERWISE, on="binary regression", why=WHY)
def later_year(parts: Parts) -> None:
    on_inputs(parts, lambda x: x + 1.2, "val test")


@fault("pictures-taken-at-night", *OTHERWISE, on="segmentation resnet", why=WHY)
def at_night(parts: Parts) -> None:
    on_inputs(parts, lambda x: 0.2 * x, "val test")


@fault("a-noisier-sensor-later", *OTHERWISE, on="gru mlp", why=WHY)
def noisier(parts: Parts) -> None:
    by = draws(parts)
    on_inputs(parts, lambda x: x + x.std() * 1.5 * torch.randn(x.shape, generator=by), "val test")


@fault("mostly-ill-in-the-clinic", *OTHERWISE, "class-imbalance", on="binary", why=WHY)
def mostly_ill(parts: Parts) -> None:
    """Collected where the ill are: nineteen in twenty positive, and not so in validation."""
    x, y = parts.train
    positive = (y[:, 0] > 0.5).nonzero()[:, 0]
    negative = (y[:, 0] < 0.5).nonzero()[:, 0]
    parts.train = rows((x, y), torch.cat([positive, negative[: len(positive) // 19]]))
