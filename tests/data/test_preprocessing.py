from __future__ import annotations

import numpy as np
import pytest
import torch

from netwright.core.errors import DataError
from netwright.data.dataset import MemoryImages
from netwright.data.preprocessing import Preprocessing
from netwright.data.statistics import channel_statistics

RGB = Preprocessing(channels=3, size=(2, 2), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))


def images_of(pool: torch.Tensor) -> MemoryImages:
    return MemoryImages(pool, np.zeros(len(pool), np.int64))


def test_bytes_become_normalised_floats() -> None:
    pixels = torch.randint(0, 256, (4, 3, 2, 2), dtype=torch.uint8)
    mean = torch.tensor(RGB.mean).view(3, 1, 1)
    std = torch.tensor(RGB.std).view(3, 1, 1)
    torch.testing.assert_close(RGB(pixels), (pixels.double() / 255 - mean).div(std).float())


def test_floats_are_taken_as_they_are_and_left_as_they_were() -> None:
    values = torch.full((1, 3, 2, 2), 0.5)
    assert RGB(values)[0, :, 0, 0].tolist() == pytest.approx([0, 0.4, 0.4])
    assert values.eq(0.5).all()


def test_undo_gives_the_pixels_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(RGB.undo(RGB(pixels)), pixels)


def test_it_goes_through_json_unchanged() -> None:
    assert Preprocessing.from_json(RGB.to_json()) == RGB


@pytest.mark.parametrize(
    "change",
    [
        {"size": [2]},
        {"mean": [0.5]},
        {"mean": [0.5, 1e300, 0.5]},
        {"channels": "x"},
        {"resize": "squash"},
        {"std": None},
        {"std": [0.5, 0.0, 0.5]},
        {"std": [0.5, -0.5, 0.5]},
    ],
)
def test_json_that_is_not_ours_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"preprocessing in model.json cannot be read"):
        Preprocessing.from_json(RGB.to_json() | change)


def test_statistics_are_those_of_numpy() -> None:
    pool = torch.randint(0, 256, (50, 3, 5, 7), dtype=torch.uint8)
    mean, std = channel_statistics(images_of(pool))
    values = pool.numpy().astype(np.float64) / 255
    assert mean == pytest.approx(values.mean((0, 2, 3)))
    assert std == pytest.approx(values.std((0, 2, 3)))


def test_statistics_look_at_the_given_split_only() -> None:
    pool = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    pool[2:] = 255
    half = images_of(pool).subset(np.array([2, 3]))
    assert channel_statistics(half)[0] == (1.0,)


def test_a_channel_that_never_changes_has_the_spread_one() -> None:
    assert channel_statistics(images_of(torch.full((3, 1, 2, 2), 7.0))) == ((7.0,), (1.0,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_in_place_gives_the_same_bits(dtype):
    preprocessing = Preprocessing(
        channels=3, size=(4, 5), mean=(0.1, 0.2, 0.3), std=(0.5, 2.0, 1.0)
    )
    images = (torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * 200).to(dtype)
    assert torch.equal(preprocessing.in_place(images.clone()), preprocessing(images))
