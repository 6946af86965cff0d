"""The environment line: what besides the seed decides the bits of a training run.

It is saved with every checkpoint and compared at resume. Where nothing differs a resume is
exact; else it is approximate, and `differences` says because of what.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import torch

from netwright.core.languages import Phrase

Environment = dict[str, str | int | bool]


def environment_line(
    *,
    device: str | torch.device = "cpu",
    world_size: int = 1,
    micro_batch: int = 0,
    deterministic: bool | None = None,
    amp: str | None = None,
    channels_last: bool = False,
    compiled: bool = False,
    synced_norms: bool = False,
    sharded: bool = False,
) -> Environment:
    """What decides the bits here and now, as strings and numbers.

    `micro_batch` is the number of images in one forward pass, `amp` the type automatic mixed
    precision computes in (None: it is off), `deterministic` what torch is set to unless given.

    >>> line = environment_line(micro_batch=32)
    >>> line["device"], line["micro_batch"], line["amp"]
    ('cpu', 32, 'off')
    """
    device = torch.device(device)
    if deterministic is None:
        deterministic = torch.are_deterministic_algorithms_enabled()
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a string of torch's own type otherwise
        "numpy": np.__version__,
        "netwright": _own_version(),
        "code": _own_code(),
        "device": _device_name(device),
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "world_size": world_size,
        "micro_batch": micro_batch,
        "deterministic": deterministic,
        "amp": amp or "off",
        "channels_last": channels_last,
        "compiled": compiled,
        "synced_norms": synced_norms,
        "sharded": sharded,
    }


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[Phrase]:
    """What changed from `old` to `new`, one phrase each; empty when a resume is exact.

    >>> changed = differences({"torch": "2.12.0", "threads": 2}, {"torch": "2.13.0", "threads": 2})
    >>> [str(each) for each in changed]
    ['torch 2.12.0 -> 2.13.0']
    """
    return [
        Phrase(
            "{what} {old} -> {new}",
            what=_WORDS.get(name, name),
            old=_spoken(old.get(name)),
            new=_spoken(new.get(name)),
        )
        for name in dict.fromkeys([*new, *old])
        if old.get(name) != new.get(name)
    ]


_WORDS: Mapping[str, str | Phrase] = {
    "python": "Python",
    "code": Phrase("code of Netwright"),
    "device": Phrase("device"),
    "processor": Phrase("processor"),
    "cpu_capability": Phrase("CPU instruction set"),
    "threads": Phrase("CPU threads"),
    "world_size": Phrase("number of processes"),
    "micro_batch": Phrase("micro-batch"),
    "deterministic": Phrase("deterministic algorithms"),
    "amp": Phrase("mixed precision"),
    "channels_last": Phrase("channels last"),
    "compiled": Phrase("compiled network"),
    "synced_norms": Phrase("batch norm over all processes"),
    "sharded": Phrase("network cut among processes"),
}


def _spoken(value: object) -> object:
    if value is None:
        return Phrase("unknown")
    if isinstance(value, bool):
        return Phrase("on") if value else Phrase("off")
    return str(value)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{name}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return device.type


@functools.cache
def _processor() -> str:
    # Two processors with one instruction set may still be given different kernels: oneDNN and
    # MKL look at the model and the size of its caches.
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


@functools.cache
def _own_version() -> str:
    try:
        return version("netwright")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "source"


@functools.cache
def _own_code() -> str:
    """Twelve digits of the hash over our source files: a changed line may change a number."""
    digest = hashlib.sha256()
    for name, source in sorted(_sources(files("netwright"), "")):
        digest.update(f"{name}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()[:12]


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
