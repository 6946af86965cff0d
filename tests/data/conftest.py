"""Small folders of pictures to open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Painter = Callable[..., Path]


def picture(*, colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (12, 12)):
    """A picture of (height, width) in one colour, a little darker to the right."""
    shade = np.linspace(1, 0.8, size[1])[None, :, None]
    return Image.fromarray((np.array(colour) * shade * np.ones((size[0], 1, 1))).astype(np.uint8))


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """`flowers/rose` and `flowers/tulip` with ten pictures each, 12 by 12."""
    root = tmp_path / "flowers"
    for label, red in (("rose", 200), ("tulip", 90)):
        (root / label).mkdir(parents=True)
        for i in range(10):
            picture(colour=(red, 10 * i, 30)).save(root / label / f"{i}.png")
    return root
