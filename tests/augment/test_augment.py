import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.augment.keys import Keys
from netwright.core.errors import SettingError, UnknownNameError


def _images(count: int = 40, channels: int = 2, height: int = 7, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, channels, height, width, generator=generator)


def _keys(count: int = 40, epoch: int = 1) -> Keys:
    return Keys(3, epoch, np.arange(count, dtype=np.int64) * 7)


def _slow_move(images: Tensor, keys: Keys, reach: int, fill: float, name: str) -> Tensor:
    """Pixel by pixel: where does this one come from?"""
    out = torch.empty_like(images)
    down = keys.integers(0, 2 * reach, f"{name}-y") - reach
    right = keys.integers(0, 2 * reach, f"{name}-x") - reach
    count, _, height, width = images.shape
    for n in range(count):
        for y in range(height):
            for x in range(width):
                source_y, source_x = y + int(down[n]), x + int(right[n])
                inside = 0 <= source_y < height and 0 <= source_x < width
                out[n, :, y, x] = images[n, :, source_y, source_x] if inside else fill
    return out


@pytest.mark.parametrize("name", ["shift", "crop"])
@pytest.mark.parametrize("reach", [1, 3, 5])
def test_moves_equal_a_loop_over_pixels(name: str, reach: int) -> None:
    images, keys = _images(), _keys()
    found = AUGMENTATIONS.get(name).target(images, keys, reach, -9.0)
    assert torch.equal(found, _slow_move(images, keys, reach, -9.0, name))


def test_flips_equal_a_loop_over_images() -> None:
    images, keys = _images(), _keys()
    found = AUGMENTATIONS.get("flip").target(images, keys, True, 0.0)
    for image, out, draw in zip(images, found, keys.uniform("flip"), strict=True):
        expected = torch.stack(list(image.unbind(2))[::-1], 2)
        assert torch.equal(out, expected if draw < 0.5 else image)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.bfloat16, torch.float64])
def test_mirrors_and_moves_in_one_go_equal_one_after_the_other(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 50 sets of settings, drawn by a fixed seed; parts of a few images, as of large ones.
    monkeypatch.setattr("netwright.augment._windows._BYTES", 1500)
    generator = np.random.default_rng(1)
    for trial in range(50):
        count, channels = int(generator.integers(0, 30)), int(generator.integers(1, 4))
        height, width = (int(side) for side in generator.integers(6, 12, 2))
        images = (100 * _images(count, channels, height, width).abs()).clamp(max=255).to(kind)
        keys = Keys(trial, 2, generator.integers(0, 1000, count))
        values = {"flip": True, "vflip": True, "shift": 3, "crop": 5}
        chosen = {name: value for name, value in values.items() if generator.random() < 0.7}
        fill = float(generator.choice([0.0, 7.0]))
        border = torch.full((channels,), fill) if trial % 2 else fill
        expected = images
        for name, amount in chosen.items():
            if amount is True:
                turned = torch.from_numpy(keys.uniform(name) < 0.5).view(-1, 1, 1, 1)
                axis = 3 if name == "flip" else 2
                expected = torch.where(turned, expected.flip(axis), expected)
            else:
                expected = _slow_move(expected, keys, amount, fill, name)
        found = Augmentation(chosen)(images, keys, fill=border)
        assert found.dtype == kind
        assert torch.equal(found, expected), (trial, chosen)


def test_every_move_is_equally_likely() -> None:
    # One white pixel in the middle shows where each image went: 25 places, 200 images each.
    images = torch.zeros(5000, 1, 5, 5)
    images[:, 0, 2, 2] = 1.0
    out = AUGMENTATIONS.get("shift").target(images, _keys(5000), 2, 0.0)
    places = out.sum((0, 1))
    chi_square = ((places - 200) ** 2 / 200).sum().item()
    assert chi_square < 52.6  # 24 degrees of freedom: 1 in 1,500 (the draw is fixed)


def test_half_of_the_images_are_flipped_and_another_half_in_the_next_epoch() -> None:
    ramp = torch.arange(3.0).expand(4000, 1, 1, 3)
    flip = AUGMENTATIONS.get("flip").target
    first, second = (flip(ramp, _keys(4000, epoch), True, 0.0)[:, 0, 0, 0] == 2 for epoch in (1, 2))
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (first & second).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_the_fill_can_be_one_number_a_channel() -> None:
    out = Augmentation({"shift": 6})(
        torch.zeros(20, 2, 7, 7), _keys(20), fill=torch.tensor([1.0, 2.0])
    )
    assert set(out[:, 0].unique().tolist()) == {0.0, 1.0}
    assert set(out[:, 1].unique().tolist()) == {0.0, 2.0}


def test_together_they_run_in_their_order_whatever_the_order_written() -> None:
    images, keys = _images(), _keys()
    one = Augmentation({"crop": 2, "flip": True})
    other = Augmentation({"flip": True, "crop": 2})
    assert one.describe() == other.describe() == "flip, crop 2"
    assert torch.equal(one(images, keys), other(images, keys))


def test_what_is_none_false_or_zero_is_off() -> None:
    augmentation = Augmentation({"flip": False, "shift": 0, "crop": None})
    assert not augmentation
    assert augmentation.describe() == ""
    images = _images()
    assert augmentation(images, _keys()) is images


def test_it_survives_pickling_for_worker_processes() -> None:
    augmentation = Augmentation({"flip": True, "shift": 2})
    copy = pickle.loads(pickle.dumps(augmentation))
    images, keys = _images(), _keys()
    assert torch.equal(copy(images, keys), augmentation(images, keys))


def test_an_unknown_augmentation_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r'No augmentation called "filp"\.\nNearest: flip'):
        Augmentation({"filp": True})


def test_a_value_out_of_range_is_refused_by_its_dotted_name() -> None:
    with pytest.raises(SettingError, match=r"aug\.shift: -1 is not allowed: .*at least 0"):
        Augmentation({"shift": -1})


def test_a_move_as_long_as_the_image_is_refused() -> None:
    with pytest.raises(SettingError, match=r"aug\.crop: 6 pixels are too many for images of 7x6"):
        Augmentation({"crop": 6})(_images(), _keys())
