"""Where time goes: the roofline by hand, the machine kept, the clock injected; no real times."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netwright.inspection import calibration
from netwright.inspection.calibration import calibrated, machine_at_hand, seconds_of
from netwright.inspection.roofline import cost, estimate, kind_of
from netwright.inspection.timing import measure, timing
from netwright.inspection.tracing import trace
from netwright.records.inspection import Operation
from netwright.records.timing import OVERHEADS, RATES, Machine, Rate, machine_from


def machine(**rates: float) -> Machine:
    """One whose rates are the same at every size: 1e9 of everything, calls in a microsecond."""
    return Machine(
        processor="test",
        device="cpu",
        threads=1,
        torch="0",
        rates={kind: Rate(points=((1.0, rates.get(kind, 1e9)),)) for kind in RATES},
        overheads=dict.fromkeys(OVERHEADS, 1e-6),
    )


def operation(name: str, **more: object) -> Operation:
    base = Operation(number=0, name=name, layer="", inputs=(-1,), output=(1, 8, 10, 10))
    return dataclasses.replace(base, **more)


def conv(in_channels: int, kernel: int, groups: int = 1) -> Operation:
    return operation(
        "conv2d",
        macs=800 * in_channels // groups * kernel**2,
        options=(("kernel_size", (kernel, kernel)), ("groups", groups)),
    )


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (conv(16, 3), "conv"),
        (conv(16, 1), "pointwise"),
        (conv(8, 3, groups=8), "depthwise"),
        (conv(3, 7), "stem"),
        (operation("linear", macs=1000), "matmul"),
        (operation("max_pool2d", other_ops=7200), "pool"),
        (operation("gelu", other_ops=800), "curve"),
        (operation("relu", other_ops=800), "copy"),
        (operation("batch_norm", other_ops=1600), "copy"),
    ],
)
def test_each_operation_is_work_of_a_kind(found: Operation, kind: str) -> None:
    assert kind_of(found)[0] == kind


def test_an_operation_takes_the_longer_of_arithmetic_and_bytes_and_its_call() -> None:
    work = operation("linear", macs=4_000_000, bytes_read=1_000_000, bytes_written=1_000_000)
    found = cost(work, machine(), {})
    assert (found.compute, found.memory) == pytest.approx((4e-3, 2e-3))
    assert found.seconds == pytest.approx(4.001e-3)
    assert found.bound == "compute"
    assert cost(work, machine(copy=1e8), {}).bound == "memory"
    assert cost(work, machine(copy=1e8), {}).seconds == pytest.approx(20.001e-3)
    assert cost(operation("linear", macs=10), machine(), {}).bound == "overhead"


def test_weights_are_read_at_a_rate_of_their_own() -> None:
    work = operation("linear", macs=1, bytes_read=3000, bytes_written=1000, weights=("w",))
    found = cost(work, machine(read=1e6, copy=1e3), {"w": 2000})
    assert found.memory == pytest.approx(2000 / 1e6 + 2000 / 1e3)


def test_a_view_takes_only_its_call() -> None:
    assert cost(operation("flatten", view=True, bytes_read=10**9), machine(), {}).seconds == 1e-6


def test_a_rate_between_two_sizes_and_two_sides_is_interpolated() -> None:
    def two(low: float, high: float) -> Rate:
        return Rate(points=((10.0, low), (1000.0, high)))

    rates = {"conv@4": two(1.0, 100.0), "conv@400": two(100.0, 10000.0)}
    found = dataclasses.replace(machine(), rates=rates)
    assert found.rate("conv", 100, 4) == pytest.approx(10)
    assert found.rate("conv", 100, 40) == pytest.approx(100)
    assert found.rate("conv", 1, 10**9) == pytest.approx(100)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.twice = nn.Linear(8, 8)

    def forward(self, image: Tensor) -> Tensor:
        return self.twice(self.twice(self.body(image).mean((2, 3))))


def test_a_network_takes_what_its_operations_take() -> None:
    record = trace(Net(), (torch.rand(2, 3, 8, 8),))
    found = timing(record, machine=machine())
    parts = found.compute + found.memory + found.overhead
    assert found.seconds == pytest.approx(parts)
    top = found.layers[0]
    assert (top.name, top.seconds) == ("", pytest.approx(found.seconds))
    leaves = {(each.name, each.call): each for each in found.layers if each.leaf}
    # 2 images x 36 positions x 8 x 27 multiply-adds at 1e9 a second, and the call.
    assert leaves["body.0", 0].seconds == pytest.approx(2 * 36 * 8 * 27 / 1e9 + 1e-6)
    assert leaves["twice", 1].seconds == leaves["twice", 0].seconds
    assert found.ratio is None


def test_layers_that_wait_for_memory_are_named() -> None:
    record = trace(Net(), (torch.rand(2, 3, 8, 8),))
    found = estimate(record, machine(copy=1e3, read=1e12, filters=1e12))
    assert {each.name for each in found.memory_bound} == {"body.0", "body.1", "body.2", "twice"}


class Clock:
    """A second passes with each look."""

    def __init__(self, step: float = 1.0) -> None:
        self.ticks = itertools.count()
        self.step = step

    def __call__(self) -> float:
        return next(self.ticks) * self.step


def test_measured_times_stand_beside_the_estimates() -> None:
    model, x = Net(), torch.rand(2, 3, 8, 8)
    estimated = timing(trace(model, (x,)), machine=machine())
    found = measure(model, (), {"image": x}, estimated=estimated, repeats=3, clock=Clock(1e-3))
    assert (found.repeats, found.measured) == (3, pytest.approx(1e-3))
    assert found.ratio == pytest.approx(1e-3 / found.seconds)
    measured = {(each.name, each.call): each.measured for each in found.layers}
    # Each module looks twice, when it begins and when it ends.
    assert measured["twice", 0] == measured["twice", 1] == pytest.approx(1e-3)
    assert measured["body", 0] == pytest.approx(7e-3)
    assert measured["", 0] == pytest.approx(13e-3)
    assert json.loads(json.dumps(found.to_json()))["ratio"] == pytest.approx(found.ratio)


def test_long_passes_are_measured_three_times() -> None:
    model, x = nn.Linear(2, 2), torch.rand(1, 2)
    estimated = timing(trace(model, (x,)), machine=machine())
    assert measure(model, (x,), estimated=estimated, clock=Clock(60.0)).repeats == 3


def test_measuring_touches_nothing() -> None:
    model = Net().train()
    estimated = timing(trace(model, (torch.rand(2, 3, 8, 8),)), machine=machine())
    before = {name: each.clone() for name, each in model.state_dict().items()}
    x, state = torch.rand(2, 3, 8, 8), torch.get_rng_state()
    with pytest.raises(RuntimeError):
        measure(model, (x.mT[:, :2],), estimated=estimated, repeats=1)
    measure(model, (x,), estimated=estimated, repeats=1)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.training and not each._forward_hooks for each in model.modules())
    assert torch.equal(state, torch.get_rng_state())


# The machine.


def test_the_fastest_sample_counts() -> None:
    taken = iter([0.0, 5.0, 10.0, 13.0, 20.0, 22.0, 30.0, 39.0])
    assert seconds_of(lambda: None, lambda: next(taken), torch.device("cpu"), samples=3) == 2.0


def test_a_machine_has_every_rate_and_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"conv@4": "conv", **dict.fromkeys(RATES - {"conv"}, "other")}
    works = {(kind, call): [(1.0, 1e6, _nothing)] for kind, call in few.items()}
    small = {kind: [_nothing] for kind in OVERHEADS}
    works[("pointwise@4", "conv")] = works.pop(("pointwise", "other"))
    monkeypatch.setattr(calibration, "works", lambda device: works)
    monkeypatch.setattr(calibration, "small_works", lambda device: small)
    found = calibrated(clock=Clock())
    assert found.rate("copy", 1.0) == pytest.approx(1e6 / 0.2)  # a fifth at least is no overhead
    assert machine_from(json.loads(json.dumps(found.to_json()))) == found


def _nothing() -> None:
    pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETWRIGHT_HOME", str(tmp_path))
    return tmp_path


def counting() -> tuple[Callable[..., Machine], list[object]]:
    calls: list[object] = []

    def run(device: object) -> Machine:
        calls.append(device)
        return machine(conv=float(1000 + len(calls)))

    return run, calls


def test_the_machine_is_measured_once(home: Path) -> None:
    run, calls = counting()
    first = machine_at_hand(measure=run)
    assert machine_at_hand(measure=run) == first
    assert len(calls) == 1
    assert len(list(home.rglob("*.json"))) == 1


def test_another_number_of_threads_is_another_machine(home: Path) -> None:
    run, calls = counting()
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            machine_at_hand(measure=run)
    finally:
        torch.set_num_threads(threads)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "damage",
    [
        "", "{", "[]", "null", '{"format": 1}', '{"format": 0}', "\x00\xff",
        "no-rate", "negative", "text", "order",
    ],
)  # fmt: skip
def test_a_damaged_file_is_measured_anew(home: Path, damage: str) -> None:
    run, calls = counting()
    machine_at_hand(measure=run)
    (place,) = home.rglob("*.json")
    kept = json.loads(place.read_text())
    if damage == "no-rate":
        del kept["rates"]["conv"]
    elif damage == "negative":
        kept["overheads"]["conv"] = -1
    elif damage == "text":
        kept["rates"]["conv"] = [[1.0, "fast"]]
    elif damage == "order":
        kept["rates"]["conv"] = [[2.0, 1.0], [1.0, 1.0]]
    known = damage in {"no-rate", "negative", "text", "order"}
    place.write_bytes(json.dumps(kept).encode() if known else damage.encode("latin-1"))
    assert machine_at_hand(measure=run).rates["conv"].at(1) == 1002
    assert len(calls) == 2
    assert machine_at_hand(measure=run).rates["conv"].at(1) == 1002  # and kept again


def test_a_cache_that_cannot_be_written_costs_only_the_next_measurement(home: Path) -> None:
    (home / "machines").write_text("a file stands here")
    run, calls = counting()
    assert machine_at_hand(measure=run).kept is False
    machine_at_hand(measure=run)
    assert len(calls) == 2
