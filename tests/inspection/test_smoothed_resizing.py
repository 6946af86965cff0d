"""Antialiased resizing: what the record says a unit sees, against what its gradient answers to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.inspection.tracing import sight_of_call, trace
from netwright.records.inspection import InspectionRecord


class Resizing(nn.Module):
    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, antialias=True, **self.settings)


def network(**settings: Any) -> nn.Sequential:
    """A mean over three rows, and the image in another size."""
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False, dtype=torch.float64)
    nn.init.ones_(conv.weight)
    return nn.Sequential(conv, Resizing(**settings))


def image(height: int = 13, width: int = 10) -> Tensor:
    return torch.rand(1, 1, height, width, dtype=torch.float64) + 0.5


SIZES: list[dict[str, Any]] = [
    *({"size": size} for size in [(5, 4), (4, 7), (26, 20), (17, 23), (6, 15), (13, 10), (12, 9)]),
    *({"scale_factor": scale} for scale in (0.5, 2.0, 0.3, 1.7, (0.4, 2.5))),
    {"scale_factor": 0.37, "recompute_scale_factor": True},
]


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_each_unit_answers_to_the_rows_it_is_told_to_see(
    size: dict[str, Any], mode: str, corners: bool
) -> None:
    net, given = network(mode=mode, align_corners=corners, **size), image()
    sight = sight_of_call(net, (given,), {}, 2)
    assert sight is not None
    given.requires_grad_(True)
    maps = net(given)
    assert sight.shape == tuple(maps.shape)
    for row in range(maps.shape[2]):
        for column in range(maps.shape[3]):
            unit = maps[0, 0, row, column]
            (gradient,) = torch.autograd.grad(unit, given, retain_graph=True)
            pixels = gradient[0, 0].abs() > 1e-12
            for axis in range(2):
                rows = pixels.any(1 - axis).nonzero()[:, 0].tolist()
                assert sight.seen(axis, 0, 0, row, column) == (rows[0], rows[-1])


def test_made_smaller_by_a_factor_the_window_grows_with_it() -> None:
    record = trace(network(size=(4, 4), mode="bilinear"), (image(16, 16),))
    facts = record.layers[-1].fields[0]
    # Taps at distance < 4 of a place between two rows: 8 of them, and the rows beside.
    assert (facts.sight, facts.size) == ("varies", 10)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_it_is_the_same_with_gradients_in_inference_mode_and_computed(mode: str) -> None:
    def recorded() -> InspectionRecord:
        return trace(network(scale_factor=0.5, mode=mode), (image(12, 12),))

    with torch.no_grad():
        without = recorded()
    with torch.inference_mode():
        inferred = recorded()
    with torch.enable_grad():
        differentiated = recorded()
    for each in (inferred, differentiated):
        assert each.layers[-1].fields == without.layers[-1].fields
        assert each.operations[-1].other_ops == without.operations[-1].other_ops
        assert each.unruled == ()


def test_twice_its_taps_for_each_result_of_each_axis() -> None:
    record = trace(network(size=(4, 8), mode="bilinear"), (image(16, 8),))
    # Along 8 columns that stay 8: 2 taps for each of 16 x 8; then 4 times as many for 4 x 8.
    assert record.operations[-1].other_ops == 2 * 2 * 16 * 8 + 2 * 8 * 4 * 8
