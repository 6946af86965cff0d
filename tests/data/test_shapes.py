from __future__ import annotations

import numpy as np
import pytest

from netwright.data.opening import open_dataset, read_options
from netwright.data.sources.shapes import KINDS, boxes, draw, figures


def test_shapes_are_balanced_and_split() -> None:
    dataset = open_dataset(read_options({"name": "shapes", "images": 60, "num_classes": 3}), seed=0)
    assert dataset.counts() == {
        "train": {"circle": 14, "square": 14, "triangle": 15},
        "val": {"circle": 2, "square": 2, "triangle": 1},
        "test": {"circle": 4, "square": 4, "triangle": 4},
    }
    assert dataset.shape == (3, 32, 32)


@pytest.mark.parametrize("size", [1, 8, 100])
def test_shapes_are_drawn_in_any_size(size: int) -> None:
    dataset = open_dataset(
        read_options({"name": "shapes", "images": 20, "num_classes": 2, "size": size}), seed=0
    )
    assert dataset.shape == (3, size, size)


def test_a_figure_is_the_same_alone_and_among_others() -> None:
    some = figures(20, num_classes=5)
    alone, _ = draw(some[7:8], size=24, noise=0.3)
    among, _ = draw(some, size=24, noise=0.3)
    assert np.array_equal(alone[0], among[7])


def test_a_figure_has_its_colour_inside_and_the_ground_outside() -> None:
    circle = figures(1)
    image, mask = draw(circle, size=64)
    x, y = (circle.centre[0] * 64).astype(int)
    assert image[0, :, y, x] == pytest.approx(255 * circle.colour[0], abs=1)
    assert (
        pytest.approx(np.tile(255 * circle.ground[0], ((mask[0] == 0).sum(), 1)), abs=1)
        == image[0][:, mask[0] == 0].T
    )


def test_the_mask_of_a_circle_has_the_area_of_a_circle() -> None:
    some = figures(30, num_classes=1)
    _, masks = draw(some, size=128)
    area = masks.sum((1, 2)) / 255 / 128**2
    assert area == pytest.approx(np.pi * some.radius**2, rel=0.01)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_a_box_holds_the_figure_and_lies_in_the_image(kind: int) -> None:
    some = figures(80, num_classes=len(KINDS))[np.arange(kind, 80, len(KINDS))]
    _, masks = draw(some, size=64)
    for (x0, y0, x1, y1), mask in zip(boxes(masks), masks, strict=True):
        assert 0 <= x0 < x1 <= 64
        assert 0 <= y0 < y1 <= 64
        assert (mask[y0:y1, x0:x1] >= 128).sum() == (mask >= 128).sum()


def test_figures_of_all_kinds_can_be_told_from_their_ground() -> None:
    some = figures(64, num_classes=len(KINDS))
    assert np.abs(some.colour - some.ground).max(1).min() > 0.1


def test_the_drawing_does_not_change_from_version_to_version() -> None:
    pixels, _ = draw(figures(8, num_classes=8), size=16, noise=0.1)
    assert int(pixels.astype(np.int64).sum()) == 902_927
