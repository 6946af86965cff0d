"""What cannot be inspected is refused in words: the layer, what it was given, what it expects."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.inspection.inputs import with_samples
from netwright.inspection.tracing import trace


def _net() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    return nn.Sequential(features, nn.Flatten(), nn.Linear(8 * 6 * 6, 5))


def test_a_wrong_channel_count_names_the_convolution() -> None:
    with pytest.raises(SettingError, match=r"0\.0 \(Conv2d\).*\(1, 4, 8, 8\)") as caught:
        trace(_net(), (torch.ones(1, 4, 8, 8),))
    assert "It expects (N, 3, H, W)." in str(caught.value)


def test_a_wrong_image_size_names_the_linear_layer() -> None:
    with pytest.raises(SettingError, match=r"2 \(Linear\).*\(1, 392\)") as caught:
        trace(_net(), (torch.ones(1, 3, 9, 9),))
    assert "It expects (..., 288)." in str(caught.value)


def test_an_image_smaller_than_the_kernel_names_the_convolution() -> None:
    with pytest.raises(SettingError, match=r"0\.0 \(Conv2d\).*Kernel size"):
        trace(_net(), (torch.ones(1, 3, 2, 2),))


@pytest.mark.parametrize(
    ("layer", "given", "expected"),
    [
        (nn.BatchNorm2d(4), (2, 3, 4, 4), "4 channels"),
        (nn.GroupNorm(2, 4), (2, 3, 4, 4), "4 channels"),
        (nn.LayerNorm(5), (2, 4), "(..., 5)"),
        (nn.LSTM(8, 4), (5, 2, 7), "8 features"),
        (nn.Conv1d(3, 4, 3), (2, 4, 9), "(N, 3, L)"),
        (nn.ConvTranspose2d(3, 4, 3), (2, 4, 9, 9), "(N, 3, H, W)"),
    ],
)
def test_each_kind_of_layer_says_what_it_expects(
    layer: nn.Module, given: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(SettingError) as caught:
        trace(layer, (torch.ones(given),))
    assert f"It expects {expected}" in str(caught.value)
    assert str(given) in str(caught.value)


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(SettingError, match="missing a required argument: 'input2'"):
        trace(nn.Bilinear(2, 3, 4), (torch.ones(1, 2),))


def test_a_class_is_no_network() -> None:
    with pytest.raises(SettingError, match="ReLU is a class, not a network"):
        trace(nn.ReLU, (torch.ones(1),))  # type: ignore[arg-type]


def test_a_function_is_no_network() -> None:
    with pytest.raises(SettingError, match=r"Only a torch\.nn\.Module"):
        trace(F.relu, (torch.ones(1),))  # type: ignore[arg-type]


def test_inputs_without_a_tensor_are_refused() -> None:
    with pytest.raises(SettingError, match="no tensor among the inputs"):
        trace(_net(), ((3, 8, 8),))


def test_a_shape_stands_for_one_sample() -> None:
    assert trace(_net(), with_samples(((3, 8, 8),))).outputs == ((1, 5),)
    with pytest.raises(SettingError, match=r"cannot have the shape \(3, 0\)"):
        with_samples(((3, 0),))


def test_a_network_that_asks_for_values_needs_them() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(SettingError, match="asks for the values"):
        trace(Branching(), (torch.ones(2, 3, device="meta"),))
    record = trace(Branching(), (torch.ones(2, 3),))
    assert record.concrete
    assert "it was computed" in record.notes[0]


def test_what_wraps_a_network_is_taken_off_and_told() -> None:
    model = _net()
    inputs = (torch.ones(1, 3, 8, 8),)
    expected = trace(model, inputs)
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        record = trace(wrapped, inputs)  # type: ignore[arg-type]
        assert record.layers == expected.layers
        assert "was inspected" in record.notes[0]


def test_a_network_with_a_compiled_part_is_read_as_it_was_written() -> None:
    part: Any = torch.compile(_net(), backend="eager")
    record = trace(nn.Sequential(part), (torch.ones(1, 3, 8, 8),))
    assert record.macs == trace(_net(), (torch.ones(1, 3, 8, 8),)).macs


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_scripted_and_recorded_networks_are_counted_whole() -> None:
    model = _net().eval()
    inputs = (torch.ones(1, 3, 8, 8),)
    expected = trace(model, inputs)
    for scripted in (torch.jit.script(model), torch.jit.trace(model, inputs)):
        record = trace(scripted, inputs)
        assert (record.macs, record.params) == (expected.macs, expected.params)
        assert record.unruled == ()


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layers_get_their_shapes_on_a_copy() -> None:
    model = nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))
    record = trace(model, (torch.ones(1, 3, 8, 8),))
    assert record.params == trace(_net(), (torch.ones(1, 3, 8, 8),)).params
    assert [each.kind for each in record.layers[1:]] == [
        "Conv2d", "BatchNorm2d", "Flatten", "Linear",
    ]  # fmt: skip
    assert type(model[0]) is nn.LazyConv2d
    assert nn.parameter.is_lazy(model[0].weight)


def test_an_operation_without_a_rule_is_named() -> None:
    class Solving(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return torch.linalg.inv(x) @ x

    record = trace(Solving(), (torch.ones(1, 4, 4),))
    assert record.unruled == (("linalg_inv_ex", 1),)
    assert record.layers[0].unruled == record.unruled
    assert record.macs == 64
