"""What fits of a file, what does not, and whose weights they are."""

import math

import pytest
import torch
from torch import nn

from netwright.core.errors import CheckpointError, SettingError
from netwright.models import MODELS, build
from netwright.models.weights.fitting import fit, fit_module, load_state_dict, put, shapes
from netwright.models.weights.identifying import identify

BODY = {"conv": (8, 3, 3, 3), "bn": (8,)}


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_a_head_for_other_classes_stays_fresh() -> None:
    own, given = BODY | {"w": (10, 8), "b": (10,)}, BODY | {"w": (1000, 8), "b": (1000,)}
    found = fit(own, given, num_classes=10)
    assert found.good
    assert (found.fresh, found.given_classes, found.fitting) == (("w", "b"), 1000, tuple(BODY))


def test_several_heads_stay_fresh_together() -> None:
    own = BODY | {"fc": (10, 8), "aux": (10, 4)}
    assert fit(own, BODY | {"fc": (7, 8), "aux": (7, 4)}, num_classes=10).fresh == ("fc", "aux")
    assert not fit(own, BODY | {"fc": (7, 8), "aux": (9, 4)}, num_classes=10).good


def test_a_head_that_reads_other_features_does_not_fit() -> None:
    assert not fit(BODY | {"w": (10, 8)}, BODY | {"w": (1000, 16)}, num_classes=10).good


def test_a_layer_that_is_not_as_wide_as_the_classes_does_not_fit() -> None:
    assert not fit(BODY | {"w": (10, 8)}, {**BODY, "bn": (16,), "w": (10, 8)}, num_classes=10).good


def test_a_file_without_a_head_fits_and_one_without_more_does_not() -> None:
    own = BODY | {"w": (10, 8), "b": (10,)}
    found = fit(own, BODY, num_classes=10, head=("w", "b"))
    assert found.good
    assert (found.fresh, found.given_classes) == (("w", "b"), 0)
    assert not fit(own, {"conv": BODY["conv"]}, num_classes=10, head=("w", "b")).good


def test_a_tensor_too_many_does_not_fit() -> None:
    assert not fit(BODY, BODY | {"more": (1,)}, num_classes=10).good


def test_nothing_fits_an_empty_file() -> None:
    assert not fit(BODY, {}, num_classes=10, head=tuple(BODY)).good


def test_weights_of_another_network_say_what_fits_and_leave_the_model_alone() -> None:
    model = network()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    weights = {
        "0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(4), "1.weight": torch.zeros(3),
        "1.bias": torch.zeros(3), "1.running_mean": torch.zeros(3), "fc": torch.zeros(1),
    }  # fmt: skip
    with pytest.raises(SettingError) as caught:
        load_state_dict(model, weights, source="them.pth")
    assert str(caught.value).startswith(
        "The weights in them.pth are those of another network: 4 of 7 tensors fit; missing: 1 "
        "(1.running_var); without a place: 1 (fc); of another shape: 1 (0.bias 4 != 3)."
    )
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_weights_older_than_the_count_of_batches_load() -> None:
    model = network()
    weights = {name: each for name, each in model.state_dict().items() if "tracked" not in name}
    load_state_dict(model, weights, source="old.pth")


def test_half_floats_are_converted_and_said() -> None:
    model = network()
    weights = {name: each.clone() for name, each in model.state_dict().items()}
    weights["0.weight"] = torch.full((3, 2), 0.5, dtype=torch.float16)
    weights["0.bias"] = torch.full((3,), 2.0, dtype=torch.float64)
    kinds = put(model, weights, fit_module(model, weights), source="a")
    assert kinds == ("float16", "float64")
    assert model.state_dict()["0.weight"].dtype == torch.float32
    assert model.state_dict()["0.weight"].tolist() == [[0.5, 0.5]] * 3


@pytest.mark.parametrize(
    ("name", "value"),
    [("0.weight", math.nan), ("1.running_mean", math.inf), ("1.running_var", -1.0)],
)
def test_numbers_no_network_can_use_are_refused(name: str, value: float) -> None:
    model = network()
    before = model.state_dict()["0.bias"].clone()
    weights = {key: torch.zeros_like(each) for key, each in model.state_dict().items()}
    weights[name] = torch.full_like(weights[name], value)
    with pytest.raises(CheckpointError, match=rf"a\.pth hold NaN, .*: {name} \(1 of 7 tens"):
        load_state_dict(model, weights, source="a.pth")
    assert torch.equal(model.state_dict()["0.bias"], before)


def test_float64_too_large_for_float32_is_refused() -> None:
    model = network()
    weights = dict(model.state_dict()) | {"0.bias": torch.full((3,), 1e300, dtype=torch.float64)}
    with pytest.raises(CheckpointError, match="hold NaN, infinity"):
        load_state_dict(model, weights, source="a.pth")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.complex64])
def test_what_are_no_plain_numbers_is_refused(dtype: torch.dtype) -> None:
    model = network()
    weights = dict(model.state_dict()) | {"0.bias": torch.ones(3, dtype=dtype)}
    with pytest.raises(SettingError, match=r"not plain numbers: 0\.bias is .*expected float32"):
        load_state_dict(model, weights, source="a.pth")


@pytest.mark.parametrize("name", [n for n in MODELS.names() if n != "mlp"])
def test_the_weights_of_every_network_are_known_by_their_shapes(name: str) -> None:
    with torch.device("meta"):
        model = MODELS.get(name).target(num_classes=7)
    found = identify(shapes(model.state_dict()))
    assert found is not None
    assert found.name == name or shapes(model.state_dict()) == _shapes_of(found.name)


def _shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes(MODELS.get(name).target(num_classes=7).state_dict())


def test_weights_with_a_small_stem_or_for_grey_images_are_known_too() -> None:
    with torch.device("meta"):
        model = build("resnet18", num_classes=4, in_channels=1, input_size=(32, 32))
    found = identify(shapes(model.state_dict()))
    assert (str(found), found and found.channels) == ("resnet18 model.stem=small", 1)


def test_weights_of_no_registered_network_are_of_none() -> None:
    assert identify({"a": (3, 3)}) is None
    assert identify({}) is None
