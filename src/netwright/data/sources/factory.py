"""Data made by the user's own code: `file.py:factory` or `package.module:factory`.

The factory is called with those of `num_classes`, `size`, `seed`, `val_share` and the `data.*`
settings that its signature names. It returns train and validation, and test if it likes, as a
tuple or as a mapping with these names; `classes` in the mapping, or as an attribute, names the
classes. Each split is a map-style data set of (image, label), or a pair of tensors.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.core.errors import DataError, SettingError, UnknownNameError
from netwright.core.languages import say
from netwright.data.foreign import split_of
from netwright.data.sources import SOURCES, Found, Request

_SPLITS = ("train", "val", "test")


def _is_factory(path: Path) -> bool:
    place, colon, name = str(path).rpartition(":")
    return bool(colon) and name.isidentifier() and bool(place) and not path.exists()


@SOURCES.register("factory", recognises=_is_factory, order=10)
def factory(request: Request, options: Mapping[str, Any]) -> Found:
    """The user's own function, `file.py:factory` or `package.module:factory`.

    Raises `SettingError` for a function that is not there or does not take a setting, and
    `DataError` for a result that does not fit, each saying what was expected.
    """
    make = _function(request.place)
    made = make(**_arguments(make, request, options))
    given, classes = _unpacked(made, request.place)
    parts = {split: split_of(each, split, request.place) for split, each in given.items()}
    count = 1 + max(int(images.labels.max()) for images in parts.values())
    if classes is None:
        classes = [str(number) for number in range(count)]
    elif len(classes) < count:
        raise DataError(
            "{place} names {named} classes, but its labels go up to {highest}.",
            hint="Expected labels counted from 0 to the number of classes less one.",
            place=request.place,
            named=len(classes),
            highest=count - 1,
        )
    return Found(
        name=request.place,
        layout=say("made by {place}", place=request.place),
        classes=tuple(map(str, classes)),
        parts=parts,
    )


def _function(place: str) -> Callable[..., Any]:
    where, _, name = place.rpartition(":")
    module = _file(Path(where).expanduser()) if where.endswith(".py") else _module(where)
    found = getattr(module, name, None)
    if not callable(found):
        names = [each for each, value in vars(module).items() if inspect.isfunction(value)]
        raise UnknownNameError("function", name, names)
    return found


def _file(path: Path) -> Any:
    if not path.is_file():
        raise SettingError("There is no file {path} to take a factory from.", path=str(path))
    # One name for each file, so that two factories called data.py do not meet.
    digest = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    name = f"netwright_factory_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        del sys.modules[name]
        raise _unreadable(str(path), error) from error
    return module


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError) as error:
        raise _unreadable(name, error) from error


def _unreadable(place: str, error: Exception) -> SettingError:
    return SettingError(
        "{place} cannot be imported: {reason}.",
        hint="Expected file.py:factory, or package.module:factory that Python can import.",
        place=place,
        reason=str(error).rstrip("."),
    )


def _arguments(
    make: Callable[..., Any], request: Request, options: Mapping[str, Any]
) -> dict[str, Any]:
    known = {
        "size": request.size,
        "seed": request.seed,
        "val_share": request.val_share,
        "num_classes": None,
        **options,
    }
    parameters = inspect.signature(make).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name in options:
        if name not in parameters and not takes_all:
            raise SettingError(
                "data.{name}: {place} takes no such argument.",
                hint="It takes: {known}.",
                name=name,
                place=request.place,
                known=", ".join(parameters) or "-",
            )
    chosen = {}
    for name, each in parameters.items():
        if name in known and (known[name] is not None or each.default is each.empty):
            chosen[name] = known[name]
        elif each.default is each.empty and each.kind not in (
            each.VAR_KEYWORD,
            each.VAR_POSITIONAL,
        ):
            raise SettingError(
                "{place} asks for {name}, which nobody gave.",
                hint="Give it as data.{name}=..., or a default in the function.",
                place=request.place,
                name=name,
            )
    return chosen | {name: value for name, value in options.items() if takes_all}


def _is_array(value: Any) -> bool:
    """A split is never a bare array: (images, labels) alone lacks a validation split."""
    return hasattr(value, "dtype")


def _unpacked(made: Any, place: str) -> tuple[dict[str, Any], Sequence[Any] | None]:
    """The splits by name, and the names of the classes if the factory gives them."""
    if isinstance(made, Mapping):
        given = {split: made[split] for split in _SPLITS if made.get(split) is not None}
        classes = made.get("classes")
    elif isinstance(made, tuple | list) and len(made) in (2, 3) and not _is_array(made[0]):
        given = dict(zip(_SPLITS, made, strict=False))
        classes = None
    else:
        given, classes = {}, None
    if "train" not in given or "val" not in given:
        kind = type(made).__name__
        if isinstance(made, tuple | list):
            kind += f" of {len(made)}"
        raise DataError(
            "{place} returned {kind}.",
            hint="Expected (train, val), (train, val, test), or a mapping with these names and, "
            "if you like, classes; each split a map-style data set of (image, label) or a pair "
            "of tensors.",
            place=place,
            kind=kind,
        )
    if classes is None:
        classes = getattr(given["train"], "classes", None)
    return given, classes
