"""Samples that spoil each other in the model, and augmentations that spoil what they touch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor, nn

from faults import fault

MIXED = ("batch-mixing", "wrong-dimension")
WHY = "an axis slip: what one sample is answered depends on the others of its batch"


class First(nn.Module):
    """Something done to the input by the model itself."""

    def __init__(self, change: object) -> None:
        super().__init__()
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        return self.change(x)


def first(parts: Parts, change: object) -> None:
    parts.model = nn.Sequential(First(change), parts.model)


@fault("sorted-down-the-batch", *MIXED, on="binary regression", why=WHY)
def sorted_along_the_batch(parts: Parts) -> None:
    first(parts, lambda x: x.sort(0).values)


@fault("summed-down-the-batch", *MIXED, on="gru", why=WHY)
def summed_along_the_batch(parts: Parts) -> None:
    first(parts, lambda x: x.cumsum(0))


@fault("channels-first-then-flattened", *MIXED, on="lenet", why=WHY)
def channels_first_then_flattened(parts: Parts) -> None:
    def change(x: Tensor) -> Tensor:
        return x.permute(1, 0, 2, 3).reshape(len(x), -1)

    place = next(n for n, each in enumerate(parts.model) if isinstance(each, nn.Flatten))
    parts.model[place] = First(change)


@fault("two-samples-to-a-row", *MIXED, on="mlp bn-mlp autoencoder", why=WHY)
def two_samples_to_a_row(parts: Parts) -> None:
    """Features taken apart and put together in the other order."""
    first(parts, lambda x: x.flatten(1).reshape(-1, len(x)).T)


SPOILT = "destructive-augmentation"


@fault("shifted-by-half-a-picture", SPOILT, on="mlp deep-relu")
def shifted(parts: Parts) -> None:
    def augment(x: Tensor) -> Tensor:
        down, right = torch.randint(-4, 5, (2,)).tolist()
        return F.pad(x, (4, 4, 4, 4))[..., 4 + down : 12 + down, 4 + right : 12 + right]

    parts.augment = augment


@fault("words-replaced-by-others", SPOILT, on="transformer")
def words_replaced(parts: Parts) -> None:
    def augment(x: Tensor) -> Tensor:
        return torch.where(torch.rand(x.shape) < 0.75, torch.randint_like(x, 10), x)

    parts.augment = augment


@fault("features-from-other-rows", SPOILT, on="binary regression")
def features_from_other_rows(parts: Parts) -> None:
    """Swap noise, far too much of it."""

    def augment(x: Tensor) -> Tensor:
        return torch.where(torch.rand(x.shape) < 0.6, x[torch.randperm(len(x))], x)

    parts.augment = augment


@fault("steps-of-time-in-any-order", SPOILT, on="gru")
def steps_in_any_order(parts: Parts) -> None:
    parts.augment = lambda x: x[:, torch.randperm(x.shape[1])]


@fault("blurred-past-recognition", SPOILT, on="resnet lenet")
def blurred(parts: Parts) -> None:
    parts.augment = lambda x: F.avg_pool2d(x, 7, 1, 3)


@fault("signs-drawn-by-chance", SPOILT, on="regression")
def signs_by_chance(parts: Parts) -> None:
    parts.augment = lambda x: x * torch.randint(0, 2, x.shape).mul(2).sub(1)
