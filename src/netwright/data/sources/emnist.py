"""EMNIST: handwritten digits and letters, 28 by 28 grey, as published.

G. Cohen, S. Afshar, J. Tapson and A. van Schaik 2017, "EMNIST: an extension of MNIST to
handwritten letters", arXiv:1702.05373. Its images are stored column by column, so a reader of
MNIST shows them mirrored and lying on their side; here they are put right.
"""

from __future__ import annotations

import string
from typing import Literal

from netwright.core.config import config, setting
from netwright.core.downloads import Resource
from netwright.core.languages import say
from netwright.data.published import idx_set
from netwright.data.sources import SOURCES, Found, Request

RESOURCES = (
    Resource(
        name="emnist-gzip.zip",
        addresses=(
            "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
        ),
        size=561_753_746,
        sha256="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    ),
)
"""Size and sha256 as listed in tensorflow/datasets; the first address is torchvision's of today."""

_ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"

CLASSES = {
    "balanced": _MERGED,
    "byclass": _ALL,
    "bymerge": _MERGED,
    "digits": string.digits,
    "letters": string.ascii_lowercase,
    "mnist": string.digits,
}


@config
class EMNISTOptions:
    """Where the files are, and which of the six sets in them."""

    path: str | None = setting(None, help="folder that holds the files; none: the cache")
    split: Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"] = setting(
        "balanced", help="which of the six sets of EMNIST"
    )


@SOURCES.register(
    "emnist",
    options=EMNISTOptions,
    shape=(1, 28, 28),
    paper="Cohen, Afshar, Tapson & van Schaik 2017, EMNIST: an extension of MNIST to handwritten "
    "letters",
    built_in=True,
)
def emnist(request: Request, options: EMNISTOptions) -> Found:
    """EMNIST: handwritten digits and letters in six sets (`data.split`), 28x28 grey.

    Images (1, 28, 28) uint8, turned upright. `balanced` (112,800 and 18,800 images, 47 classes)
    merges the letters whose capital looks like the small one; `byclass` (814,255 in all, 62
    classes) and `bymerge` (47) are as people wrote and so unbalanced; `letters` has 26 classes,
    `digits` (280,000) and `mnist` ten. The files are found in `data.path`, or fetched once (562 MB,
    all six sets) and checked.

    When to use it: more classes than MNIST at the same size; `byclass` to study unbalanced classes
    (`data.balance`, `loss.class_weights`).

    What goes wrong: some letters cannot be told apart by anyone (l and I, O and 0 in `byclass`), so
    the best possible accuracy is well below 1. Other readers forget to turn the images: weights
    trained there see these as mirrored, and the other way round.
    """
    return idx_set(
        request,
        name="emnist",
        path=options.path,
        resources=RESOURCES,
        classes=tuple(CLASSES[options.split]),
        attribution=say(
            "EMNIST, G. Cohen, S. Afshar, J. Tapson and A. van Schaik (2017), from NIST Special "
            "Database 19"
        ),
        prefixes=(f"emnist-{options.split}-train", f"emnist-{options.split}-test"),
        first_label=1 if options.split == "letters" else 0,
        transposed=True,
    )
