"""Factories: `file.py:make` and `package.module:make`, found, checked and called.

A factory is the user's own code. It runs when the user names it; when a run folder names it,
it runs only if this user ran the same function from the same unchanged file before
(`netwright.core.trust`): a folder from elsewhere must not be able to call `os.system` by calling
it a model.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.core.errors import NetwrightError, SettingError, nearest
from netwright.core.trust import is_remembered


@dataclass(frozen=True, kw_only=True)
class Factory:
    """A callable of the user's, and the file it stands in."""

    spec: str
    call: Callable[..., Any]
    path: Path | None
    sha256: str


def is_factory(spec: str) -> bool:
    """Whether `spec` has the form of a factory: `file.py:name` or `package.module:name`."""
    place, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier():
        return False
    return place.endswith(".py") or all(part.isidentifier() for part in place.split("."))


def find_factory(spec: str, *, copy: Path | None = None) -> Factory:
    """Import the module of `spec` (or `copy` of its file) and look the name up in it.

    Raises `SettingError` when the file or name is missing or the import fails.
    """
    place, _, name = spec.rpartition(":")
    if copy is not None:
        module = _import_file(copy, spec)
    elif place.endswith(".py"):
        module = _import_file(Path(place).expanduser(), spec)
    else:
        module = _import_module(place, spec)
    if not hasattr(module, name):
        near = nearest(name, [each for each in vars(module) if not each.startswith("_")])
        raise SettingError(
            'No "{name}" in {place}.',
            hint="Nearest: {near}." if near else "",
            name=name,
            place=place,
            near=", ".join(near),
        )
    found = getattr(module, name)
    if not callable(found):
        raise SettingError(
            "{spec} is {kind}; expected a function or class that is called and returns the object.",
            spec=spec,
            kind=type(found).__name__,
        )
    path = Path(module.__file__).resolve() if getattr(module, "__file__", None) else None
    if path is not None and place.endswith(".py") and copy is None:
        spec = f"{path}:{name}"  # found from anywhere
    return Factory(spec=spec, call=found, path=path, sha256=file_hash(path) if path else "")


def find_recorded_factory(
    spec: str, *, origin: str, sha256: str, copy: Path | None, trust_code: bool
) -> Factory:
    """The factory a run folder names, if the user ran it before from that unchanged file.

    `origin` and `sha256` are of the file when the run was made, `copy` is the one kept in the
    run. Anything else runs only with `trust_code`. Raises `SettingError` otherwise.
    """
    place = Path(origin)
    if is_remembered(spec, place, sha256) and place.is_file() and file_hash(place) == sha256:
        return find_factory(spec)
    if not trust_code:
        raise SettingError(
            "This run needs the code of {spec}, and it is not known to be yours and unchanged.",
            hint="It came from {origin}. Read the copy in the run folder; if you trust it, say "
            "--trust-code.",
            spec=spec,
            origin=origin or "?",
        )
    if copy is None or not copy.is_file():
        return find_factory(spec)
    return find_factory(spec, copy=copy)


def call_factory(factory: Factory, offered: Mapping[str, Any], *, wanted: Mapping[str, Any]) -> Any:
    """Call with those of `offered` that its signature names, and all of `wanted`.

    `wanted` are settings a user gave: one the signature lacks is refused by name. Whatever the
    factory raises becomes a `SettingError` that names it and its line.
    """
    parameters = _parameters(factory.call)
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    named = {
        name
        for name, each in parameters.items()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    for name in wanted:
        if name not in named and not takes_any:
            near = nearest(name, named)
            raise SettingError(
                '{spec} takes no "{name}".',
                hint="Did you mean {near}?" if near else "It takes: {known}.",
                spec=factory.spec,
                name=name,
                near=", ".join(near),
                known=", ".join(sorted(named)) or "nothing",
            )
    given = {name: value for name, value in offered.items() if name in named} | dict(wanted)
    missing = [
        name
        for name, each in parameters.items()
        if name in named and each.default is each.empty and name not in given
    ]
    if missing:
        raise SettingError(
            "{spec} needs {missing}, which no setting gives.",
            hint="Give it as model.{first}=... (or data.{first}=...), or give it a default.",
            spec=factory.spec,
            missing=", ".join(missing),
            first=missing[0],
        )
    try:
        return factory.call(**given)
    except NetwrightError:
        raise
    except (Exception, SystemExit) as error:  # a user's code can raise anything; it is told
        raise SettingError(
            "{spec} raised {kind}: {reason} ({place})",
            spec=factory.spec,
            kind=type(error).__name__,
            reason=str(error) or "no message",
            place=_place(error),
        ) from error


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _parameters(call: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(call).parameters
    except (TypeError, ValueError):  # a built-in that does not tell
        return {}


def _import_file(path: Path, spec: str) -> Any:
    if not path.is_file():
        raise SettingError("No file {path}, named by {spec}.", path=str(path), spec=spec)
    # One name for each place and content: a file that changed is another module.
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    name = f"netwright_user_{path.stem}_{place[:8]}_{file_hash(path)[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise SettingError("{path} is no Python file.", path=str(path))
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look it up
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_failed(spec, error) from error
    return module


def _import_module(name: str, spec: str) -> Any:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _import_failed(spec, error) from error


def _import_failed(spec: str, error: BaseException) -> SettingError:
    return SettingError(
        "Importing {spec} failed with {kind}: {reason} ({place})",
        spec=spec,
        kind=type(error).__name__,
        reason=str(error) or "no message",
        place=_place(error),
    )


def _place(error: BaseException) -> str:
    """File and line where the user's code raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
