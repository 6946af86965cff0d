"""From what a user names to a network that can be inspected.

A registered name, `file.py:factory`, `package.module:factory`, `timm:NAME`, `torchvision:NAME`, a
run, or a `.safetensors` file with its recipe beside it. Unlike a training, an inspection asks
nothing of the output: a network for segmentation or one with five heads is as welcome.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwright.core.errors import SettingError, UnknownNameError
from netwright.core.factories import find_factory, is_factory
from netwright.models import MODELS
from netwright.records.inspection import Shape
from netwright.records.run import Run, find_run, is_run, runs_root
from netwright.records.seeds import answering
from netwright.tasks.inspectable_code import of_factory
from netwright.tasks.inspectable_network import Inspectable
from netwright.tasks.inspectable_published import of_library, registered
from netwright.tasks.inspectable_run import of_run
from netwright.tasks.inspectable_weights import of_weights
from netwright.tasks.libraries import is_library_model


def find_inspectable(
    spec: str,
    *,
    options: Mapping[str, Any],
    sample: Shape | None = None,
    trust_code: bool = False,
) -> Inspectable:
    """What `spec` names, built for `sample` where it depends on it.

    `options` are what stands under `model.`; `num_classes` and `in_channels` may be among them.
    Raises `SettingError` for what is no network, `DataError` for a damaged run.
    """
    if spec in MODELS:
        return registered(MODELS.get(spec).name, dict(options), sample)
    if is_library_model(spec):
        return of_library(spec, dict(options), sample)
    run = _run(spec)
    if run is not None:
        return of_run(run, options, sample, trust_code=trust_code)
    path = Path(spec).expanduser()
    if path.suffix == ".safetensors" and _is_file(path):
        return of_weights(path, options, sample)
    if is_factory(spec):
        return of_factory(find_factory(spec), spec, options, sample)
    if path.suffix == ".py":
        raise _no_name(path)
    if path.suffix == ".safetensors" or "/" in spec or _exists(path):
        raise SettingError(
            "{path} is no network: expected a run folder, a .safetensors file, or file.py:NAME."
            if _exists(path)
            else "There is no {path}.",
            hint="A registered network is named alone: netwright ls models",
            path=spec,
        )
    raise UnknownNameError("model", spec, MODELS.names(), listing="netwright ls models")


def _run(spec: str) -> Run | None:
    """The run that a path, `latest` or a name under `runs/` is, or that a weights file is of."""
    path = Path(spec).expanduser()
    if path.name == "best.safetensors" and _is_file(path):  # others are weights by themselves
        path = path.parent
    with contextlib.suppress(OSError, ValueError):  # no system would take it as a path
        if is_run(path):
            return answering(Run(path))
        if spec == "latest" or is_run(runs_root() / spec):
            return answering(find_run(spec))
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte in it
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _no_name(path: Path) -> SettingError:
    """A Python file without the name in it that makes the network: say which there are."""
    if not _is_file(path):
        return SettingError("There is no {path}.", path=str(path))
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, OSError):
        body = []
    names = [
        each.name
        for each in body
        if isinstance(each, ast.ClassDef | ast.FunctionDef) and not each.name.startswith("_")
    ]
    return SettingError(
        "{path} is a file: say which function or class in it makes the network.",
        hint="Write {path}:{first}. It has: {names}." if names else "Write {path}:NAME.",
        path=str(path),
        first=names[-1] if names else "",
        names=", ".join(names),
    )
