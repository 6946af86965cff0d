"""What a forward pass takes here, layer by layer: estimated, and measured beside it on request."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.inspection.calibration import Clock, machine_at_hand, synchronise
from netwright.inspection.refusals import opened
from netwright.inspection.roofline import estimate
from netwright.optim.untouched import untouched
from netwright.records.inspection import InspectionRecord
from netwright.records.timing import Machine, Timing

REPEATS = 11
ENOUGH_SECONDS = 10.0
"""After so long, three passes are enough."""


def timing(
    record: InspectionRecord, *, device: str | torch.device = "cpu", machine: Machine | None = None
) -> Timing:
    """The roofline estimate of the inspected forward pass on the machine at hand.

    The machine is measured the first time, which takes a few seconds (`machine_at_hand`).
    """
    return estimate(record, machine or machine_at_hand(device))


def measure(
    model: nn.Module,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    estimated: Timing,
    repeats: int = REPEATS,
    clock: Clock = time.perf_counter,
) -> Timing:
    """`estimated` with what `model(*args, **kwargs)` really takes beside each estimate.

    Whole passes in evaluation mode without gradients, after one to warm up; then as many with a
    clock at each module. Times are medians of `repeats`, of three where the passes are long. On a
    graphics card each module is waited for, so their sum is more than the whole. The network is
    left as it was.
    """
    device = _device(model, (*args, *(kwargs or {}).values()))

    def run() -> None:
        model(*args, **(kwargs or {}))
        synchronise(device)

    with untouched(model), torch.inference_mode():
        for module in model.modules():
            module.training = False
        run()
        whole = _medians(lambda: {("", -1): _timed(run, clock)}, repeats, clock)
        with _clocks(opened(model, []), clock, device) as taken:
            layers = _medians(lambda: _read(run, taken), repeats, clock)
    return dataclasses.replace(
        estimated,
        layers=tuple(
            dataclasses.replace(each, measured=layers[0].get((each.name, each.call)))
            for each in estimated.layers
        ),
        measured=whole[0]["", -1],
        repeats=whole[1],
    )


Times = dict[tuple[str, int], float]


def _timed(run: Callable[[], None], clock: Clock) -> float:
    began = clock()
    run()
    return clock() - began


def _read(run: Callable[[], None], taken: Times) -> Times:
    taken.clear()
    run()
    return dict(taken)


def _medians(passes: Callable[[], Times], repeats: int, clock: Clock) -> tuple[Times, int]:
    """The median of each time over the passes, and how many there were."""
    found: dict[tuple[str, int], list[float]] = {}
    began, done = clock(), 0
    for done in range(1, repeats + 1):
        for key, seconds in passes().items():
            found.setdefault(key, []).append(seconds)
        if done >= 3 and clock() - began > ENOUGH_SECONDS:
            break
    return {key: statistics.median(each) for key, each in found.items()}, done


@contextlib.contextmanager
def _clocks(model: nn.Module, clock: Clock, device: torch.device) -> Iterator[Times]:
    """A mapping that each pass fills: (path, call) to seconds, for each module that runs."""
    taken: Times = {}
    began: dict[str, list[float]] = {}

    def start(name: str) -> Callable[..., None]:
        def run(module: nn.Module, given: Any) -> None:
            synchronise(device)
            began.setdefault(name, []).append(clock())

        return run

    def stop(name: str) -> Callable[..., None]:
        def run(module: nn.Module, given: Any, output: Any) -> None:
            synchronise(device)
            seconds = clock() - began[name].pop()
            call = 0
            while (name, call) in taken:
                call += 1
            taken[name, call] = seconds

        return run

    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            stack.callback(module.register_forward_pre_hook(start(name)).remove)
            stack.callback(module.register_forward_hook(stop(name)).remove)
        yield taken


def _device(model: nn.Module, given: tuple[Any, ...]) -> torch.device:
    tensors = [*model.parameters(), *(each for each in given if isinstance(each, Tensor))]
    return tensors[0].device if tensors else torch.device("cpu")
