"""What a run folder says about its run before the first step: `run.json`, `model.json`,
`config.yaml`, `env.txt`, and the user's own code."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from netwright.core import atomic
from netwright.core.events import Noted
from netwright.core.factories import find_factory, is_factory
from netwright.core.languages import Phrase
from netwright.core.trust import remember
from netwright.inspection.outline import outline
from netwright.records.run import runs_root
from netwright.tasks.architectures import CODE_FOLDER
from netwright.tasks.augmentation_pictures import show_augmentations
from netwright.tasks.feature_evidence import write_first_filters
from netwright.tasks.preparing import Prepared
from netwright.tasks.provenance import git_state, now
from netwright.tasks.settings import Resolved
from netwright.train.run_folder import RunFolder, barely_begun


def make_folder(run_dir: Path | None, prepared: Prepared, *more: str) -> RunFolder:
    """The folder of a new run: `run_dir`, else one under `runs/` named by data, model, `more`."""
    if run_dir is not None and barely_begun(run_dir):
        return RunFolder.open(run_dir)
    names = [short(each) for each in (prepared.dataset.name, prepared.architecture.name)]
    return RunFolder.create(run_dir, name_parts=[*names, *more], root=runs_root())


def short(name: str) -> str:
    """The part of a path or factory that tells it from others: `model.py:Net`, `flowers`."""
    return name.rstrip("/").rpartition("/")[2]


def write_first(folder: RunFolder, prepared: Prepared, command: str) -> None:
    """Everything that is known before the first step."""
    folder.write_config(with_absolute_paths(prepared.resolved).to_yaml())
    folder.write_model(_model_facts(prepared))
    write_more(folder, prepared, command)


def write_more(folder: RunFolder, prepared: Prepared, command: str) -> None:
    """The part of it that a run can be without: one that was killed while this was written goes
    on, and writes it then."""
    factory = prepared.architecture.factory
    if factory is not None and factory.path:
        remember(factory.spec, factory.path, factory.sha256)
        atomic.make_folder(folder.path / CODE_FOLDER)
        copy = folder.path / CODE_FOLDER / factory.path.name
        if factory.path.resolve() != copy.resolve():
            atomic.write_bytes(copy, factory.path.read_bytes())
    write_begun(folder, prepared, command)
    folder.point_latest()
    prepared.task.show_first_batch(folder.path)
    write_first_filters(folder.path, prepared.task.model)
    show_augmentations(
        folder.path,
        prepared.recipe.aug,
        prepared.dataset.splits["train"],
        preprocessing=prepared.preprocessing,
        seed=prepared.recipe.general.seed,
    )


def write_begun(folder: RunFolder, prepared: Prepared, command: str) -> None:
    """Where, when and with what a run begins: `env.txt`, and the first state of `run.json`."""
    versions = _versions()
    folder.write_env("".join(f"{name} {value}\n" for name, value in versions.items()))
    folder.write_info(
        status="running",
        why="",
        command=command or "netwright.train(...)",
        versions=versions,
        git=git_state(),
        device=_device_words(prepared.device),
        seed=prepared.recipe.general.seed,
        started=now(),
        ended=None,
        best=None,
        epochs=0,
        steps=0,
        threads=torch.get_num_threads(),
    )


def _model_facts(prepared: Prepared) -> dict[str, Any]:
    dataset, task = prepared.dataset, prepared.task
    rows = outline(task.model, prepared.preprocessing.shape)
    return {
        "format": 1,
        "task": "classification",
        "architecture": prepared.architecture.to_json(),
        "start": prepared.start.to_json() if prepared.start is not None else None,
        "transfer": task.transfer.to_json() if task.transfer is not None else None,
        "begun": [_message(note) for note in prepared.begun],
        "classes": list(dataset.classes),
        "input": prepared.preprocessing.to_json(),
        "params": sum(each.numel() for each in task.model.parameters()),
        "macs": sum(row.macs for row in rows),
        "layers": [dataclasses.asdict(row) for row in rows],
        "data": {
            "name": dataset.name,
            "layout": dataset.layout,
            "counts": dataset.counts(),
            "attribution": dataset.attribution,
            "fingerprint": dataset.fingerprint(),
            "code": _data_code(prepared.recipe.data.name),
            "notes": [_message(note) for note in dataset.notes],
            "quarantined": [list(each) for each in dataset.quarantined],
        },
    }


def _message(note: Noted) -> dict[str, Any]:
    """A note as the report speaks it again, in the language of its reader."""
    return {"word": note.word, **_spoken_later(note.template, note.values)}


def _spoken_later(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A message, and the messages inside it, with their templates."""
    inside = {
        name: _spoken_later(each.template, each.values)
        for name, each in values.items()
        if isinstance(each, Phrase)
    }
    return {"template": template, "values": {**plain_values(values), **inside}}


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a message as JSON takes them."""
    return {
        name: value if isinstance(value, bool | int) or is_finite(value) else str(value)
        for name, value in values.items()
    }


def is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _data_code(name: str) -> dict[str, str] | None:
    """File and hash of a data factory, so that the run can tell later whether it changed."""
    if not is_factory(name):
        return None
    factory = find_factory(name)
    if factory.path is not None:
        remember(factory.spec, factory.path, factory.sha256)
    return {"origin": str(factory.path or ""), "sha256": factory.sha256}


def with_absolute_paths(resolved: Resolved) -> Resolved:
    """Paths as they are found from anywhere: the run must not depend on where it was started."""
    values = dict(resolved.values)
    for name in ("data.name", "model.name"):
        spec = str(values[name])
        path, colon, function = spec.rpartition(":") if is_factory(spec) else (spec, "", "")
        if path.endswith(".py") or (name == "data.name" and Path(path).exists() and not colon):
            values[name] = f"{Path(path).expanduser().resolve()}{colon}{function}"
    return dataclasses.replace(resolved, values=values)


def _versions() -> dict[str, str]:
    try:
        own = version("netwright")
    except PackageNotFoundError:
        own = "source"
    return {
        "netwright": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _device_words(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
