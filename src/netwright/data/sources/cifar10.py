"""CIFAR-10: 60,000 photographs of ten kinds of things, 32 by 32 colour, as published.

A. Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". The binary form is
fetched: it holds the same images as the Python one and nothing that could be executed.
"""

from __future__ import annotations

from pathlib import Path

from netwright.core.config import config, setting
from netwright.core.languages import say
from netwright.data.published import cifar_set, listed
from netwright.data.sources import SOURCES, Found, Request

RESOURCES = listed(
    ("https://www.cs.toronto.edu/~kriz/",),
    ("cifar-10-binary.tar.gz", 170_052_171,
     "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
)  # fmt: skip
"""Size and sha256 as listed in tensorflow/datasets (tensorflow_datasets/url_checksums)."""

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

FORMS = (
    (tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
    (tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
)


@config
class CIFAR10Options:
    """Where the files are."""

    path: str | None = setting(None, help="folder or archive of the files; none: the cache")


def _is_cifar10(path: Path) -> bool:
    return any((path / test).is_file() for _, test in FORMS)


@SOURCES.register(
    "cifar10",
    options=CIFAR10Options,
    images=60_000,
    classes=10,
    shape=(3, 32, 32),
    paper="Krizhevsky 2009, Learning multiple layers of features from tiny images",
    built_in=True,
    recognises=_is_cifar10,
    order=40,
)
def cifar10(request: Request, options: CIFAR10Options) -> Found:
    """CIFAR-10: 50,000 and 10,000 photographs of ten kinds of things, 32x32 colour.

    Images (3, 32, 32) uint8; a stratified tenth of training is kept for validation
    (`data.val_share`). The files are found in `data.path`, or fetched once (170 MB) and checked.
    Python pickles are read without executing anything.

    When to use it: photographs that a small machine can train on; `resnet20` with `aug.flip=true
    aug.crop=4` is the usual start.

    What goes wrong: of the test photographs 3.3 % have a near twin in training (Barz & Denzler
    2020, Do we train on test data?), so the last points of accuracy are partly memory. Networks
    made for 224x224 pixels need their small stem. Accuracy at 32x32 says little about larger
    photographs.
    """
    return cifar_set(
        request,
        name="cifar10",
        path=options.path or request.place or None,
        resource=RESOURCES[0],
        forms=FORMS,
        label="labels",
        labels=("labels",),
        classes=CLASSES,
        attribution=say(
            "CIFAR-10, A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"
        ),
    )
