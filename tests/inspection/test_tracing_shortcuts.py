"""A layer that goes straight to its rule gives what it gives the long way; it goes where it may."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from netwright.inspection import calls
from netwright.inspection.tracing import trace
from netwright.records.inspection import InspectionRecord


def _network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding="same"), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1, groups=4, bias=False), nn.BatchNorm2d(8, affine=False),
        nn.ReLU6(inplace=True), nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(8, track_running_stats=False), nn.SiLU(), nn.Hardswish(inplace=True),
        nn.Identity(), nn.Flatten(2), nn.Conv1d(8, 4, 5), nn.BatchNorm1d(4), nn.Hardtanh(),
        nn.LayerNorm(60), nn.Dropout(0.3), nn.Linear(60, 7),
    )  # fmt: skip


def _facts(model: nn.Module, training: bool) -> InspectionRecord:
    record = trace(model, (torch.ones(2, 3, 16, 16),), training=training)
    return dataclasses.replace(record, seconds=0.0)


@pytest.mark.parametrize("training", [False, True])
def test_the_short_way_gives_what_the_long_one_gives(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _network()
    _facts(model, training)  # the first pass of a process keeps tensors alive for longer
    short = _facts(model, training)
    monkeypatch.setattr(calls, "short_way", lambda module: None)
    assert short == _facts(model, training)
    assert short.macs > 0
    assert not short.unruled


def test_hooks_and_forwards_of_ones_own_still_run() -> None:
    heard: list[str] = []
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    model[0].register_forward_hook(lambda *_: heard.append("hook"))
    model[1].forward = lambda x: (heard.append("forward"), x.sigmoid())[1]  # type: ignore[method-assign]
    record = trace(model, (torch.ones(1, 3, 8, 8),))
    assert heard == ["hook", "forward"]
    assert [each.name for each in record.operations] == ["conv2d", "sigmoid", "batch_norm"]


def test_a_hook_that_a_network_registers_on_the_way_runs() -> None:
    heard: list[str] = []

    class Hooking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            handle = self.layer.register_forward_hook(lambda *_: heard.append("hook"))
            x = self.layer(x)
            handle.remove()
            return self.layer(x)

    trace(Hooking(), (torch.ones(1, 4),))
    assert heard == ["hook"]


def test_a_kind_of_ones_own_takes_the_long_way() -> None:
    class Doubled(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(super().forward(x))

    record = trace(Doubled(3, 3, 3), (torch.ones(1, 3, 8, 8),))
    assert [each.name for each in record.operations] == ["conv2d", "conv2d"]
