"""Image folders: `CLASS/*.jpg`, or `train/CLASS/*.jpg` with `val/` or `test/` beside it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from netwright.core.config import config
from netwright.core.errors import DataError, nearest
from netwright.core.events import Noted
from netwright.core.languages import say
from netwright.data.checking import shortened
from netwright.data.files import FileImages
from netwright.data.listing import Survey, folders, image_names, with_headers
from netwright.data.sources import SOURCES, Found, Request

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "eval": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@config
class FolderOptions:
    """Image folders have no settings of their own."""


@SOURCES.register("folder", options=FolderOptions, recognises=Path.is_dir, order=90)
def folder(request: Request, options: FolderOptions) -> Found:
    """A folder with one sub-folder for each class, or such folders under train/, val/ and test/.

        flowers/daisy/1.jpg                 flowers/train/daisy/1.jpg
        flowers/rose/2.png        or        flowers/val/rose/2.png
                                            flowers/test/...

    Classes are the sorted names of the class folders (of training, where there are splits). Files
    that cannot be read are listed and left out. Without a validation folder a stratified part of
    training is drawn. Raises `DataError` when there are no class folders or no images in one of
    them.

    When to use it: your own images; nothing else has to be written.

    What goes wrong: several photographs of one object, or frames of one film, fall on both sides of
    a random split, and validation is too good: make the folders `train/` and `val/` yourself. A
    folder called `train/` is taken for a split and never for a class; the run says what it took.
    Images of many sizes are brought to one (`data.size`).
    """
    root = str(request.path.expanduser())
    survey = Survey()
    inner = folders(root)
    split_folders = {
        name: SPLIT_NAMES[name.lower()] for name in inner if name.lower() in SPLIT_NAMES
    }
    if "train" in split_folders.values() or _holds_classes(root, split_folders):
        _refuse_doubles(root, split_folders)
        trees = {split: os.path.join(root, name) for name, split in split_folders.items()}
    else:
        split_folders, trees = {}, {"all": root}
    classes = _classes(root, trees, survey)
    parts = {split: _images(tree, root, classes, survey) for split, tree in trees.items()}
    _refuse_empty(root, parts, classes, survey)
    layout = (
        say("image folders with {splits}", splits=", ".join(f"{n}/" for n in split_folders))
        if split_folders
        else say("image folders, one for each class")
    )
    return Found(
        name=request.place,
        layout=layout,
        classes=tuple(classes),
        parts={split: images for split, images in parts.items() if len(images)},
        notes=(*_guesses(inner, split_folders), *survey.notes()),
        quarantined=tuple(survey.bad),
    )


def _holds_classes(root: str, split_folders: dict[str, str]) -> bool:
    """Whether folders called val or test hold folders themselves, so that they are splits."""
    return bool(split_folders) and all(folders(os.path.join(root, name)) for name in split_folders)


def _refuse_doubles(root: str, split_folders: dict[str, str]) -> None:
    for split in set(split_folders.values()):
        names = [name for name, each in split_folders.items() if each == split]
        if len(names) > 1:
            raise DataError(
                "{path} has {names}: each could be the {split} split.",
                hint="Expected one folder for each split: rename or remove the other.",
                path=root,
                names=", ".join(f"{name}/" for name in names),
                split=split,
            )


def _classes(root: str, trees: dict[str, str], survey: Survey) -> list[str]:
    """Class names: of training if it is there, and of the other splits behind them."""
    seen = {split: folders(tree) for split, tree in trees.items()}
    first = seen.get("train") or seen.get("all") or []
    later = {name for names in seen.values() for name in names} - set(first)
    if not first and not later:
        tree = trees.get("train", root)
        loose = len(list(image_names(tree, root, survey)))
        raise DataError(
            "{path} has no class folders: {images} images and {others} other files{kinds}.",
            hint="Expected {path}/CLASS/*.jpg, one folder for each class; or a .csv of paths "
            "and labels."
            if "train" not in trees
            else "A folder called {folder}/ is taken as the {split} split, and expected to hold "
            "CLASS/*.jpg; if it is a class, give it another name.",
            path=tree,
            folder=os.path.basename(tree),
            split="train",
            images=loose,
            others=survey.others.total(),
            kinds=f" ({survey.kinds()})" if survey.others else "",
        )
    return first + sorted(later, key=os.fsencode)


def _images(tree: str, root: str, classes: list[str], survey: Survey) -> FileImages:
    present = set(folders(tree))
    paths, labels = [], []
    for number, label in enumerate(classes):
        if label not in present:
            continue
        place = os.path.join(tree, label)
        for name in image_names(place, root, survey):
            path = os.path.join(place, name)
            paths.append((path, os.path.relpath(path, root)))
            labels.append(number)
    listed = with_headers(paths, survey)
    good = [i for i, file in enumerate(listed) if file is not None]
    return FileImages(
        files=tuple(file for file in listed if file is not None),
        labels=np.array(labels, np.int64)[good],
    )


def _refuse_empty(
    root: str, parts: dict[str, FileImages], classes: list[str], survey: Survey
) -> None:
    main = parts.get("train", parts.get("all"))
    if not any(map(len, parts.values())):
        raise DataError(
            "No image in {path}: {classes} folders with {others} other files{kinds}, "
            "{bad} unreadable images.",
            hint="Expected {path}/CLASS/*.jpg (or .png, .webp, .bmp, .tif, .gif, .ppm), one "
            "folder for each class.",
            path=root,
            classes=len(classes),
            others=survey.others.total(),
            kinds=f" ({survey.kinds()})" if survey.others else "",
            bad=len(survey.bad),
        )
    if main is None:
        return
    counts = np.bincount(main.labels, minlength=len(classes))
    others = {int(label) for part in parts.values() for label in part.labels}
    for number in np.flatnonzero(counts == 0).tolist():
        if number not in others:
            raise DataError(
                'Class "{label}" of {name} is empty.',
                hint="Add images of it, or remove the class.",
                label=shortened(classes[number]),
                name=root,
            )


def _guesses(inner: list[str], split_folders: dict[str, str]) -> list[Noted]:
    notes = [
        Noted(
            word="NOTE",
            template="The folder {folder}/ is taken as the {split} split.",
            values={"folder": name, "split": split},
        )
        for name, split in split_folders.items()
        if name != split
    ]
    ignored = [name for name in inner if name not in split_folders] if split_folders else []
    for name in ignored:
        if near := nearest(name, set(SPLIT_NAMES.values())):
            notes.append(
                Noted(
                    word="WARN",
                    template="The folder {folder}/ is no split and was passed over: "
                    "did you mean {split}/?",
                    values={"folder": name, "split": near[0]},
                )
            )
    if ignored:
        notes.append(
            Noted(
                word="NOTE",
                template="{splits} are taken as splits; folders beside them were passed over: "
                "{folders}.",
                values={
                    "splits": ", ".join(f"{name}/" for name in split_folders),
                    "folders": ", ".join(f"{name}/" for name in map(shortened, ignored)),
                },
            )
        )
    return notes
