"""Where weights lie: a file, a run folder, a checkpoint of a run, each under an adapter or not."""

from __future__ import annotations

from pathlib import Path

from netwright.core.registry import Entry
from netwright.models.adapters import ADAPTERS, Adapter
from netwright.records.run import Run, find_run, is_run, runs_root
from netwright.records.seeds import answering
from netwright.tasks.weight_addresses import cached_path, is_address


def place_of(spec: str) -> tuple[Entry[Adapter] | None, Path]:
    """The adapter that is named, if one is, and the file or run folder; of an address the file
    it is kept in, which need not be there yet."""
    adapter, address = address_in(spec)
    if address is not None:
        return adapter, cached_path(address)
    path = path_of(spec)
    if exists(path):
        return None, answering(Run(path)).path if is_run(path) else path
    name, colon, rest = spec.partition(":")
    if colon and (name in ADAPTERS or exists(path_of(rest))):
        return ADAPTERS.get(name), path_of(rest)
    if spec == "latest" or is_run(runs_root() / spec):
        return None, answering(find_run(spec)).path.resolve()
    return None, path


def address_in(spec: str) -> tuple[Entry[Adapter] | None, str | None]:
    """The adapter that is named before an address, if one is, and the address; None for a path."""
    if not is_address(spec) or exists(path_of(spec)):
        return None, None
    name, colon, rest = spec.partition(":")
    if colon and is_address(rest):
        return ADAPTERS.get(name), rest
    return None, spec


def path_of(text: str) -> Path:
    """An absolute path; of a text that no system would take as one, the text as it is."""
    try:
        return Path(text).expanduser().resolve()
    except (OSError, ValueError, RuntimeError):  # a zero byte in it, or the home of nobody
        return Path(text).absolute()


def exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte in it
        return False


def run_names(path: Path) -> list[str]:
    """The runs that may have been meant by `path`: those under `runs/`, and those beside it."""
    found = []
    for root in (runs_root(), path.parent):
        try:
            found += [each.name for each in sorted(root.iterdir()) if is_run(each)]
        except (OSError, ValueError):  # it is not there, or its name is none
            continue
    return found


def run_of(path: Path) -> Run | None:
    """The run that a folder is, or a weights file is of: its best, or one of its checkpoints."""
    places = [path]
    if path.suffix == ".safetensors":
        places.append(path.parent)  # best.safetensors, or ckpt/step-000000123/weights.safetensors
        if path.parent.parent.name == "ckpt":
            places.append(path.parent.parent.parent)
    for place in places:
        if is_run(place):
            return answering(Run(place))
    return None
