"""Weights on disk: one safetensors file that knows its step and verifies itself.

The metadata of the file holds `format` (`netwright/1`), `step`, `best` (the step of the best
weights at that time, or ""), `ties` (names that share one tensor, which safetensors refuses to
store twice) and `sha256`, a hash over all of this and over every tensor. Without the hash a
flipped bit goes unnoticed: safetensors itself accepted 200 of 200.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from netwright.core.errors import CheckpointError
from netwright.core.languages import say

FORMAT = "netwright/1"
_LARGEST_HEADER = 100 * 2**20  # the limit of safetensors itself


@dataclass(frozen=True, kw_only=True)
class WeightFacts:
    """What a weights file says of itself."""

    step: int
    best: int | None


class UnreadableWeightsError(ValueError):
    """These bytes are no weights file of ours, or not the one that was written."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, verified, tied names sharing one tensor again.

    Raises `CheckpointError` when the file is missing, damaged, or not one of ours.
    """
    try:
        return unpack(path.read_bytes())[0]
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise _unreadable(path, reason) from error
    except UnreadableWeightsError as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        "The weights in {path} cannot be used: {reason}.",
        hint="Resume the run, or train again, to write them anew.",
        path=str(path),
        reason=reason,
    )


def step_of(path: Path, *, fact: str = "step") -> int | None:
    """The `step` (or `best`) that the header of a weights file names, unverified; None if none."""
    try:
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > _LARGEST_HEADER:
                return None
            facts = json.loads(file.read(size))["__metadata__"]
            return int(facts[fact]) if facts[fact] else None
    except (OSError, struct.error, ValueError, LookupError, TypeError, RecursionError):
        return None


def pack(
    weights: Mapping[str, Tensor],
    *,
    ties: Mapping[str, str],
    step: int,
    best: int | None,
    more: Mapping[str, str] | None = None,
) -> tuple[bytes, memoryview]:
    """The file of `weights` (contiguous, on the CPU), in two parts; equal weights, equal bytes.

    `ties` maps a name to the earlier name whose tensor it shares; it is stored once. `more` is
    metadata beside the file's own, under the same hash.
    """
    stored = {name: tensor for name, tensor in weights.items() if name not in ties}
    facts = {
        **(more or {}),
        "format": FORMAT,
        "step": str(step),
        "best": "" if best is None else str(best),
        "ties": json.dumps(dict(ties), sort_keys=True),
    }
    facts["sha256"] = _digest(stored, facts)
    data = memoryview(save(stored, facts))
    # safetensors writes its metadata in the order of a random hash.
    size = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:size]))
    header["__metadata__"] = facts
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, data[size:]


def unpack(data: bytes) -> tuple[dict[str, Tensor], WeightFacts]:
    """The weights in `data` and what they say of themselves.

    Raises `UnreadableWeightsError` unless the hash inside is right.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        facts = json.loads(data[8 : 8 + size])["__metadata__"]
        digest = facts.pop("sha256")
        loaded = load(data)
        weights = {name: loaded[name] for name in sorted(loaded)}  # its own order is random
        if digest != _digest(weights, facts) or facts["format"] != FORMAT:
            raise UnreadableWeightsError(say("the hash inside does not match"))
        for name, earlier in json.loads(facts["ties"]).items():
            weights[name] = weights[earlier]
        best = int(facts["best"]) if facts["best"] else None
        return weights, WeightFacts(step=int(facts["step"]), best=best)
    except UnreadableWeightsError:
        raise
    except _UNREADABLE as error:
        raise UnreadableWeightsError(say("not weights of {format}", format=FORMAT)) from error


# What safetensors, json and torch raise for bytes that they did not write themselves.
_UNREADABLE = (
    SafetensorError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)


def _digest(weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """A hash over names, types, shapes, values and `facts`, whatever their order."""
    names = sorted(weights)
    table = [[name, str(weights[name].dtype), list(weights[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([facts, table], sort_keys=True).encode())
    for name in names:
        if weights[name].numel():
            digest.update(weights[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
