"""KMNIST: 70,000 cursive Japanese characters, 28 by 28 grey, as published.

T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto and D. Ha 2018, "Deep Learning
for Classical Japanese Literature", arXiv:1812.01718. The address is that of its own page,
codh.rois.ac.jp/kmnist.
"""

from __future__ import annotations

from netwright.core.config import config, setting
from netwright.core.languages import say
from netwright.data.published import idx_set, listed
from netwright.data.sources import SOURCES, Found, Request

RESOURCES = listed(
    (
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ),
    ("train-images-idx3-ubyte.gz", 18_165_135,
     "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
    ("train-labels-idx1-ubyte.gz", 29_497,
     "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
    ("t10k-images-idx3-ubyte.gz", 3_041_136,
     "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
    ("t10k-labels-idx1-ubyte.gz", 5_120,
     "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
)  # fmt: skip
"""Sizes and sha256 as listed in tensorflow/datasets (tensorflow_datasets/url_checksums)."""


CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


@config
class KMNISTOptions:
    """Where the files are."""

    path: str | None = setting(None, help="folder that holds the files; none: the cache")


@SOURCES.register(
    "kmnist",
    options=KMNISTOptions,
    images=70_000,
    classes=10,
    shape=(1, 28, 28),
    paper="Clanuwat et al. 2018, Deep learning for classical Japanese literature",
    built_in=True,
)
def kmnist(request: Request, options: KMNISTOptions) -> Found:
    """KMNIST: 60,000 and 10,000 cursive Japanese characters, 28x28 grey.

    Images (1, 28, 28) uint8; a stratified tenth of training is kept for validation. The files are
    found in `data.path`, or fetched once (21 MB) and checked. One class has several ways to be
    written, so it is harder than MNIST of the same size.

    When to use it: as MNIST, with room to get better.

    What goes wrong: characters of one class may have nothing in common to the eye, so a network
    that saw few of the ways to write one fails on the others: watch the recall of each class. No
    flips, as with all writing.
    """
    return idx_set(
        request,
        name="kmnist",
        path=options.path,
        resources=RESOURCES,
        classes=CLASSES,
        attribution=say(
            "KMNIST Dataset, created by CODH, adapted from Kuzushiji Dataset (NIJL and others), "
            "CC BY-SA 4.0"
        ),
    )
