"""What `run.json` says of the steps of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import netwright as nw
from netwright.core import linux
from netwright.inspection.step_roofline import step_estimate
from netwright.inspection.tracing import trace
from netwright.records.run import Run
from netwright.records.timing import OVERHEADS, RATES, Machine, Rate
from netwright.tasks import step_times, training
from netwright.tasks.step_times import Others, state_bytes


def machine(rate: float = 1e9, copy: float = 1e15) -> Machine:
    """One on which every kind of work goes at `rate`, moving bytes at `copy`, calls for nothing."""
    rates = dict.fromkeys(RATES, Rate(points=((1.0, rate),)))
    moving = Rate(points=((1.0, copy),))
    return Machine(
        processor="made up",
        device="cpu",
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        rates=rates | dict.fromkeys(("copy", "read", "filters"), moving),
        overheads=dict.fromkeys(OVERHEADS, 0.0),
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_times, "is_measured", lambda device: True)
    monkeypatch.setattr(step_times, "machine_at_hand", lambda device: machine())


def trained(folder: Path, **settings: Any) -> dict[str, Any]:
    nw.train("digits", model="mlp", steps=12, batch=32, run_dir=folder, **settings)
    facts = json.loads((folder / "run.json").read_text())["step_times"]
    assert isinstance(facts, dict)
    return facts


def test_a_run_tells_time_wait_and_share(tmp_path: Path, measured: None) -> None:
    facts = trained(tmp_path / "run")
    run = Run(tmp_path / "run")
    macs = int(run.model["macs"])
    first = next(each["macs"] for each in run.model["layers"] if each["macs"])
    # Forward once and back twice, the first layer's input apart; the rest is nothing here.
    products = 32 * (3 * macs - first)
    assert facts["roofline_share"] * facts["seconds"] == pytest.approx(products / 1e9, rel=0.05)
    assert facts["waits_for"] == "compute"
    assert facts["steps"] == 12
    assert 0 <= facts["data_wait_share"] < 1
    page = (tmp_path / "run" / "report.html").read_text()
    assert "of the roofline of this machine (waits for arithmetic)" in page


def test_a_machine_that_is_not_measured_is_not_measured_by_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETWRIGHT_HOME", str(tmp_path / "home"))
    facts = trained(tmp_path / "run")
    assert facts["roofline_share"] is None
    assert facts["machine_measured"] is False
    assert not (tmp_path / "home" / "machines").exists()


def test_accumulated_passes_make_one_step(tmp_path: Path, measured: None) -> None:
    once = trained(tmp_path / "a")
    twice = trained(tmp_path / "b", optim__accumulate=2)
    estimates = [each["roofline_share"] * each["seconds"] for each in (once, twice)]
    assert estimates[1] == pytest.approx(2 * estimates[0], rel=0.05)


def test_a_resume_without_a_step_keeps_what_was_known(tmp_path: Path, measured: None) -> None:
    before = trained(tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    info["status"] = "interrupted"
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    training.train(None, resume=str(tmp_path / "run"))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["step_times"] == before


def test_frozen_layers_are_not_gone_back_through() -> None:
    net = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 10, bias=False))
    record = trace(net, (torch.empty(8, 100),))
    whole = step_estimate(record, machine())
    head = step_estimate(record, machine(), trained={"1.weight"})
    # 80,000 and 8,000 products: 2 and 3 times; with the first layer frozen 1 and 2 times.
    assert whole.seconds == pytest.approx(184_000e-9, rel=1e-3)
    assert head.seconds == pytest.approx(96_000e-9, rel=1e-3)


def test_the_state_of_the_optimizer_is_moved() -> None:
    net = nn.Linear(1000, 1000, bias=False)
    record = trace(net, (torch.empty(1, 1000),))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 1000)).sum().backward()
    optimizer.step()
    kept = state_bytes(optimizer)
    assert kept == pytest.approx(8e6, rel=0.01)
    slow = machine(rate=1e15, copy=1e9)
    with_state = step_estimate(record, slow, state_bytes=kept)
    without = step_estimate(record, slow)
    assert with_state.seconds - without.seconds == pytest.approx(2 * kept / 1e9, rel=0.01)
    assert with_state.bound == "memory"


@pytest.mark.parametrize(
    ("busy", "idle", "own", "alike", "share"),
    [
        (20.0, 0.0, 8.0, 1, 0.6),
        (11.0, 9.0, 2.0, 1, 0.0),
        (20.0, 0.0, 19.0, 1, 0.0),
        (0.05, 0.0, 0.0, 1, None),
        (20.0, 0.0, 9.5, 2, 0.0),
        (20.0, 0.0, 5.0, 2, 0.5),
    ],
    ids=["others had most", "there was room", "all our own", "too short to tell",
         "two of this run", "two of this run and others"],
)  # fmt: skip
def test_what_others_had_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
    busy: float,
    idle: float,
    own: float,
    alike: int,
    share: float | None,
) -> None:
    now = {"machine": (100.0, 50.0), "own": 3.0}
    monkeypatch.setattr(step_times, "machine_seconds", lambda: now["machine"])
    monkeypatch.setattr(step_times, "_own_seconds", lambda: now["own"])
    others = Others(alike=alike)
    now |= {"machine": (100.0 + busy, 50.0 + idle), "own": 3.0 + own}
    assert others.share() == (pytest.approx(share) if share else share)


def test_the_machine_tells_its_seconds() -> None:
    first = linux.machine_seconds()
    if first is None:
        pytest.skip("no /proc/stat here")
    later = linux.machine_seconds()
    assert later is not None
    assert later[0] >= first[0] > 0
    assert later[1] >= first[1] >= 0
