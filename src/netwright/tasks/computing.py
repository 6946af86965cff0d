"""Where numbers are computed, and that they come out the same again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from netwright.core.errors import SettingError
from netwright.core.linux import pages_kept


def find_device(name: str, *, local_rank: int = 0, several: bool = False) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:1` as a device that is there. Of `several` processes each
    takes the GPU of its number on its machine."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if several and name.startswith("cuda:"):
        raise SettingError(
            "device={name} is one GPU; each of several processes needs its own.",
            hint="Set device=cuda and choose the GPUs with CUDA_VISIBLE_DEVICES.",
            name=name,
        )
    name = f"cuda:{local_rank}" if name == "cuda" and local_rank else name
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda"}:
        raise SettingError(
            'device: "{name}" is not allowed: expected auto, cpu, cuda or cuda:N.', name=name
        )
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise SettingError(
                "There is no GPU {name} here: torch sees {count}.",
                hint="Use device=cpu, or device=auto.",
                name=name,
                count=count,
            )
        return torch.device("cuda", device.index or 0)
    return device


@contextlib.contextmanager
def reproducible(*, deterministic: bool = True) -> Iterator[None]:
    """Deterministic algorithms, and a private copy of torch's random state, for the block.

    Without `deterministic` a GPU may choose faster algorithms, which give other bits each time; on
    a CPU that costs nothing and is always on.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    searched = torch.backends.cudnn.benchmark
    on_gpu = torch.cuda.is_available()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            if on_gpu:
                # cuBLAS asks for this, and reads it when it is first used.
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            exact(deterministic or not on_gpu)
            # Filling fresh memory finds faults in torch, at a cost on every step.
            memory.fill_uninitialized_memory = False
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
            memory.fill_uninitialized_memory = filled
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
            torch.backends.cudnn.benchmark = searched


def exact(wanted: bool) -> None:
    """Whether torch takes only algorithms that give the same bits again."""
    torch.use_deterministic_algorithms(wanted, warn_only=torch.cuda.is_available())
    torch.backends.cudnn.benchmark = not wanted


def memory_kept(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """The block in which steps are taken on `device`; on a CPU memory is kept between them."""
    return pages_kept() if device.type == "cpu" else contextlib.nullcontext()
