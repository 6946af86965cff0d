"""A loop that is watched does bit for bit what it does alone, and what it does is seen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.doctor.probes import PROBES
from netwright.doctor.watch import Doctor, watch
from netwright.doctor.watching.pace import LOOKS, Pace
from netwright.doctor.watching.series import Series
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.layers import Layers
from netwright.records.facts.left_out import LeftOut
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.steps import Steps

Run = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor], list[float]]


def plain(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> list[float]:
    losses = []
    for _ in range(3):
        model.train()
        for a, b in zip(x.split(16), y.split(16), strict=True):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(a), b)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            losses.append(F.cross_entropy(model(x), y).item())
    return losses


def accumulating(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor
) -> list[float]:
    losses = []
    for place, (a, b) in enumerate(zip(x.split(8), y.split(8), strict=True)):
        loss = F.cross_entropy(model(a), b) / 4
        loss.backward()
        losses.append(loss.item())
        if place % 4 == 3:
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    return losses


def with_closure(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor
) -> list[float]:
    losses = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(5):
        losses.append(float(optimizer.step(closure).detach()))  # type: ignore[arg-type, union-attr]
    return losses


def half(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> list[float]:
    losses = []
    for a, b in zip(x.split(16), y.split(16), strict=True):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(a), b)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


LOOPS: dict[str, Run] = {
    "plain": plain, "accumulating": accumulating, "closure": with_closure, "autocast": half,
}  # fmt: skip


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.2),
        nn.Flatten(), nn.Linear(4 * 36, 3),
    )  # fmt: skip


def ran(run: Run, *, watched: bool, every: int | None = None) -> tuple[list[object], Doctor | None]:
    torch.manual_seed(0)
    model, x = net(), torch.randn(64, 1, 8, 8)
    y = torch.randint(0, 3, (64,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    doctor = None
    if watched:
        with watch(model, optimizer, every=every) as doctor:
            losses = run(model, optimizer, x, y)
    else:
        losses = run(model, optimizer, x, y)
    state = [each.clone() for each in model.state_dict().values()]
    return [losses, state, torch.get_rng_state()], doctor


def same(a: object, b: object) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)  # type: ignore[arg-type]
    if isinstance(a, list):
        return all(same(*pair) for pair in zip(a, b, strict=True))  # type: ignore[call-overload]
    return a == b


@pytest.mark.parametrize("name", LOOPS)
def test_a_watched_loop_is_bit_for_bit_the_loop_alone(name: str) -> None:
    alone, _ = ran(LOOPS[name], watched=False)
    watched, doctor = ran(LOOPS[name], watched=True, every=1)
    assert doctor is not None
    assert doctor.watcher.fault == ""
    assert same(alone, watched)
    assert doctor.watcher.pace.looked > 0


def test_the_losses_are_those_of_the_loop() -> None:
    found, doctor = ran(plain, watched=True)
    assert doctor is not None
    steps = doctor.record().get(Steps)
    assert steps is not None
    losses = found[0]
    assert isinstance(losses, list)
    training = [each for place, each in enumerate(losses) if place % 5 != 4]
    np.testing.assert_allclose(steps.loss, training, rtol=1e-6)
    assert steps.total == 12


def test_a_step_downhill_does_what_its_gradient_promised() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, y = torch.randn(32, 4), torch.randint(0, 3, (32,))
    with watch(model, optimizer, every=1) as doctor:
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    steps = doctor.record().get(Steps)
    assert steps is not None
    np.testing.assert_allclose(steps.rho, 1.0, atol=0.01)
    slope = steps.grad_norm**2 * 1e-3
    np.testing.assert_allclose(steps.promised, slope, rtol=1e-4)


def test_every_layer_is_seen_with_its_gradient() -> None:
    _, doctor = ran(plain, watched=True)
    assert doctor is not None
    layers = doctor.record().get(Layers)
    assert layers is not None
    assert layers.names == ("0", "0:relu", "5", "1")
    seen = layers.names.index("5")
    assert (layers.activation_rms[:, seen] > 0).all()
    assert (layers.gradient_rms[:, seen] > 0).all()
    assert (layers.weight_norm[:, seen] > 0).all()
    zeros = layers.column("zero_share", "0:relu")
    assert ((zeros > 0.2) & (zeros < 0.8)).all()


def test_the_gradient_of_an_output_is_that_of_autograd() -> None:
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(8, 5), torch.randint(0, 3, (8,))
    output = model(x)
    (by_hand,) = torch.autograd.grad(F.cross_entropy(output, y), output)
    with watch(model, optimizer) as doctor:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    layers = doctor.record().get(Layers)
    assert layers is not None
    assert layers.gradient_rms[0, 0] == pytest.approx(8 * float(by_hand.square().mean().sqrt()))


def test_an_evaluation_closes_an_epoch() -> None:
    found, doctor = ran(plain, watched=True)
    assert doctor is not None
    epochs = doctor.record().get(Epochs)
    assert epochs is not None
    losses = found[0]
    assert isinstance(losses, list)
    assert [each.val_loss for each in epochs.epochs] == pytest.approx(losses[4::5])
    assert [each.step for each in epochs.epochs] == [4, 8, 12]


def test_the_score_of_an_evaluation_is_heard() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(32, 4), torch.randint(0, 3, (32,))
    with watch(model, optimizer) as doctor:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            score = float((model(x).argmax(1) == y).float().mean())
    epochs = doctor.record().get(Epochs)
    assert epochs is not None
    assert epochs.epochs[0].val_score == pytest.approx(score)


def test_accumulation_is_no_stale_gradient() -> None:
    _, doctor = ran(accumulating, watched=True, every=1)
    assert doctor is not None
    loop = doctor.record().get(Loop)
    assert loop is not None
    assert loop.stale_starts == 0
    assert loop.backwards == 4 * loop.steps


def test_a_gradient_that_is_never_cleared_is_counted() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(32, 4), torch.randint(0, 3, (32,))
    with watch(model, optimizer, every=1) as doctor:
        for _ in range(6):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    loop = doctor.record().get(Loop)
    assert loop is not None
    assert loop.stale_starts == 5
    assert loop.stale_excess is not None
    assert loop.stale_excess > 2


def test_the_objective_is_told_from_the_first_batch() -> None:
    _, doctor = ran(plain, watched=True)
    assert doctor is not None
    objective = doctor.record().get(Objective)
    assert objective is not None
    assert objective.kind == "cross_entropy"
    assert objective.classes == 3
    assert objective.constant == pytest.approx(math.log(3), rel=0.1)


def test_nothing_is_left_behind() -> None:
    import torch.autograd

    backward = torch.autograd.backward
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [sorted(vars(each)) for each in model.modules()]
    with watch(model, optimizer):
        plain(model, optimizer, torch.randn(16, 1, 8, 8), torch.randint(0, 3, (16,)))
    assert torch.autograd.backward is backward
    assert [sorted(vars(each)) for each in model.modules()] == before
    for each in model.modules():
        assert not each._forward_hooks
        assert not each._forward_pre_hooks
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert torch._C._len_torch_function_stack() == 0


def test_a_fault_of_the_watcher_ends_the_watch_and_not_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from netwright.doctor.watching.order import Order

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    alone, _ = ran(plain, watched=False)
    monkeypatch.setattr(Order, "step_ended", broken)
    watched, doctor = ran(plain, watched=True)
    assert doctor is not None
    assert doctor.watcher.fault == "RuntimeError: no"
    assert same(alone, watched)


def test_a_series_keeps_the_newest_rows_and_the_whole_span() -> None:
    series = Series(("step",), most=100)
    for step in range(1, 100_001):
        series.add({"step": step})
    steps = series.column("step")
    assert len(steps) <= 100
    assert steps[0] == 1
    assert steps[-1] == 100_000
    assert (np.diff(steps) > 0).all()


def test_looks_are_dense_at_first_and_then_as_rare_as_the_budget_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    pace = Pace(0.02)
    looked = []
    for step in range(1, 40_001):
        clock[0] += 0.010
        if pace.due(step):
            clock[0] += 0.020
            pace.looked_at(step, 0.020)
            looked.append(step)
    assert looked[:3] == [1, 2, 3]
    assert pace.looks / 400 == pytest.approx(LOOKS * 0.02, rel=0.25)


def test_every_probe_can_look_at_a_plain_network() -> None:
    _, doctor = ran(plain, watched=True)
    assert doctor is not None
    left = doctor.record().get(LeftOut)
    assert left is None or left.failed == ()


def test_a_probe_that_fails_is_named_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = PROBES.get("objective")

    def broken(_: object) -> list[object]:
        raise RuntimeError("no")

    monkeypatch.setitem(PROBES._entries, "objective", dataclasses.replace(entry, target=broken))
    _, doctor = ran(plain, watched=True)
    assert doctor is not None
    left = doctor.record().get(LeftOut)
    assert left is not None
    assert ("objective", "RuntimeError: no") in left.failed
