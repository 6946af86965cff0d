"""What the machine at hand can do: measured in a few seconds, once, and kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from netwright.core.atomic import write_json
from netwright.core.cache import cache_home, writing
from netwright.core.errors import ExhaustedError
from netwright.inspection.calibration_works import Work, in_turn, small_works, works
from netwright.records.timing import FORMAT, Machine, Rate, machine_from

Clock = Callable[[], float]

_SAMPLES = 25
_SECONDS = 0.001
"""A sample holds as many calls as make so long a time: the clock's own cost vanishes in it, and on
a busy machine some of the samples still run undisturbed."""

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


def is_measured(device: str | torch.device = "cpu") -> bool:
    """Whether `machine_at_hand` would answer from the cache, without measuring for seconds."""
    return _read(_path(torch.device(device))) is not None


def calibrated(device: str | torch.device = "cpu", *, clock: Clock = time.perf_counter) -> Machine:
    """Measure the machine: some 25 small works, each the fastest of several samples.

    Random states are left as they were.
    """
    place = torch.device(device)
    with _quiet(place), torch.inference_mode():
        overheads = {
            kind: seconds_of(in_turn(small), clock, place) / len(small)
            for kind, small in small_works(place).items()
        }
        rates = {
            kind: Rate(
                points=tuple(
                    (size, amount / _beyond(overheads[calls], seconds_of(work, clock, place)))
                    for size, amount, work in points
                )
            )
            for (kind, calls), points in works(place).items()
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
    """What one call of `work` takes at best: the fastest sample of several calls in a row.

    What disturbs a machine only ever makes it slower, so the fastest is nearest to what it can do.
    """
    work()  # the first call also plans and allocates
    calls = 1
    while calls < _MOST_CALLS:
        taken = _sample(work, calls, clock, device)
        if taken >= _SECONDS:
            break
        calls = min(_MOST_CALLS, max(2 * calls, int(1.2 * calls * _SECONDS / max(taken, 1e-7))))
    found = min(_sample(work, calls, clock, device) for _ in range(samples))
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


def _beyond(overhead: float, seconds: float) -> float:
    """What is left without the call itself, which is counted apart; a fifth at least."""
    return max(seconds - overhead, seconds / 5)


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
