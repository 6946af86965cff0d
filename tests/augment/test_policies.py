"""TrivialAugment and RandAugment: each image its own operation, as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.augment._operations import OPERATIONS, Space, operated
from netwright.augment.keys import Keys
from netwright.augment.randaugment import SPACE
from netwright.augment.trivial import WIDE
from netwright.core.errors import SettingError

COUNT = 140


def _images(count: int = COUNT, channels: int = 3, side: int = 13) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side + 2), generator=generator).byte()


def _keys(count: int = COUNT) -> Keys:
    return Keys(5, 2, np.arange(count, dtype=np.int64) * 3)


def _alone(picture: Image.Image, name: str, strength: float, sign: float, space: Space) -> Image:
    """One operation with Pillow, as the papers' code does it; moves have maps of their own."""
    by = strength * sign
    width, height = picture.size
    x, y = (width - 1) / 2 + 0.5, (height - 1) / 2 + 0.5
    moves = {
        "shear-x": (1, -by * space.shear, by * space.shear * y, 0, 1, 0),
        "shear-y": (1, 0, 0, -by * space.shear, 1, by * space.shear * x),
        "translate-x": (1, 0, -by * space.translate * width, 0, 1, 0),
        "translate-y": (1, 0, 0, 0, 1, -by * space.translate * height),
    }
    enhancers = {
        "brightness": ImageEnhance.Brightness,
        "saturation": ImageEnhance.Color,
        "contrast": ImageEnhance.Contrast,
        "sharpness": ImageEnhance.Sharpness,
    }
    if name in moves:
        return picture.transform(
            picture.size, Image.Transform.AFFINE, moves[name], Image.Resampling.BILINEAR
        )
    if name == "rotate":
        return picture.rotate(by * space.rotate, Image.Resampling.BILINEAR)
    if name in enhancers:
        return enhancers[name](picture).enhance(1 + by * space.enhance)
    if name == "posterize":
        return ImageOps.posterize(picture, 8 - round(strength * space.bits))
    if name == "solarize":
        return ImageOps.solarize(picture, int(np.ceil(256 * (1 - strength))))
    return {
        "identity": lambda each: each,
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
    }[name](picture)


@pytest.mark.parametrize("space", [WIDE, SPACE], ids=["wide", "narrow"])
def test_each_image_gets_what_pillow_makes_of_it_alone(space: Space) -> None:
    images, keys = _images(), _keys()
    strength = keys.uniform("strength of this test")
    found = operated(images, keys, strength, space, 0.0, lane="here")
    chosen = keys.integers(0, len(OPERATIONS) - 1, "here-operation")
    signs = np.where(keys.uniform("here-sign") < 0.5, -1.0, 1.0)
    assert len(set(chosen.tolist())) == len(OPERATIONS)
    for n, image in enumerate(images):
        name = OPERATIONS[int(chosen[n])]
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(_alone(picture, name, strength[n], signs[n], space)).astype(int)
        off = np.abs(found[n].permute(1, 2, 0).numpy().astype(int) - expected)
        # A pixel on the very edge of the turned picture may fall to either side of it.
        assert np.mean(off > 2) < 0.02, (n, name)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("name", ["trivial", "randaugment"])
def test_a_policy_takes_images_of_any_channels(name: str, channels: int) -> None:
    images = _images(40, channels)
    out = Augmentation({name: 9 if name == "randaugment" else True})(images, _keys(40))
    assert (out.shape, out.dtype) == (images.shape, images.dtype)
    assert 0.5 < (out != images).flatten(1).any(1).float().mean() <= 1


def test_strength_nought_changes_nothing_but_what_has_no_strength() -> None:
    images, keys = _images(), _keys()
    out = operated(images, keys, np.zeros(COUNT), WIDE, 0.0, lane="here")
    chosen = keys.integers(0, len(OPERATIONS) - 1, "here-operation")
    plain = ~np.isin(chosen, [OPERATIONS.index("autocontrast"), OPERATIONS.index("equalize")])
    assert torch.equal(out[torch.from_numpy(plain)], images[torch.from_numpy(plain)])


def test_every_operation_and_every_strength_comes_about_equally_often() -> None:
    keys = _keys(28000)
    chosen = np.bincount(keys.integers(0, 13, "trivial-operation"))
    assert np.abs(chosen - 2000).max() < 200
    strengths = np.bincount(keys.integers(0, 30, "trivial-strength"), minlength=31)
    assert np.abs(strengths - 28000 / 31).max() < 150


def test_the_two_operations_of_randaugment_are_drawn_anew() -> None:
    keys = _keys(28000)
    first, second = (keys.integers(0, 13, f"randaugment-{i}-operation") for i in (0, 1))
    assert np.mean(first == second) == pytest.approx(1 / 14, abs=0.01)


def test_the_border_that_comes_into_view_is_the_fill() -> None:
    images = torch.full((60, 3, 9, 9), 100).byte()
    out = AUGMENTATIONS.get("trivial").target(
        images, _keys(60), True, torch.tensor([1.0, 2.0, 3.0])
    )
    edges = (out == torch.tensor([1, 2, 3]).byte().view(-1, 1, 1)).all(1)
    assert edges.any(-1).any(-1).sum() > 10


@pytest.mark.parametrize("value", [-1, 31, 2.5, "much"])
def test_a_strength_beyond_its_scale_is_refused(value: object) -> None:
    with pytest.raises(SettingError, match=r"aug\.randaugment: .* at least 0, at most 30"):
        Augmentation({"randaugment": value})
