"""Weight norm by its old hook and by a parametrization: weights made of weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from netwright.inspection.tracing import trace
from netwright.records.inspection import InspectionRecord

HOOKED, PARAMETRIZED = "hooked", "parametrized"


def normed(layer: nn.Module, how: str, **settings: Any) -> nn.Module:
    if how == PARAMETRIZED:
        return nn.utils.parametrizations.weight_norm(layer, **settings)
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(layer, **settings)


def recorded(how: str, mode: Any = torch.no_grad) -> InspectionRecord:
    net = nn.Sequential(
        normed(nn.Conv2d(3, 8, 3, padding=1), how),
        nn.ReLU(),
        normed(nn.Conv2d(8, 4, 3, padding=1), how),
    )
    with mode():
        return trace(net, (torch.empty(1, 3, 16, 16),))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("how", [HOOKED, PARAMETRIZED])
def test_it_is_counted_and_sees_nothing_of_the_image(how: str, mode: Any) -> None:
    record = recorded(how, mode)
    assert record.unruled == ()
    norms = [each for each in record.operations if each.name == "weight_norm"]
    # Square, sum and product of each weight, root and quotient of each length.
    assert [each.other_ops for each in norms] == [3 * 8 * 27 + 2 * 8, 3 * 4 * 72 + 2 * 4]
    assert [field.sight for each in norms for field in each.fields] == ["nothing"] * 4
    assert [len(each.weights) for each in norms] == [2, 2]


@pytest.mark.parametrize("how", [HOOKED, PARAMETRIZED])
def test_what_comes_behind_is_as_without_it(how: str) -> None:
    plain = trace(
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)),
        (torch.empty(1, 3, 16, 16),),
    )
    record = recorded(how)
    assert record.macs == plain.macs
    assert record.params == plain.params + 8 + 4
    last = next(each for each in record.layers if each.name == "2")
    assert last.fields == plain.layers[-1].fields
    assert (last.fields[0].size, last.fields[0].padding) == (5, 2)


@pytest.mark.parametrize("how", [HOOKED, PARAMETRIZED])
@pytest.mark.parametrize("dim", [0, 1, 3, None])
def test_any_dimension_may_keep_its_length(how: str, dim: int | None) -> None:
    net = normed(nn.ConvTranspose2d(2, 4, 3), how, dim=dim)
    record = trace(net, (torch.empty(1, 2, 5, 5),))
    assert record.unruled == ()
    assert record.outputs == ((1, 4, 7, 7),)
    assert record.layers[0].fields[0].size == 3
