"""Rotate, scale, shear, translate and crop_resize against slow and obvious second versions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.augment._geometry import Affine, resample, turned
from netwright.augment.keys import Keys
from netwright.core.errors import SettingError


def _images(count: int = 6, channels: int = 3, height: int = 7, width: int = 10) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, height, width), generator=generator)


def _keys(count: int = 6, epoch: int = 1) -> Keys:
    return Keys(3, epoch, np.arange(count, dtype=np.int64) * 7)


def _sampled(image: Any, row: float, column: float, fill: float) -> float:
    """The value of a picture of squares at a place, bilinear between their centres."""
    height, width = len(image), len(image[0])
    if not (-0.5 <= row <= height - 0.5 and -0.5 <= column <= width - 0.5):
        return fill
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = int(row), int(column)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = row - top, column - left
    upper = image[top][left] * (1 - across) + image[top][right] * across
    lower = image[bottom][left] * (1 - across) + image[bottom][right] * across
    return upper * (1 - down) + lower * down


def _slow(images: Tensor, maps: list[Any], fill: float) -> Tensor:
    """Pixel by pixel. `maps[n](x, y)` says where (x, y), from the centre, comes from."""
    out = torch.zeros(images.shape)
    height, width = images.shape[2:]
    for n, image in enumerate(images.tolist()):
        for c, plane in enumerate(image):
            for y in range(height):
                for x in range(width):
                    at = maps[n](x - (width - 1) / 2, y - (height - 1) / 2)
                    row, column = at[1] + (height - 1) / 2, at[0] + (width - 1) / 2
                    out[n, c, y, x] = _sampled(plane, row, column, fill)
    return out


def _map(name: str, keys: Keys, amount: float, n: int, height: int, width: int) -> Any:
    """The published formula of a leaf for image n, in plain Python."""
    sign = {lane: 2 * keys.uniform(lane)[n] - 1 for lane in (name, f"{name}-x", f"{name}-y")}
    if name == "rotate":  # counter-clockwise; y goes down
        t = math.radians(amount * sign[name])
        return lambda x, y: (x * math.cos(t) - y * math.sin(t), x * math.sin(t) + y * math.cos(t))
    if name == "scale":
        factor = 1 + amount * sign[name]
        return lambda x, y: (x / factor, y / factor)
    if name == "shear":
        slope = math.tan(math.radians(amount * sign[name]))
        return lambda x, y: (x + slope * y, y)
    right, down = width * amount * sign["translate-x"], height * amount * sign["translate-y"]
    return lambda x, y: (x - right, y - down)


MOVES = [("rotate", 40.0), ("scale", 0.4), ("shear", 30.0), ("translate", 0.3)]


@pytest.mark.parametrize(("name", "amount"), MOVES)
def test_a_move_equals_a_loop_over_pixels(name: str, amount: float) -> None:
    images, keys = _images(), _keys()
    maps = [_map(name, keys, amount, n, 7, 10) for n in range(6)]
    found = AUGMENTATIONS.get(name).target(images.float(), keys, amount, -9.0)
    assert torch.allclose(found, _slow(images, maps, -9.0), atol=2e-3)


@pytest.mark.parametrize(("name", "amount"), MOVES)
def test_bytes_are_the_floats_rounded(name: str, amount: float) -> None:
    images, keys, leaf = _images(), _keys(), AUGMENTATIONS.get(name).target
    whole = leaf(images.to(torch.uint8), keys, amount, 7.0)
    assert torch.equal(whole.float(), (leaf(images.float(), keys, amount, 7.0) + 0.5).floor())


def test_a_quarter_turn_is_rot90_to_the_bit() -> None:
    images = _images(height=8, width=8).to(torch.uint8)
    for quarter in range(4):
        found = resample(images, turned(np.full(6, 90.0 * quarter)))
        assert torch.equal(found, torch.rot90(images, quarter, (2, 3)))


def test_a_half_turn_of_an_oblong_is_both_flips() -> None:
    images = _images().to(torch.uint8)
    assert torch.equal(resample(images, turned(np.full(6, 180.0))), images.flip(2, 3))


def test_moves_by_whole_pixels_are_exact_and_leave_the_border_behind() -> None:
    images = _images().to(torch.uint8)
    found = resample(images, Affine.of(6, c=np.full(6, -2.0)), torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(found[..., 2:], images[..., :-2])
    assert found[:, :, :, :2].amax((0, 2, 3)).tolist() == [1, 2, 3]


def test_all_moves_together_are_one_resampling() -> None:
    images, keys = _images(), _keys()
    maps = [
        [_map(name, keys, amount, n, 7, 10) for name, amount in MOVES_IN_ORDER] for n in range(6)
    ]

    def through(n: int) -> Any:
        def place(x: float, y: float) -> tuple[float, float]:
            for one in reversed(maps[n]):  # looked up backwards
                x, y = one(x, y)
            return x, y

        return place

    found = Augmentation(dict(MOVES))(images.float(), keys, fill=-9.0)
    assert torch.allclose(found, _slow(images, [through(n) for n in range(6)], -9.0), atol=2e-3)


MOVES_IN_ORDER = [("scale", 0.4), ("shear", 30.0), ("rotate", 40.0), ("translate", 0.3)]


def test_moving_there_and_back_is_nothing_but_moving_twice_blurs() -> None:
    # Why they are multiplied: a turn by 20 degrees and back, once as one map and once as two.
    images = _images(height=9, width=9).float()
    there, back = turned(np.full(6, 20.0)), turned(np.full(6, -20.0))
    middle = (slice(None), slice(None), slice(3, 6), slice(3, 6))
    once = resample(images, there.then(back))
    twice = resample(resample(images, there), back)
    assert torch.allclose(once, images, atol=0.01)
    assert (twice - images)[middle].abs().mean() > 10


def test_a_resized_crop_is_a_window_of_the_asked_area_and_ratio_inside_the_image() -> None:
    # A ramp in x and one in y say where each pixel of the result was looked up.
    height, width, count = 30, 40, 400
    x = torch.arange(width).float().expand(height, width)
    y = torch.arange(height).float()[:, None].expand(height, width)
    images = torch.stack([x, y]).expand(count, 2, height, width)
    out = AUGMENTATIONS.get("crop_resize").target(images, _keys(count), 0.25, -99.0)
    assert out.min() >= 0  # nothing of the fill
    middle = slice(10, 20)
    across = (out[:, 0, 15, 20] - out[:, 0, 15, 19]).clamp(max=1)
    down = out[:, 1, middle, 20].diff(dim=1).mean(1)
    area = across * down
    assert area.min() > 0.2
    assert area.max() < 1.01
    assert area.mean() == pytest.approx(0.625, abs=0.05)  # uniform in [0.25, 1]
    free = (across < 0.99) & (down < 0.99)
    ratio = (across * width / (down * height))[free]
    assert ratio.min() > 3 / 4 - 0.02
    assert ratio.max() < 4 / 3 + 0.02


def test_images_of_any_size_are_turned_alike_in_parts_and_as_a_whole() -> None:
    # 300x400x3 is more than one part of the cache; two of them are done one after the other.
    images = _images(2, 3, 300, 400).to(torch.uint8)
    both = AUGMENTATIONS.get("rotate").target(images, _keys(2), 30.0, 0.0)
    alone = AUGMENTATIONS.get("rotate").target(images[1:], Keys(3, 1, np.array([7])), 30.0, 0.0)
    assert torch.equal(both[1:], alone)


def test_half_of_the_images_are_turned_upside_down() -> None:
    ramp = torch.arange(3.0).view(3, 1).expand(4000, 1, 3, 1)
    out = AUGMENTATIONS.get("vflip").target(ramp, _keys(4000), True, 0.0)
    assert (out[:, 0, 0, 0] == 2).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert set(out[:, 0, 0, 0].tolist()) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rotate", 181, "at least 0, at most 180"),
        ("rotate", -1, "at least 0, at most 180"),
        ("scale", 1, "at least 0, below 1"),
        ("shear", 61, "at least 0, at most 60"),
        ("translate", 1.5, "at least 0, below 1"),
        ("crop_resize", -0.1, "at least 0, below 1"),
        ("vflip", 3, "true or false"),
        ("rotate", True, "a number"),
        ("rotate", float("nan"), "a number"),
    ],
)
def test_a_bad_amount_is_refused_with_its_range(name: str, value: Any, expected: str) -> None:
    with pytest.raises(SettingError, match=rf"aug\.{name}: .* is not allowed: .*{expected}"):
        Augmentation({name: value})
