"""Weights files of others, read into tensors: safetensors, and checkpoints of `torch.save`.

The bytes are read once, so that the hash is that of what was loaded. A checkpoint of torch is a
pickle and is read by a process of its own (`netwright.models.weights.unpickling`).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from netwright.core.errors import CheckpointError, ExhaustedError, SettingError, nearest
from netwright.models.weights import unpickling
from netwright.models.weights.mistaken import refuse_mistaken
from netwright.models.weights.published import NAME

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_LONGEST = 3600  # it is held by processor time; on a busy machine that may be long in coming


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """The tensors of a file by their names, and what the file says of itself.

    `taken_off` are the wrappings that were removed: `state_dict`, `model`, `module.`.
    """

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    metadata: Mapping[str, str]
    taken_off: tuple[str, ...] = ()
    data: bytes = b""
    """The bytes themselves, of a safetensors file: whoever wrote it may verify them."""


def read_weights_file(path: str | Path, *, known: Sequence[str] = ()) -> WeightsFile:
    """The tensors of a safetensors file or of a checkpoint written with `torch.save`.

    `known` are other names that may have been meant, where there is no such file.

    A checkpoint that holds its state dict under `state_dict`, `model_state_dict` or `model` is
    opened, and the `module.` that `DataParallel` puts before each name is taken off. Raises
    `SettingError` when there is no such file, when it is no weights file, and for a pickle that
    would have to run code to be read; `CheckpointError` when it is damaged; `ExhaustedError` when
    it is larger than the memory.
    """
    path = Path(path)
    data = _bytes(path, known)
    refuse_mistaken(path, data)
    digest = hashlib.sha256(data).hexdigest()
    if not _is_safetensors(data) and data.startswith((_ZIP, _PICKLE)):
        tensors, taken_off = _unpickled(data, path)
        return WeightsFile(
            path=path, sha256=digest, tensors=tensors, metadata={}, taken_off=taken_off
        )
    if path.suffix != ".safetensors" and not _is_safetensors(data):
        raise SettingError(
            "{path} is no weights file.",
            hint="Expected a .safetensors file, or a state dict written with torch.save.",
            path=str(path),
        )
    tensors, metadata = _unpacked(data, path)
    if tensors and all(name.startswith(unpickling.PREFIX) for name in tensors):
        tensors = {name.removeprefix(unpickling.PREFIX): each for name, each in tensors.items()}
        taken_off = (unpickling.PREFIX,)
    else:
        taken_off = ()
    return WeightsFile(
        path=path,
        sha256=digest,
        tensors=tensors,
        metadata=metadata,
        taken_off=taken_off,
        data=data,
    )


def _is_safetensors(data: bytes) -> bool:
    """Whether a header of the length it says stands first; its lowest byte can be any."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data)


def _bytes(path: Path, known: Sequence[str]) -> bytes:
    try:
        if path.is_dir():
            inside = sorted(each.name for each in path.iterdir() if each.suffix in SUFFIXES)
            raise SettingError(
                "{path} is a folder, neither a run nor a weights file.",
                hint="In it are: {names}." if inside else "",
                path=str(path),
                names=", ".join(inside[:5]),
            )
        if not path.is_file():
            raise _missing(path, known)
        size = path.stat().st_size
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if size > memory:
            raise ExhaustedError(
                "{path} has {size:,} bytes, more than the {memory:,} of memory here.",
                path=str(path),
                size=size,
                memory=memory,
            )
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            "Cannot read {path}: {reason}.",
            path=str(path),
            reason=os.strerror(error.errno or 0).lower(),
        ) from error
    except ValueError as error:  # a zero byte in the name
        raise _missing(path, known) from error


def _missing(path: Path, known: Sequence[str]) -> SettingError:
    try:
        if os.path.lexists(path):
            return SettingError(
                "{path} is no plain file, but a pipe, a device, or a link that leads nowhere.",
                path=str(path),
            )
        beside = [each.name for each in path.parent.iterdir() if each.suffix in SUFFIXES]
    except (OSError, ValueError):
        beside = []
    near = [
        *nearest(path.name, [NAME, *known]),
        *(str(path.parent / n) for n in nearest(path.name, beside)),
    ]
    return SettingError(
        "There is no weights file {path}.",
        hint="Nearest: {near}." if near else "",
        path=str(path),
        near=", ".join(near),
    )


def _unpacked(data: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    given = header.get("__metadata__") or {}
    tensors = {name: tensors[name] for name in sorted(tensors)}  # its own order is random
    return tensors, {str(name): str(each) for name, each in given.items()}


def _unpickled(data: bytes, path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """What the child makes of the checkpoint; whatever it refuses is worded here."""
    command = [sys.executable, "-P", "-m", "netwright.models.weights.unpickling"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            env=environment,
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _endless(path) from error
    if done.returncode == -signal.SIGXCPU:
        raise _endless(path)
    line, _, blob = done.stdout.partition(b"\n")
    if done.returncode != 0 or not line:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise _damaged(path, said[-1] if said else f"its reader ended with {done.returncode}")
    answer: dict[str, Any] = json.loads(line)
    _refuse(answer["fault"], answer.get("reason", ""), path)
    return load(blob), tuple(answer["taken_off"])


def _endless(path: Path) -> CheckpointError:
    return CheckpointError(
        "{path} is not read: it takes far more time than a file of its size should.",
        hint="Expected a state dict written with torch.save, or a safetensors file.",
        path=str(path),
    )


def _refuse(fault: str, reason: str, path: Path) -> None:
    if fault == "code":
        raise SettingError(
            "{path} is not read: it calls for {what}, and a file that brings code may run it.",
            hint="Where you trust it, save its state dict alone: "
            "torch.save(model.state_dict(), ...), or a safetensors file.",
            path=str(path),
            what=reason,
        )
    if fault == "pickle":
        raise SettingError(
            "{path} is not read: it is a pickle, but none that torch.save writes.",
            hint="Where you trust it, save its state dict with torch.save, or as a safetensors "
            "file.",
            path=str(path),
        )
    if fault == "script":
        raise SettingError(
            "{path} is not read: it is a program of TorchScript.",
            hint="Where you trust it, save its numbers: "
            "torch.save(torch.jit.load(...).state_dict(), ...).",
            path=str(path),
        )
    if fault == "several":
        raise SettingError(
            "{path} holds several state dicts, and it is not known which is meant: {names}.",
            hint="Save the one you want alone: torch.save(checkpoint[NAME], ...).",
            path=str(path),
            names=reason,
        )
    if fault == "short":
        raise CheckpointError(
            "{path} is damaged: it was cut short, its list of contents is missing.",
            hint="Download or copy it again.",
            path=str(path),
        )
    if fault == "empty":
        raise SettingError(
            "{path} holds no state dict, but {what}.",
            hint="Expected names with tensors, alone or under state_dict or model.",
            path=str(path),
            what=reason,
        )
    if fault == "lie":
        raise CheckpointError(
            "{path} is not read: its tensor {name} claims more numbers than the file holds.",
            path=str(path),
            name=reason,
        )
    if fault == "memory":
        raise CheckpointError(
            "{path} is not read: it asks for far more memory than the file has bytes.",
            path=str(path),
        )
    if fault:
        raise _damaged(path, reason)


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        "{path} is damaged: {reason}",
        hint="Download or copy it again.",
        path=str(path),
        reason=(reason.strip().splitlines() or ["?"])[0],
    )
