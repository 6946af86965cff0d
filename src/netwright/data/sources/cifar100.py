"""CIFAR-100: 60,000 photographs of a hundred kinds of things, 32 by 32 colour, as published.

A. Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". The binary form is
fetched: it holds the same images as the Python one and nothing that could be executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from netwright.core.config import config, setting
from netwright.core.languages import say
from netwright.data.published import cifar_set, listed
from netwright.data.sources import SOURCES, Found, Request

RESOURCES = listed(
    ("https://www.cs.toronto.edu/~kriz/",),
    ("cifar-100-binary.tar.gz", 168_513_733,
     "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
)  # fmt: skip
"""Size and sha256 as listed in tensorflow/datasets (tensorflow_datasets/url_checksums)."""

_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things
large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals
non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
FINE = tuple(_FINE.split())
COARSE = tuple(_COARSE.split())

FORMS = ((("train.bin",), "test.bin"), (("train",), "test"))


@config
class CIFAR100Options:
    """Where the files are, and which of the two labels of each image."""

    path: str | None = setting(None, help="folder or archive of the files; none: the cache")
    labels: Literal["fine", "coarse"] = setting("fine", help="100 classes, or 20 above them")


def _is_cifar100(path: Path) -> bool:
    # `train` and `test` are folders in other layouts; here they are files.
    return any(
        (path / training).is_file() and (path / test).is_file() for (training,), test in FORMS
    )


@SOURCES.register(
    "cifar100",
    options=CIFAR100Options,
    images=60_000,
    classes=100,
    shape=(3, 32, 32),
    paper="Krizhevsky 2009, Learning multiple layers of features from tiny images",
    built_in=True,
    recognises=_is_cifar100,
    order=41,
)
def cifar100(request: Request, options: CIFAR100Options) -> Found:
    """CIFAR-100: 50,000 and 10,000 photographs of 100 kinds of things, 32x32 colour.

    Images (3, 32, 32) uint8, 500 of each class for training and 100 for test; a stratified tenth of
    training is kept for validation. `data.labels=coarse` gives the 20 groups of five kinds each.
    The files are found in `data.path`, or fetched once (169 MB) and checked. Python pickles are
    read without executing anything.

    When to use it: many classes with few images of each: regularisation, augmentation and transfer
    show here what they are worth.

    What goes wrong: 450 images of a class are few: without augmentation a network over-fits early.
    The kinds within a group are easily mistaken, and top-1 accuracy does not tell that from a gross
    mistake: look at the pairs in the report, or at `val/acc5`. As in CIFAR-10 some test photographs
    have near twins in training.
    """
    return cifar_set(
        request,
        name="cifar100",
        path=options.path or request.place or None,
        resource=RESOURCES[0],
        forms=FORMS,
        label=f"{options.labels}_labels",
        labels=("coarse_labels", "fine_labels"),
        classes=FINE if options.labels == "fine" else COARSE,
        attribution=say(
            "CIFAR-100, A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"
        ),
    )
