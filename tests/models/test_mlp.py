import torch
from torch import nn

from netwright.models.mlp import mlp


def _kinds(model: nn.Module) -> list[str]:
    return [type(each).__name__ for each in model.children()]


def test_each_hidden_layer_is_linear_norm_activation_dropout() -> None:
    model = mlp(hidden=(5,), norm="batch", act="tanh", dropout=0.5)
    assert _kinds(model) == ["Flatten", "Linear", "BatchNorm1d", "Tanh", "Dropout", "Linear"]


def test_without_hidden_layers_it_is_softmax_regression() -> None:
    assert _kinds(mlp(hidden=())) == ["Flatten", "Linear"]


def test_relu_layers_keep_the_size_of_the_signal() -> None:
    torch.manual_seed(0)
    model = mlp(input_size=(20, 20), hidden=(400,) * 20)
    out = model(torch.randn(100, 1, 20, 20))
    assert 0.3 < out.square().mean() < 3  # with torch's default law: below 1e-6


def test_none_means_no_norm_however_it_is_written() -> None:
    assert _kinds(mlp(norm=None)) == _kinds(mlp(norm="none"))
