"""MNIST: 70,000 handwritten digits, 28 by 28 grey, as published.

Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits"; Y. LeCun,
L. Bottou, Y. Bengio and P. Haffner 1998, "Gradient-based learning applied to document
recognition". The page it was published on no longer hands the files out; these two mirrors are
the ones that torchvision and tensorflow/datasets fetch from.
"""

from __future__ import annotations

from netwright.core.config import config, setting
from netwright.core.languages import say
from netwright.data.published import idx_set, listed
from netwright.data.sources import SOURCES, Found, Request

RESOURCES = listed(
    (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    ("train-images-idx3-ubyte.gz", 9_912_422,
     "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    ("train-labels-idx1-ubyte.gz", 28_881,
     "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ("t10k-images-idx3-ubyte.gz", 1_648_877,
     "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    ("t10k-labels-idx1-ubyte.gz", 4_542,
     "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)  # fmt: skip
"""Sizes and sha256 as listed in tensorflow/datasets (tensorflow_datasets/url_checksums)."""


CLASSES = tuple("0123456789")


@config
class MNISTOptions:
    """Where the files are."""

    path: str | None = setting(None, help="folder that holds the files; none: the cache")


@SOURCES.register(
    "mnist",
    options=MNISTOptions,
    images=70_000,
    classes=10,
    shape=(1, 28, 28),
    paper="LeCun, Bottou, Bengio & Haffner 1998, "
    "Gradient-based learning applied to document recognition",
    built_in=True,
)
def mnist(request: Request, options: MNISTOptions) -> Found:
    """MNIST: 60,000 and 10,000 handwritten digits, 28x28 grey.

    Images (1, 28, 28) uint8; a stratified tenth of training is kept for validation. The files are
    found in `data.path`, or fetched once (12 MB) and checked.

    When to use it: to see that all works, to repeat what was published, to learn; the recipe
    `mnist-lenet5` comes to 99.47 %.

    What goes wrong: the usual mistake is to choose settings on the 10,000 test images: a tenth of
    training is kept for validation instead. Nearly every network exceeds 98 %, and differences of
    0.1 points are luck (the standard error at 99.4 % is 0.08): it does not tell good methods from
    others. No flips: a mirrored 2 is no digit.
    """
    return idx_set(
        request,
        name="mnist",
        path=options.path,
        resources=RESOURCES,
        classes=CLASSES,
        attribution=say(
            "The MNIST database of handwritten digits, Y. LeCun, C. Cortes and C. J. C. Burges "
            "(1998)"
        ),
    )
