"""A checkpoint of torch, read by a process of its own.

A pickle is a program. `weights_only` lets it build tensors alone, and has had holes; a file of
1.5 kB can claim a tensor of 10^12 elements, all of them one number. So the file is read where
nothing can be lost: `python -m netwright.models.weights.unpickling` may take a little more memory
than the file has bytes, writes no file, and ends with its parent. The bytes come by standard
input; the answer goes to standard output, one line of JSON and, when there are tensors, the same
as a safetensors file.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import resource
import sys
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from netwright.core.linux import die_with_parent

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the state dict in a checkpoint that holds more."""
PREFIX = "module."
"""What `DataParallel` puts before each name."""

_SPARE_MEMORY = 256 * 2**20
_SPARE_CLAIM = 2**20
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
    (`reason` is the function it calls for), `damaged`, `empty` or `lie` (a tensor's name).
    """
    try:
        found: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is not None:
            return {"fault": "code", "reason": asked[1]}, {}
        return {"fault": "damaged", "reason": _line(error)}, {}
    except (EOFError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        return {"fault": "damaged", "reason": _line(error)}, {}
    taken_off = []
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            taken_off.append(key)
    if not isinstance(found, Mapping) or not found:
        return {"fault": "empty", "reason": type(found).__name__}, {}
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


def _limit(size: int) -> None:
    """No more address space than the file can need, and no file written."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    most = used + _MOST_COPIES * size + _SPARE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


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
