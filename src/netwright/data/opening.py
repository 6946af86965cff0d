"""Opening data: a name, a path or a factory becomes a `Dataset`, every guess said.

open_dataset(DataOptions(name="digits"), seed=0)
open_dataset(DataOptions(name="flowers/", size=64), seed=0)
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from netwright.core.config import Count, build, config, setting
from netwright.core.downloads import Announce, Progress, log
from netwright.core.errors import DataError, SettingError, UnknownNameError, nearest
from netwright.core.events import Noted
from netwright.core.keyed import permutation
from netwright.core.registry import Entry
from netwright.data.checking import check_finite, check_labels, shortened
from netwright.data.dataset import Dataset, Images
from netwright.data.files import Bad, FileImages, decoded, sampled
from netwright.data.given import open_images
from netwright.data.memory import memory_limit
from netwright.data.packed import data_in
from netwright.data.shaping import Shape, common_shape, shaped
from netwright.data.sources import SOURCES, Found, Request, Source
from netwright.data.splits import stratified
from netwright.data.unreadable import first_of, refuse_many

__all__ = ["DataOptions", "find_source", "open_dataset", "open_images", "read_options"]

DRAWN_VALIDATION = (
    "No validation split of its own: {held} of the {count} training images are kept for it, from "
    "each class its share (data.val_share, seed {seed}).",
    "No split of its own: {held} of {count} images are kept for validation, from each class its "
    "share (data.val_share, seed {seed}). There is no test split.",
)
"""What is said when validation is drawn: from the training images, or from all there are."""

_PIXELS_TRIED = 64


@config
class DataOptions:
    """The settings of any data; those of one source (`data.images`) are in `source`."""

    name: str = setting("digits", help="a name, a folder, a file, or file.py:factory")
    size: int | None = setting(None, ge=1, le=4096, help="side of the images", unit="pixels")
    channels: Literal[1, 3] | None = setting(None, help="1 grey, 3 colour; none: as they are")
    val_share: float = setting(0.1, gt=0, lt=1, help="share of training kept for validation")
    workers: Count | Literal["auto"] = setting("auto", help="processes that read a stream")
    cache: Literal["auto", "memory", "stream"] = setting(
        "auto", help="hold the images in memory or stream them; auto: in memory if they fit"
    )
    decode: Literal["exact", "fast"] = setting(
        "fast",
        help="JPEG files: exact decodes them whole, fast as small as data.size allows (other "
        "pixels, as another resize would give)",
    )
    max_unreadable: float = setting(
        0.01, ge=0, le=1, help="share of unreadable files that is forgiven, five in any case"
    )
    balance: Literal["none", "oversample"] = setting(
        "none", help="oversample: each class as often as the largest in an epoch of training"
    )
    source: dict[str, Any] = setting({}, help="settings of the source")


def read_options(values: Mapping[str, Any]) -> DataOptions:
    """`DataOptions` from the flat settings under `data.`, those of the source included.

    Everything is checked at once; `SettingError` names the unknown and the out of range.
    """
    common = {field.name for field in dataclasses.fields(DataOptions)} - {"source"}
    mine = {name: value for name, value in values.items() if name in common}
    theirs = {name: value for name, value in values.items() if name not in common}
    options = build(DataOptions, {**mine, "source": theirs}, prefix="data.")
    _source_options(find_source(options.name), options)
    return options


def find_source(name: str) -> Entry[Source]:
    """The source that reads `name`: a named set, a factory, or the layout found at that path.

    Raises `DataError` when there is nothing or nothing known, and `UnknownNameError` for a word
    that is nearly the name of a built-in set.
    """
    if _is_named(name):
        return SOURCES.get(name)
    path = data_in(Path(name).expanduser())
    layouts = [entry for entry in SOURCES if "recognises" in entry.facts]
    for entry in sorted(layouts, key=lambda entry: entry.facts["order"]):
        if entry.facts["recognises"](path):
            return entry
    named = [entry.name for entry in SOURCES if entry.facts.get("built_in")]
    if os.path.lexists(path):
        raise DataError(
            "{path} is no data that can be read.",
            hint="Expected a folder CLASS/*.jpg, a folder with train/ and val/ or test/, idx "
            "files, a .csv or .jsonl of paths and labels, or file.py:factory. "
            "Unpack an archive first.",
            path=name,
        )
    if os.sep not in name and nearest(name, named):
        raise UnknownNameError("data set", name, named, listing="netwright ls data")
    raise DataError(
        "There is no data at {path}.",
        hint="Expected a folder or file, file.py:factory, or a built-in name: {named}.",
        path=name,
        named=", ".join(named),
    )


def open_dataset(
    options: DataOptions,
    *,
    seed: int,
    splits_needed: Sequence[str] = ("train", "val"),
    classes: Sequence[str] | None = None,
    shape: Shape | None = None,
    announce: Announce = log,
    progress: Progress | None = None,
) -> Dataset:
    """Find, read, check and split the data that `options` name.

    With `val` among `splits_needed` (training), a set without a validation split gets one, drawn
    from training by `seed`; what the source gives as test stays test. Without (`()`, for an
    evaluation on other data) the splits stay as the source has them, and a set without any is
    one split called `all`. `classes` and `shape` are those of a trained network: labels are
    brought to its numbers, images to its (C, H, W). `announce` is told of a download before it
    begins, `progress(held, total)` is called while it goes on.

    Raises `DataError` for everything about the data that cannot be mended, `SettingError` for
    settings that the source does not have.
    """
    entry = find_source(options.name)
    place = "" if _is_named(options.name) else options.name
    inside = data_in(Path(place).expanduser())
    is_packed = inside != Path(place).expanduser()
    request = Request(
        place=str(inside) if is_packed else place,
        size=options.size,
        seed=seed,
        val_share=options.val_share,
        cache=options.cache,
        announce=announce,
        progress=progress,
    )
    found = entry.target(request, _source_options(entry, options))
    if is_packed:
        found = _from_archive(found, options.name, inside)
    whole, notes = common_shape(found.parts.values(), size=options.size, channels=options.channels)
    given = [split for split in ("all", "train", "val", "test") if split in found.parts]
    parts = {split: shaped(found.parts[split], shape or whole) for split in given}
    parts = {split: _decoding(images, options) for split, images in parts.items()}
    parts, bad = _held(parts, options, shape or whole)
    quarantined = [*found.quarantined, *bad]
    total = sum(map(len, parts.values())) + len(quarantined)
    refuse_many(quarantined, total, options.max_unreadable)
    check_finite(parts)
    if quarantined:
        notes.append(_quarantine_note(quarantined))
    if classes is not None:
        parts, found = _renumbered(parts, found, classes)
    if "val" in splits_needed:
        parts, more = _with_validation(parts, found, options, seed)
        notes += more
        check_labels(found.name, parts, found.classes)
    return Dataset(
        name=found.name,
        layout=found.layout,
        classes=found.classes,
        splits=parts,
        notes=(*found.notes, *notes),
        quarantined=tuple((name, str(reason)) for name, reason in quarantined),
        attribution=found.attribution,
    )


def _is_named(name: str) -> bool:
    return name in SOURCES and bool(SOURCES.get(name).facts.get("built_in"))


def _from_archive(found: Found, archive: str, inside: Path) -> Found:
    note = Noted(
        word="NOTE",
        template="{archive} was unpacked into the cache and read at {path}.",
        values={"archive": archive, "path": str(inside)},
    )
    name = archive if found.name == str(inside) else found.name
    return dataclasses.replace(found, name=name, notes=(note, *found.notes))


def _source_options(entry: Entry[Source], options: DataOptions) -> Any:
    if entry.options is None:  # a factory: its signature decides
        return dict(options.source)
    known = {field.name for field in dataclasses.fields(entry.options)}
    common = {field.name for field in dataclasses.fields(DataOptions)} - {"source"}
    for name in options.source:
        if name not in known:
            near = nearest(name, known | common)
            raise SettingError(
                "data.{name}: no such setting of {source}.",
                hint="Nearest: {near}." if near else "Known: {known}.",
                name=name,
                source=entry.name,
                near=", ".join(near),
                known=", ".join(sorted(known | common)),
            )
    return build(entry.options, options.source, prefix="data.")


def _decoding(images: Images, options: DataOptions) -> Images:
    return images.decoding(options.decode) if isinstance(images, FileImages) else images


def _held(
    parts: Mapping[str, Images], options: DataOptions, shape: Shape
) -> tuple[dict[str, Images], list[Bad]]:
    """The parts in memory if they fit, else a sample of their pixels tried."""
    channels, height, width = shape
    files = {split: each for split, each in parts.items() if isinstance(each, FileImages)}
    needed = sum(len(each) for each in files.values()) * channels * height * width
    fits = options.cache == "memory" or (options.cache == "auto" and needed <= memory_limit())
    held: dict[str, Images] = dict(parts)
    bad: list[Bad] = []
    for split, images in files.items():
        if fits:
            held[split], found = decoded(images)
        else:
            tried = np.sort(permutation(len(images), "scan")[:_PIXELS_TRIED])
            held[split], found = sampled(images, tried)
        bad += found
    return held, bad


def _with_validation(
    parts: Mapping[str, Images], found: Found, options: DataOptions, seed: int
) -> tuple[dict[str, Images], list[Noted]]:
    """The parts with a `val` among them, drawn from `train` or `all` where the source has none."""
    splits = dict(parts)
    if "val" in splits and "train" in splits:
        return splits, []
    whole = splits.pop("all", None)
    images = whole if whole is not None else splits.pop("train", None)
    if images is None:
        raise DataError(
            "{name} has no training images: it has {splits} only.",
            hint="Expected train/ beside them, or class folders without a split.",
            name=found.name,
            splits=", ".join(sorted(splits)),
        )
    kept, held = stratified(images.labels, options.val_share, found.classes, "val", seed)
    splits = {"train": images.subset(kept), "val": images.subset(held), **splits}
    values = {"held": len(held), "count": len(images), "seed": seed}
    template = DRAWN_VALIDATION[0] if whole is None else DRAWN_VALIDATION[1]
    return splits, [Noted(word="NOTE", template=template, values=values)]


def _renumbered(
    parts: Mapping[str, Images], found: Found, classes: Sequence[str]
) -> tuple[dict[str, Images], Found]:
    """The parts with labels counted in `classes`, the class names of a trained network."""
    strange = sorted(set(found.classes) - set(classes))
    if strange:
        raise DataError(
            'Class "{label}" of {name} is unknown to the network.',
            hint="It knows: {classes}.",
            label=shortened(strange[0]),
            name=found.name,
            classes=", ".join(map(shortened, classes)),
        )
    numbers = np.array([list(classes).index(each) for each in found.classes], np.int64)
    moved = {split: images.relabelled(numbers) for split, images in parts.items()}
    return moved, dataclasses.replace(found, classes=tuple(classes))


def _quarantine_note(quarantined: Sequence[Bad]) -> Noted:
    return Noted(
        word="WARN",
        template="{count} files were left out: {first}.",
        values={"count": len(quarantined), "first": first_of(quarantined)},
    )
