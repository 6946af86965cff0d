"""What was measured of one model in one loop: a bag of facts that conditions read.

A fact is a small frozen dataclass, registered by a name of its own (`records.facts`). Probes write
facts, conditions read them; a fact that nobody could measure is simply not there. A record can be
saved and read back, and says the same then.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast
from zipfile import BadZipFile

import numpy as np

from netwright.core.atomic import write_bytes
from netwright.core.errors import DataError
from netwright.records.facts import FACTS, name_of

T = TypeVar("T")

FORMAT = 1
DOCUMENT = "record.json"
ARRAYS = "record.npz"


class Record:
    """The facts of one patient.

    >>> from netwright.records.facts.loop import Loop
    >>> record = Record([Loop(steps=3, backwards=3)])
    >>> record.get(Loop).steps, Loop in record
    (3, True)
    """

    def __init__(self, facts: Iterable[object] = ()) -> None:
        self._facts: dict[type, object] = {}
        for each in facts:
            name_of(type(each))  # refuses what is no fact
            self._facts[type(each)] = each

    def get(self, kind: type[T]) -> T | None:
        """The fact of that kind, or None where it was not measured."""
        return cast("T | None", self._facts.get(kind))

    def __contains__(self, kind: object) -> bool:
        return kind in self._facts

    def __iter__(self) -> Iterator[object]:
        return iter(self._facts.values())

    def __len__(self) -> int:
        return len(self._facts)

    def with_facts(self, *facts: object) -> Record:
        """The same record with `facts` added; a fact of a kind that is there is replaced."""
        return Record([*self, *facts])

    def save(self, folder: Path) -> None:
        """Write `record.json`, and `record.npz` with the long series, into `folder`."""
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        document = {
            "format": FORMAT,
            "facts": {name_of(type(each)): _plain(each, arrays) for each in self},
        }
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **cast("Any", arrays))
        write_bytes(folder / ARRAYS, packed.getvalue())
        write_bytes(folder / DOCUMENT, json.dumps(document, allow_nan=False).encode())

    @classmethod
    def load(cls, folder: Path) -> Record:
        """The record that `save` wrote; `DataError` for what is none. A fact of a kind this
        version does not know is left out."""
        from pydantic import TypeAdapter, ValidationError

        path = folder / DOCUMENT
        try:
            document = json.loads(path.read_bytes())
            if document["format"] != FORMAT:
                raise DataError("{path} is of format {found}; this version reads {known}.",
                                path=str(path), found=document["format"], known=FORMAT)  # fmt: skip
            with (
                (folder / ARRAYS).open("rb") as file,
                np.load(file, allow_pickle=False) as stored,
            ):
                arrays = {name: stored[name] for name in stored.files}
            facts: list[object] = [
                TypeAdapter[object](FACTS[name]).validate_python(_filled(value, arrays))
                for name, value in document["facts"].items()
                if name in FACTS
            ]
        except (
            OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, ValidationError,
            BadZipFile, zlib.error, NotImplementedError, RecursionError,
        ) as error:  # fmt: skip
            raise DataError(
                "{path} holds no record that can be read: {reason}",
                path=str(path),
                reason=str(error).partition("\n")[0],
            ) from error
        return cls(facts)


def _plain(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """What JSON can hold: arrays stand beside it, a number that is not finite as its name."""
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {"array": key}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each, arrays) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, arrays) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, np.generic):
        return _plain(value.item(), arrays)
    return value


def _filled(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays[value["array"]]
        return {name: _filled(each, arrays) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, arrays) for each in value]
    return value
