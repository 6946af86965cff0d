"""A checkpoint of torch, read by a process of its own.

A pickle is a program. `weights_only` lets it build tensors alone, and has had holes; a file of
1.5 kB can claim a tensor of 10^12 elements, all of them one number. So the file is read where
nothing can be lost: `python -m netwright.models.weights.unpickling` may take a little more memory
than the file has bytes, writes no file, and ends with its parent. The bytes come by standard
input; the answer goes to standard output, one line of JSON and, when there are tensors, the same
as a safetensors file.
"""

from __future__ import annotations

import argparse
import io
import json
import pathlib
import pickle
import re
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from netwright.core.linux import die_with_parent

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the state dict in a checkpoint that holds more."""
PREFIX = "module."
"""What `DataParallel` puts before each name."""

_OTHER_PICKLE = "Unsupported operand|Invalid magic number"  # torch writes neither

# What training scripts lay beside their weights: records without behaviour, paths that nobody
# opens.
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
]

_SPARE_MEMORY = 256 * 2**20
_SPARE_CLAIM = 2**20
_SECONDS = 60  # of the processor; more for a large file
_BYTES_A_SECOND = 10 * 2**20
_MOST_COPIES = 4  # tied weights and views of one storage are each written whole


def main() -> int:
    """Answer for the file on standard input; always 0, for a refusal is an answer."""
    die_with_parent()
    data = sys.stdin.buffer.read()
    _limit(len(data))
    try:
        said, tensors = answer(data)
    except (MemoryError, RuntimeError) as error:  # torch says RuntimeError when memory is refused
        said, tensors = {"fault": _fault(error), "reason": _line(error)}, {}
    blob = save(tensors) if tensors else b""
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + blob)
    return 0


def answer(data: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What there is to say of the checkpoint `data`, and its tensors if there are any.

    `fault` is "" when all is well, with the wrappings that were `taken_off`; else it is `code`
    (`reason` is the function it calls for), `pickle`,
    `script` (of TorchScript), `short`, `damaged`, `empty`, `several` (their names) or `lie` (a
    tensor's name).
    """
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            found: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is not None:
            return {"fault": "code", "reason": asked[1]}, {}
        fault = "pickle" if re.search(_OTHER_PICKLE, str(error)) else "damaged"
        return {"fault": fault, "reason": _line(error)}, {}
    except RuntimeError as error:  # also for memory, which is for the caller to say
        if "TorchScript" in str(error):
            return {"fault": "script"}, {}
        if "central directory" in str(error):
            return {"fault": "short"}, {}
        raise
    except (EOFError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        return {"fault": "damaged", "reason": _line(error)}, {}
    taken_off = []
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            taken_off.append(key)
    held = _state_dicts(found)
    if len(held) > 1:
        return {"fault": "several", "reason": ", ".join(held[:5])}, {}
    if held:
        found = found[held[0]]
        taken_off.append(held[0])
    if not isinstance(found, Mapping) or not found:
        reason = "{}" if isinstance(found, Mapping) else type(found).__name__
        return {"fault": "empty", "reason": reason}, {}
    strange = [str(name) for name, each in found.items() if not isinstance(each, Tensor)]
    if strange:
        return {"fault": "empty", "reason": ", ".join(strange[:5])}, {}
    if all(str(name).startswith(PREFIX) for name in found):
        found = {str(name).removeprefix(PREFIX): each for name, each in found.items()}
        taken_off.append(PREFIX)
    tensors = {str(name): each.detach() for name, each in found.items()}
    lie = _lie(tensors, len(data))
    if lie:
        return {"fault": "lie", "reason": lie}, {}
    whole = {name: each.contiguous().clone() for name, each in tensors.items()}
    return {"fault": "", "taken_off": taken_off}, whole


def _state_dicts(found: Any) -> list[str]:
    """The entries of a checkpoint that are state dicts themselves, whatever they are called."""
    if not isinstance(found, Mapping) or any(isinstance(e, Tensor) for e in found.values()):
        return []
    return [
        str(name)
        for name, each in found.items()
        if isinstance(each, Mapping)
        and each
        and all(isinstance(name, str) and isinstance(e, Tensor) for name, e in each.items())
    ]


def _limit(size: int) -> None:
    """No more address space and time than the file can need, and no file written."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    most = used + _MOST_COPIES * size + _SPARE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    last = int(spent.ru_utime + spent.ru_stime) + _SECONDS + size // _BYTES_A_SECOND
    resource.setrlimit(resource.RLIMIT_CPU, (last, last + 5))


def _lie(tensors: Mapping[str, Tensor], size: int) -> str:
    """The name of a tensor that claims more than the file holds, "" if none does."""
    claimed = 0
    for name, each in tensors.items():
        if each.layout != torch.strided or each.is_quantized or each.device.type != "cpu":
            return name
        if each.numel() * each.element_size() > each.untyped_storage().nbytes():
            return name
        claimed += each.numel() * each.element_size()
        if claimed > _MOST_COPIES * size + _SPARE_CLAIM:
            return name
    return ""


def _fault(error: BaseException) -> str:
    refused = isinstance(error, MemoryError) or "alloc" in str(error)
    return "memory" if refused else "damaged"


def _line(error: BaseException) -> str:
    """The line of a message that says what is wrong; torch's own begins with advice."""
    told = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (told[1] if told is not None else lines[0])[:200].strip()


if __name__ == "__main__":
    sys.exit(main())
