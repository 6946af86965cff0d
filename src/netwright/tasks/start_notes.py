"""What is said of the weights a network begins with: what fitted, what did not, and the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netwright.core.config import show
from netwright.core.events import Noted
from netwright.data.dataset import Dataset
from netwright.data.opening import DRAWN_VALIDATION
from netwright.data.preprocessing import Preprocessing
from netwright.models.weights.fitting import Fit
from netwright.tasks.starting import Start
from netwright.tasks.weight_places import exists, path_of


def start_notes(start: Start, preprocessing: Preprocessing) -> list[Noted]:
    """What was loaded and how, for the user."""
    assert start.fit is not None, "said after put_into"
    notes = [
        _note(
            "OK",
            "tensors loaded: {count}, from {path}",
            count=len(start.fit.fitting),
            path=str(start.path),
        )
    ]
    if start.adapter is not None:
        notes.append(
            _note(
                "NOTE",
                "the weights are read by the adapter {adapter}: {source}",
                adapter=start.adapter.name,
                source=start.adapter.facts["source"],
            )
        )
    if start.taken_off:
        notes.append(
            _note(
                "NOTE",
                "the names of the weights are taken out of {wrappings}",
                wrappings=", ".join(start.taken_off),
            )
        )
    notes += _on_names(start, start.fit)
    if start.fit.fresh and start.fit.given_classes:
        notes.append(
            _note(
                "NOTE",
                "the head begins anew, classes {given} -> {own} ({names})",
                given=start.fit.given_classes,
                own=start.num_classes,
                names=", ".join(start.fit.fresh),
            )
        )
    elif start.fit.fresh and len(start.classes) == start.num_classes:
        notes.append(
            _note(
                "NOTE",
                "the head begins anew: the weights know other classes, such as {given}, where "
                "these are {own} ({names})",
                given=_first(start.classes),
                own=_first(start.own_classes),
                names=", ".join(start.fit.fresh),
            )
        )
    elif start.fit.fresh:
        notes.append(
            _note(
                "NOTE",
                "the head begins anew: the file has none ({names})",
                names=", ".join(start.fit.fresh),
            )
        )
    if start.reordered:
        notes.append(
            _note(
                "NOTE",
                "the weights know the classes in another order: the head was put into that of "
                "these ({names})",
                names=", ".join(start.reordered),
            )
        )
    if start.converted:
        notes.append(
            _note(
                "NOTE",
                "the weights are {kinds} in the file and were converted",
                kinds=", ".join(start.converted),
            )
        )
    if start.zeros:
        notes.append(
            _note(
                "WARN",
                "0 throughout, as if they had never been trained: {names} ({count} of {total} "
                "tensors)",
                names=_first(start.zeros),
                count=len(start.zeros),
                total=len(start.fit.fitting),
            )
        )
    return [*notes, *_on_images(start, preprocessing)]


def notes_on_split(start: Start, dataset: Dataset, config: Mapping[str, Any]) -> list[Noted]:
    """A warning where the run these weights are of held back other validation images of the
    same data: it was trained on most of those that are to judge this one."""
    if start.run is None or not _held_back(dataset.notes):
        return []
    facts, theirs = start.run.model.get("data"), start.run.config
    if not isinstance(facts, Mapping) or not _held_back(facts.get("notes")):
        return []
    data, seed = theirs.get("data"), theirs.get("seed")
    if not isinstance(data, Mapping) or not _same_data(data, config):
        return []
    if facts.get("fingerprint") == dataset.fingerprint():
        return []
    share = data.get("val_share")
    if (seed, share) == (config.get("seed"), config.get("data.val_share")):
        return []  # the data are others than they were: nothing is known of what was seen
    return [
        _note(
            "WARN",
            "the weights have been trained on most of the validation images of seed {own} "
            "({count}), so that validation looks better than it is: their run held back "
            "others. "
            "With seed={seed} data.val_share={share} the same are held back again.",
            count=len(dataset.splits["val"]),
            own=config.get("seed"),
            seed=show(seed),
            share=show(share),
        )
    ]


def _on_names(start: Start, fit: Fit) -> list[Noted]:
    """What was renamed, reshaped, adapted and left out."""
    notes = []
    if start.arranged is not None and start.arranged.renamed:
        new, old = next(iter(start.arranged.renamed.items()))
        notes.append(
            _note(
                "NOTE",
                "tensors renamed: {count}, such as {old} -> {new}",
                count=len(start.arranged.renamed),
                old=old,
                new=new,
            )
        )
    if start.arranged is not None and start.arranged.reshaped:
        notes.append(
            _note(
                "NOTE",
                "tensors reshaped, between convolution and linear layer: {count} ({names})",
                count=len(start.arranged.reshaped),
                names=_first(start.arranged.reshaped),
            )
        )
    if start.adapted is not None:
        notes.append(
            _note(
                "NOTE",
                "the first convolution is adapted to the images, channels {given} -> {own} "
                "({names})",
                given=start.adapted.given,
                own=start.adapted.own,
                names=", ".join(start.adapted.names),
            )
        )
    if fit.skipped:
        notes.append(
            _note(
                "NOTE",
                "tensors skipped, of a part that this network has not: {count} ({names})",
                count=len(fit.skipped),
                names=_first(fit.skipped),
            )
        )
    return notes


def _on_images(start: Start, preprocessing: Preprocessing) -> list[Noted]:
    used = {
        "mean": show([round(each, 4) for each in preprocessing.mean]),
        "std": show([round(each, 4) for each in preprocessing.std]),
    }
    notes = []
    if start.source is not None:
        notes.append(_note("NOTE", "the weights: {source}", source=start.source))
    if start.images == "data":
        template = (
            "images are normalised by the training data, mean {mean}, std {std}, as asked for"
        )
    elif start.statistics(preprocessing.channels) != (preprocessing.mean, preprocessing.std):
        template = (
            "images are normalised by the training data, mean {mean}, std {std}: the file "
            "does not say what its weights expect"
        )
    elif len(start.mean) == preprocessing.channels:
        template = "images are normalised as the weights expect: mean {mean}, std {std}"
    else:
        template = (
            "images are normalised as the weights expect, whose statistics of each channel "
            "were brought to these channels: mean {mean}, std {std}"
        )
    notes.append(Noted(word="NOTE", template=template, values=used))
    if start.size is not None and start.size != preprocessing.size:
        notes.append(
            _note(
                "NOTE",
                "the weights were trained on images of {given}; these are {own} (data.size)",
                given=_times(start.size),
                own=_times(preprocessing.size),
            )
        )
    return notes


def _same_data(theirs: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a recorded `data` and the settings of a new run name the same data."""
    names = str(theirs.get("name")), str(config.get("data.name"))
    return names[0] == names[1] or (
        exists(path_of(names[1])) and path_of(names[0]) == path_of(names[1])
    )


def _held_back(notes: Any) -> bool:
    """Whether a data set's notes, as made or as recorded, say that validation was drawn."""
    texts = [
        each.get("template") if isinstance(each, Mapping) else getattr(each, "template", None)
        for each in (notes if isinstance(notes, Sequence) else ())
    ]
    return any(text in DRAWN_VALIDATION for text in texts)


def _first(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def _times(size: Sequence[int]) -> str:
    return "x".join(str(side) for side in size)


def _note(word: str, template: str, **values: Any) -> Noted:
    return Noted(word=word, template=template, values=values)
