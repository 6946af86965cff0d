"""The rows of a record are made when they are first looked at; nobody can tell."""

import copy
import dataclasses
import gc
import pickle
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn

from netwright.inspection.tracing import trace
from netwright.records.inspection import InspectionRecord


def record() -> InspectionRecord:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.3))
    return trace(model, (torch.empty(1, 3, 8, 8),), training=True)


def _sent(found: InspectionRecord) -> InspectionRecord:
    sent: InspectionRecord = pickle.loads(pickle.dumps(found))
    return sent


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, _sent])
def test_a_copy_has_the_layers(again: Callable[[InspectionRecord], InspectionRecord]) -> None:
    found = record()
    twin = again(found)
    assert [each.name for each in twin.layers] == ["", "0", "1", "2"]
    assert twin == found
    assert twin.layers[3].rate == 0.3


def test_they_are_made_once_and_are_fields_like_others() -> None:
    found = record()
    assert found.layers is found.layers
    assert dataclasses.asdict(found)["layers"][1]["params"] == 112
    assert dataclasses.replace(found, model="other").layers == found.layers
    assert "layers=" in repr(found)


def test_what_is_no_field_is_none() -> None:
    with pytest.raises(AttributeError, match="no 'colour'"):
        _ = record().colour  # type: ignore[attr-defined]


def test_the_record_holds_no_weight() -> None:
    model = nn.Conv2d(3, 4, 3)
    found = trace(model, (torch.empty(1, 3, 8, 8),))
    weight, module = weakref.ref(model.weight), weakref.ref(model)
    del model
    gc.collect()
    assert weight() is None
    assert module() is None
    assert found.layers[0].params == 112
