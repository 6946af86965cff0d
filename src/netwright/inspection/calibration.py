"""What the machine at hand can do: measured in a few seconds, once, and kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from netwright.core.atomic import write_json
from netwright.core.cache import cache_home, writing
from netwright.core.errors import ExhaustedError
from netwright.records.timing import FORMAT, Machine, Rate, machine_from

Clock = Callable[[], float]
Work = Callable[[], Any]

_SAMPLES = 7
_SECONDS = 0.004
"""A sample holds as many calls as make so long a time: clocks and switches vanish in it."""

_MOST_CALLS = 2000


def machine_at_hand(
    device: str | torch.device = "cpu", *, measure: Callable[..., Machine] | None = None
) -> Machine:
    """The machine for `device` with the number of threads torch has now.

    Read from the cache under NETWRIGHT_HOME; measured, and kept there, the first time, with
    another processor, device, number of threads or torch, and where the file is damaged. A cache
    that cannot be written costs only the next measurement.
    """
    path = _path(torch.device(device))
    found = _read(path)
    if found is not None:
        return found
    measured = (measure or calibrated)(device)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, measured.to_json())
    except ExhaustedError:
        return Machine(**{**vars(measured), "kept": False})
    return measured


def calibrated(device: str | torch.device = "cpu", *, clock: Clock = time.perf_counter) -> Machine:
    """Measure the machine: some 25 small works, each the median of several samples.

    Random states are left as they were.
    """
    place = torch.device(device)
    with _quiet(place), torch.inference_mode():
        rates = {
            kind: Rate(
                points=tuple(
                    (size, amount / seconds_of(work, clock, place))
                    for size, amount, work in points
                )
            )
            for kind, points in _works(place).items()
        }
        overheads = {
            kind: seconds_of(work, clock, place) for kind, work in _small_works(place).items()
        }
    return Machine(
        processor=_processor(place),
        device=place.type,
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        rates=rates,
        overheads=overheads,
    )


def seconds_of(work: Work, clock: Clock, device: torch.device, samples: int = _SAMPLES) -> float:
    """What one call of `work` takes: the median over samples of several calls in a row."""
    work()  # the first call also plans and allocates
    calls = 1
    while calls < _MOST_CALLS:
        taken = _sample(work, calls, clock, device)
        if taken >= _SECONDS:
            break
        calls = min(_MOST_CALLS, max(2 * calls, int(1.2 * calls * _SECONDS / max(taken, 1e-7))))
    found = statistics.median(_sample(work, calls, clock, device) for _ in range(samples))
    return max(found / calls, 1e-9)


def _sample(work: Work, calls: int, clock: Clock, device: torch.device) -> float:
    synchronise(device)
    began = clock()
    for _ in range(calls):
        work()
    synchronise(device)
    return clock() - began


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given; a processor always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _works(device: torch.device) -> dict[str, list[tuple[float, float, Work]]]:
    """For each kind of work: its size, how much one call does, and the call."""

    def conv(c: int, side: int, k: int, groups: int = 1, reads: int | None = None) -> Any:
        x = torch.rand(1, reads or c, side, side, device=device)
        weight = torch.rand(c, (reads or c) // groups, k, k, device=device)
        macs = c * side**2 * k**2 * weight.shape[1]
        return macs, lambda: F.conv2d(x, weight, None, 1, k // 2, 1, groups)

    def matmul(n: int) -> Any:
        a, b = torch.rand(n, n, device=device), torch.rand(n, n, device=device)
        return n**3, lambda: F.linear(a, b)

    def moved(count: int) -> Any:
        x = torch.rand(count // 2 // 4, device=device)
        return count, lambda: torch.relu(x)

    def pool(c: int, side: int) -> Any:
        x = torch.rand(1, c, side, side, device=device)
        return c * (side // 2) ** 2 * 9, lambda: F.max_pool2d(x, 3, 2, 1)

    def curve(count: int) -> Any:
        x = torch.randn(count, device=device)
        return count, lambda: F.gelu(x)

    # Each family from narrow to wide, with maps that shrink as in networks.
    return {
        "conv": [(float(c), *conv(c, side, 3)) for c, side in _CONVS],
        "pointwise": [(float(c), *conv(c, side, 1)) for c, side in _POINTWISE],
        "depthwise": [
            (float(c * side**2), *conv(c, side, 3, groups=c)) for c, side in _DEPTHWISE
        ],
        "stem": [((3 * c) ** 0.5, *conv(c, 112, 3, reads=3)) for c in (16, 64)],
        "matmul": [(float(n), *matmul(n)) for n in (32, 128, 512, 1024)],
        "pool": [(float(c * (s // 2) ** 2 * 9), *pool(c, s)) for c, s in ((64, 14), (64, 56))],
        "curve": [(float(n), *curve(n)) for n in (10_000, 1_000_000)],
        "copy": [(float(n), *moved(n)) for n in _BYTES],
    }


_CONVS = ((8, 32), (16, 32), (64, 28), (256, 14), (512, 7))
_POINTWISE = ((16, 56), (64, 28), (256, 14), (512, 7))
_DEPTHWISE = ((256, 7), (256, 14), (64, 56))
_BYTES = (32_000, 256_000, 2_000_000, 16_000_000, 128_000_000)


def _small_works(device: torch.device) -> dict[str, Work]:
    """Works so small that only the call itself counts; modules, as networks call them."""
    image, row = torch.rand(1, 1, 1, 1, device=device), torch.rand(1, 1, device=device)
    conv, linear = nn.Conv2d(1, 1, 1).to(device), nn.Linear(1, 1).to(device)
    other = nn.ReLU()
    return {
        "conv": lambda: conv(image),
        "matmul": lambda: linear(row),
        "other": lambda: other(row),
        "view": lambda: torch.flatten(image, 1),
    }


@contextlib.contextmanager
def _quiet(device: torch.device) -> Iterator[None]:
    """Random states as they were, after the block."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def _read(path: Path) -> Machine | None:
    """The machine kept at `path`; None where there is none or it cannot be made out."""
    try:
        return machine_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _path(device: torch.device) -> Path:
    facts = (
        str(FORMAT),
        _processor(device),
        device.type,
        str(torch.get_num_threads()),
        str(torch.__version__),
    )
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return cache_home() / "machines" / f"{key}.json"


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    model = model or platform.machine()
    return f"{model}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
