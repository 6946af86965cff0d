"""Weights files of others: read without running anything, and fitted whole or not at all."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from netwright.core.errors import CheckpointError, SettingError

# torch's own count of batches, which weights older than PyTorch 0.4.1 lack; nothing reads it.
_SPARE = "num_batches_tracked"


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a checkpoint written with `torch.save`.

    A checkpoint that holds its state dict under `state_dict` or `model` is opened, and the
    `module.` that `DataParallel` puts before each name is taken off. Raises `CheckpointError`
    when the file is missing, damaged, or a pickle that would have to run code to be read.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("There is no weights file {path}.", path=str(path))
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "{path} is not read: it is damaged, or holds more than tensors, and reading that "
            "would run code it brings along.",
            hint="Save its state dict as a safetensors file where you trust it.",
            path=str(path),
        ) from error
    except (SafetensorError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            "{path} is damaged: {reason}",
            hint="Download or copy it again.",
            path=str(path),
            reason=str(error).strip().splitlines()[0] if str(error).strip() else repr(error),
        ) from error
    return _tensors(found, path)


def load_state_dict(model: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Put `tensors` into `model`, all of them; `source` is their name in an error.

    Raises `SettingError` when names or shapes differ, with the count of what fits and the first
    differences; the model is then as it was.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith(_SPARE)]
    extra = [name for name in tensors if name not in own]
    shared = [name for name in own if name in tensors]
    misshapen = [name for name in shared if own[name].shape != tensors[name].shape]
    if missing or extra or misshapen:
        first = [f"-{name}" for name in missing[:2]] + [f"+{name}" for name in extra[:2]]
        for name in misshapen[:2]:
            first.append(f"{name} {_shape(tensors[name])} != {_shape(own[name])}")
        raise SettingError(
            "The weights in {source} are those of another network: {fitting} of {total} tensors "
            "fit, {missing} are missing, {extra} have no place, {misshapen} have another shape. "
            "First differences: {first}.",
            hint="Check the name of the model, its options, and the number of classes.",
            source=source,
            fitting=len(shared) - len(misshapen),
            total=len(own),
            missing=len(missing),
            extra=len(extra),
            misshapen=len(misshapen),
            first=", ".join(first),
        )
    model.load_state_dict({name: tensors.get(name, own[name]) for name in own})


def _tensors(found: Any, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise CheckpointError("{path} holds no state dict.", path=str(path))
    if found and all(str(name).startswith("module.") for name in found):
        found = {str(name).removeprefix("module."): each for name, each in found.items()}
    return {str(name): each for name, each in found.items()}


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "1"
