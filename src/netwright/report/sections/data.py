"""The data: what was read, how many images of each class in each split, how they are prepared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.bars import bar
from netwright.report.material import Material, mapping, sequence
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import facts, fold, note, table
from netwright.report.words import NONE, count, named, number, short, spoken, whole

_UNFOLDED = 24
_SPLITS = ("train", "val", "test")


@SECTIONS.register("data", order=100)
def data(material: Material, allowance: Allowance) -> Part | None:
    """Facts, then the counts of each class."""
    known = {
        split: mapping(counts)
        for split, counts in mapping(material.data.get("counts")).items()
        if split in _SPLITS
    }
    pairs = _facts(material, known)
    if not pairs:
        return None
    body = facts(pairs) + _counts(material, known, allowance.rows)
    resize = mapping(material.model.get("input")).get("resize")
    if isinstance(resize, str) and resize:
        body += note(say("Images of another size are fitted by the rule {rule}.", rule=resize[:40]))
    attribution = spoken(material.data.get("attribution"), limit=1200)
    if attribution:
        body += note(attribution)
    return Part(title=say("The data"), lead=spoken(material.data.get("layout")), body=body)


def _facts(material: Material, counts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    names = {
        "train": say("training images"),
        "val": say("validation images"),
        "test": say("test images"),
    }
    rows = [
        (names[split], f"{sum(whole(each) or 0 for each in counts[split].values()):,}")
        for split in _SPLITS
        if split in counts
    ]
    if material.classes:
        rows.append((say("classes"), f"{len(material.classes):,}"))
    shown = mapping(material.model.get("input"))
    size = [whole(each) for each in sequence(shown.get("size"))[:2]]
    if len(size) == 2:
        sides = [whole(shown.get("channels")), *size]
        rows.append((say("input"), " × ".join(str(each) for each in sides if each is not None)))
    for name, title in (("mean", say("mean")), ("std", say("std"))):
        values = [number(each) for each in sequence(shown.get(name))[:8]]
        if values:
            rows.append((title, " ".join(map(_short_mean, values))))
    return rows


def _short_mean(value: float | None) -> str:
    """Three decimals, without the nought where several stand in a row: .485 .456 .406."""
    return NONE if value is None else f"{value:.3f}".removeprefix("0")


def _counts(material: Material, counts: Mapping[str, Mapping[str, Any]], most: int) -> str:
    """Images of each class in each split; a bar compares the training images."""
    splits = [split for split in _SPLITS if split in counts]
    if not splits:
        return ""
    classes = material.classes or [str(each) for each in counts[splits[0]]]
    largest = max((whole(each) or 0 for each in counts[splits[0]].values()), default=0)
    rows = []
    for name in classes[:most]:
        have = whole(counts[splits[0]].get(name)) or 0
        rows.append(
            [
                named(name, 40),
                bar(have / largest, "other") if largest > 0 else "",
                *(count(whole(counts[split].get(name, 0))) for split in splits),
            ]
        )
    total = [f"{sum(whole(each) or 0 for each in counts[split].values()):,}" for split in splits]
    titles = {"train": say("train"), "val": say("val"), "test": say("test")}
    body = table(
        [say("class"), "", *(titles[split] for split in splits)],
        rows,
        kinds="tb" + "n" * len(splits),
        foot=[html_text(say("total")), "", *total],
    )
    if len(classes) > most:
        more = f"{len(classes) - most:,}"
        body += note(say("{more} more are listed in model.json.", more=more))
    if len(classes) <= _UNFOLDED:
        return body
    return fold(say("Images of each of the {count} classes", count=short(len(classes))), body)
