"""Colours, tones and filters against Pillow and against slow second versions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.augment import _tables as tables
from netwright.augment._colours import Colours
from netwright.augment._filters import sharpened, smoothed
from netwright.augment.keys import Keys

LUMA = np.array([0.299, 0.587, 0.114])


def _images(count: int = 8, channels: int = 3, height: int = 12, width: int = 11) -> Tensor:
    """Random bytes of different ranges, so that there is something to stretch."""
    generator = torch.Generator().manual_seed(0)
    low = torch.randint(0, 100, (count, channels, 1, 1), generator=generator)
    high = torch.randint(120, 256, (count, channels, 1, 1), generator=generator)
    share = torch.rand(count, channels, height, width, generator=generator) ** 2
    return (low + share * (high - low)).to(torch.uint8)


def _keys(count: int = 8) -> Keys:
    return Keys(3, 1, np.arange(count, dtype=np.int64) * 7)


def _picture(image: Tensor) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels)


def _pillow(images: Tensor, change: Callable[[Image.Image, int], Image.Image]) -> Tensor:
    made = [np.asarray(change(_picture(image), n)) for n, image in enumerate(images)]
    return (
        torch.from_numpy(np.stack(made)).reshape(len(images), *images.shape[2:], -1).movedim(-1, 1)
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_autocontrast_equalize_posterize_and_solarize_are_those_of_pillow(channels: int) -> None:
    images = torch.cat([_images(channels=channels), torch.full((1, channels, 12, 11), 9).byte()])
    images[0, :, :6] = 255  # one value in most pixels
    bits = np.array([8, 7, 6, 5, 4, 3, 2, 1, 4])
    edge = np.array([0.0, 256.0, 128.0, 64.0, 200.5, 1.0, 255.0, 30.0, 9.0])
    assert torch.equal(
        tables.stretched(images), _pillow(images, lambda each, n: ImageOps.autocontrast(each))
    )
    assert torch.equal(
        tables.equalised(images), _pillow(images, lambda each, n: ImageOps.equalize(each))
    )
    assert torch.equal(
        tables.posterised(images, bits),
        _pillow(images, lambda each, n: ImageOps.posterize(each, int(bits[n]))),
    )
    assert torch.equal(
        tables.solarised(images, edge),
        _pillow(images, lambda each, n: ImageOps.solarize(each, math.ceil(edge[n]))),
    )


@pytest.mark.parametrize(
    ("name", "enhance", "channels"),
    [
        ("brighten", ImageEnhance.Brightness, 3),
        ("contrast", ImageEnhance.Contrast, 3),
        ("contrast", ImageEnhance.Contrast, 1),
        ("saturate", ImageEnhance.Color, 3),
    ],
)
def test_colours_are_those_of_pillow_within_one_level(
    name: str, enhance: Any, channels: int
) -> None:
    images = _images(channels=channels)
    factor = np.array([0.0, 0.3, 0.7, 1.0, 1.2, 1.5, 1.9, 3.0])
    colours = Colours(images)
    getattr(colours, name)(factor)
    expected = _pillow(images, lambda each, n: enhance(each).enhance(float(factor[n])))
    # Pillow rounds the grey it blends with: times |1 - factor|, at most 2 here.
    slack = torch.from_numpy(np.maximum(1.0, np.abs(1 - factor) * 0.5 + 1)).view(-1, 1, 1, 1)
    assert ((colours.apply().double() - expected.double()).abs() <= slack).all()


def test_sharpness_is_that_of_pillow_within_one_level() -> None:
    images, factor = _images(), np.array([0.0, 0.1, 0.5, 1.0, 1.3, 1.5, 1.9, 2.0])
    expected = _pillow(
        images, lambda each, n: ImageEnhance.Sharpness(each).enhance(float(factor[n]))
    )
    assert (sharpened(images, factor).int() - expected.int()).abs().max() <= 1


def _slow_colours(image: npt.NDArray[Any], keys: Keys, n: int, amounts: dict[str, float]) -> Any:
    """One image, one change after the other, as the docstrings say; (C, H, W) floats."""
    signs = {name: 2 * keys.uniform(name)[n] - 1 for name in amounts}
    weights = LUMA if len(image) == 3 else np.full(len(image), 1 / len(image))
    image = image * (1 + amounts["brightness"] * signs["brightness"])
    mean = float((weights[:, None, None] * image).sum(0).mean())
    image = mean + (1 + amounts["contrast"] * signs["contrast"]) * (image - mean)
    if len(image) != 3:
        return image
    grey = (LUMA[:, None, None] * image).sum(0)
    image = grey + (1 + amounts["saturation"] * signs["saturation"]) * (image - grey)
    angle = 2 * math.pi * amounts["hue"] * signs["hue"]
    red, green, blue = image
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    i = 0.5959 * red - 0.2746 * green - 0.3213 * blue
    q = 0.2115 * red - 0.5227 * green + 0.3112 * blue
    i, q = i * math.cos(angle) - q * math.sin(angle), i * math.sin(angle) + q * math.cos(angle)
    return np.stack(
        [y + 0.956 * i + 0.619 * q, y - 0.272 * i - 0.647 * q, y - 1.106 * i + 1.703 * q]
    )


AMOUNTS = {"brightness": 0.4, "contrast": 0.5, "saturation": 0.9, "hue": 0.3}


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_all_colours_in_one_pass_are_one_change_after_the_other(channels: int) -> None:
    images, keys = _images(channels=channels).float() / 255, _keys()
    found = Augmentation(AMOUNTS)(images, keys)
    for n, image in enumerate(images.double().numpy()):
        expected = torch.from_numpy(_slow_colours(image, keys, n, AMOUNTS)).float()
        assert torch.allclose(found[n], expected, atol=2e-3)  # of the inverse with 3 decimals


def test_bytes_are_cut_off_at_black_and_white_only_at_the_end() -> None:
    images = torch.full((1, 1, 2, 2), 200).byte()
    colours = Colours(images)
    colours.brighten(np.array([2.0]))
    colours.brighten(np.array([0.5]))
    assert colours.apply().unique().tolist() == [200]


def test_grey_images_have_neither_saturation_nor_hue() -> None:
    keys = _keys()
    for channels in (1, 2, 5):
        images = _images(channels=channels)
        assert torch.equal(Augmentation({"saturation": 0.9, "hue": 0.5})(images, keys), images)
    grey = _images(channels=1).repeat(1, 3, 1, 1)
    assert torch.equal(Augmentation({"saturation": 0.9, "hue": 0.5})(grey, keys), grey)


@pytest.mark.parametrize(
    "values",
    [AMOUNTS, {"noise": 0.1}, {"erase": 1.0}, {"trivial": True}, {"randaugment": 15}],
    ids=lambda values: next(iter(values)),
)
def test_float_images_are_changed_as_they_were_before_normalisation(values: Any) -> None:
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.25])
    images, keys = _images().float() / 255, _keys()
    normal = (images - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    known = Augmentation(values, mean=mean.tolist(), std=std.tolist())
    found = known(normal, keys) * std.view(-1, 1, 1) + mean.view(-1, 1, 1)
    expected = Augmentation(values)(images, keys, fill=mean)  # 0, normalised, is the mean
    assert ((found - expected).abs() > 1e-4).float().mean() < 0.01  # a level may round otherwise


def test_noise_has_the_asked_spread_in_units_of_black_to_white() -> None:
    images = torch.full((200, 3, 20, 20), 128).byte()
    out = Augmentation({"noise": 0.05})(images, _keys(200)).double() - 128
    assert out.std().item() == pytest.approx(0.05 * 255, rel=0.02)
    assert out.mean().item() == pytest.approx(0.0, abs=0.1)
    share = (out.abs() < 0.05 * 255).double().mean().item()
    assert share == pytest.approx(0.6827, abs=0.02)  # as of a normal distribution
    each = out.flatten(1)
    correlation = torch.corrcoef(each[:50])
    assert (correlation - torch.eye(50)).abs().max() < 0.15  # 1200 numbers: 5 of 1/sqrt(1200)


def test_blur_is_a_gaussian_of_the_asked_width() -> None:
    point = torch.zeros(3, 1, 31, 31)
    point[:, :, 15, 15] = 1.0
    places = torch.arange(31.0) - 15
    for spread, sigma in zip(smoothed(point, np.array([0.5, 1.0, 2.0])), (0.5, 1, 2), strict=True):
        weights = torch.exp(-0.5 * (places / sigma) ** 2) * (places.abs() <= math.ceil(3 * sigma))
        expected = torch.outer(weights, weights) / weights.sum() ** 2
        assert torch.allclose(spread[0], expected, atol=1e-6)
    flat = torch.full((1, 2, 5, 6), 77).byte()
    assert torch.equal(smoothed(flat, np.array([3.0])), flat)


def test_cutout_covers_a_square_of_the_asked_side_anywhere() -> None:
    images = torch.ones(3000, 1, 8, 12)
    out = AUGMENTATIONS.get("cutout").target(images, _keys(3000), 0.5, 5.0)
    covered = (out == 5)[:, 0]
    assert set(out.unique().tolist()) == {1.0, 5.0}
    sizes = covered.sum((1, 2))
    assert int(sizes.max()) == 16
    assert int(sizes.min()) == 4  # at a corner a quarter of it
    for mask in covered[:50]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert int(mask.sum()) == len(rows) * len(columns)
    assert covered.float().mean(0)[4, 6].item() == pytest.approx(16 / 96, abs=0.03)


def test_erasing_paints_one_box_of_the_asked_share_in_one_colour() -> None:
    images = torch.full((600, 3, 40, 40), 7).byte()
    out = AUGMENTATIONS.get("erase").target(images, _keys(600), 0.4, 0.0)
    changed = (out != 7).any(1)
    hit = changed.any(-1).any(-1)
    assert hit.float().mean().item() == pytest.approx(0.4, abs=0.06)
    shares = changed[hit].float().mean((1, 2))
    assert shares.min() > 0.01
    assert shares.max() < 0.42
    for image, mask in zip(out[hit][:40], changed[hit][:40], strict=True):
        assert int(mask.sum()) == int(mask.any(1).sum()) * int(mask.any(0).sum())
        assert len(image[:, mask].unique(dim=1).T) == 1
    others = AUGMENTATIONS.get("erase").target(images, _keys(600), 1.0, 0.0)
    assert (others != 7).any(1).any(-1).any(-1).all()
