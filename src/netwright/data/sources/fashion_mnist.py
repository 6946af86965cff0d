"""Fashion-MNIST: 70,000 pictures of clothes, 28 by 28 grey, as published.

H. Xiao, K. Rasul and R. Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms", arXiv:1708.07747. The addresses are those of its own page,
github.com/zalandoresearch/fashion-mnist.
"""

from __future__ import annotations

from netwright.core.config import config, setting
from netwright.core.languages import say
from netwright.data.published import idx_set, listed
from netwright.data.sources import SOURCES, Found, Request

RESOURCES = listed(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    ("train-images-idx3-ubyte.gz", 26_421_880,
     "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ("train-labels-idx1-ubyte.gz", 29_515,
     "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ("t10k-images-idx3-ubyte.gz", 4_422_102,
     "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ("t10k-labels-idx1-ubyte.gz", 5_148,
     "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)  # fmt: skip
"""Sizes and sha256 as listed in tensorflow/datasets (tensorflow_datasets/url_checksums)."""


CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@config
class FashionMNISTOptions:
    """Where the files are."""

    path: str | None = setting(None, help="folder that holds the files; none: the cache")


@SOURCES.register(
    "fashion-mnist",
    options=FashionMNISTOptions,
    images=70_000,
    classes=10,
    shape=(1, 28, 28),
    paper="Xiao, Rasul & Vollgraf 2017, Fashion-MNIST: a novel image dataset for benchmarking "
    "machine learning algorithms",
    built_in=True,
)
def fashion_mnist(request: Request, options: FashionMNISTOptions) -> Found:
    """Fashion-MNIST: 60,000 and 10,000 pictures of clothes, 28x28 grey.

    Images (1, 28, 28) uint8; a stratified tenth of training is kept for validation. The files are
    found in `data.path`, or fetched once (31 MB) and checked. The files of MNIST with harder
    pictures: shirts, coats and pullovers are mistaken for each other, by people too.

    When to use it: instead of MNIST, where nearly everything works: here a better network or better
    training shows.

    What goes wrong: some labels are a matter of opinion, so the best possible accuracy is well
    below 1, and a network that fits training exactly has learned them by heart. `aug.flip=true` is
    right here and wrong for digits; a shift of more than two pixels cuts sleeves off.
    """
    return idx_set(
        request,
        name="fashion-mnist",
        path=options.path,
        resources=RESOURCES,
        classes=CLASSES,
        attribution=say(
            "Fashion-MNIST, H. Xiao, K. Rasul and R. Vollgraf (2017), Zalando Research, MIT"
        ),
    )
