"""The handwritten digits that ship inside the package: 1,797 grey images of 8 by 8 pixels.

E. Alpaydin and C. Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, CC BY 4.0; see `digits.txt` beside the data.
"""

from __future__ import annotations

import gzip
from importlib.resources import files

import numpy as np
import torch

from netwright.core.config import config
from netwright.core.languages import say
from netwright.data.dataset import MemoryImages
from netwright.data.sources import SOURCES, Found, Request
from netwright.data.splits import stratified

_COUNT = 1797
_TEST_SHARE = 0.2


@config
class DigitsOptions:
    """The digits have no settings of their own."""


@SOURCES.register(
    "digits",
    options=DigitsOptions,
    images=_COUNT,
    classes=10,
    shape=(1, 8, 8),
    paper="Alpaydin & Kaynak 1998, Optical recognition of handwritten digits (UCI)",
    built_in=True,
)
def digits(request: Request, options: DigitsOptions) -> Found:
    """The 1,797 UCI handwritten digits, 8x8 grey, inside the package.

    Images (1, 8, 8) uint8. The source has no test part of its own here, so a stratified fifth (359
    images) is set aside for test, the same for every seed: results of different runs can be
    compared.

    When to use it: the first run on a machine, tests, teaching: a network trains in seconds.

    What goes wrong: one test image is 0.28 points, so differences below about one point between two
    runs are luck: take several seeds. 8x8 pixels do not bear much pooling: networks that need more
    are refused, or enlarge the images with `data.size=32`. No flips: a mirrored 2 is no digit.
    """
    packed = files("netwright.data.sources").joinpath("digits.uint8.gz").read_bytes()
    raw = np.frombuffer(gzip.decompress(packed), np.uint8)
    labels = raw[:_COUNT].astype(np.int64)
    levels = raw[_COUNT:].reshape(_COUNT, 1, 8, 8)
    pixels = (levels.astype(np.uint16) * 255 + 8) // 16  # 0..16 to 0..255, rounded
    images = MemoryImages(
        torch.from_numpy(pixels.astype(np.uint8)), labels, names="digit-{:04d}".format
    )
    classes = tuple(str(number) for number in range(10))
    rest, test = stratified(labels, _TEST_SHARE, classes, "digits test, the same for every seed")
    return Found(
        name="digits",
        layout=say("built-in digits, 8x8 grey"),
        classes=classes,
        parts={"train": images.subset(rest), "test": images.subset(test)},
        attribution=say(
            "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), "
            "UCI Machine Learning Repository, CC BY 4.0"
        ),
    )
