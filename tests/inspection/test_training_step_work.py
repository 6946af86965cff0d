"""The multiply-adds of a step, forward and backward, against products counted by hand."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from netwright.inspection.training_step import training_memory
from netwright.models import build


def work(net: nn.Module, *shape: int, grad: bool = False) -> tuple[int, int]:
    found = training_memory(net, (torch.empty(shape, requires_grad=grad),), optimizer=None)
    return found.forward_macs, found.backward_macs


def test_the_gradient_of_a_convolution_is_its_forward_twice() -> None:
    forward = 2 * 8 * 6 * 6 * 3 * 9
    assert work(nn.Conv2d(3, 8, 3), 2, 3, 8, 8, grad=True) == (forward, 2 * forward)


def test_the_first_layer_needs_no_gradient_of_its_input() -> None:
    first, second = 2 * 8 * 6 * 6 * 3 * 9, 2 * 4 * 4 * 4 * 8 * 9
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3))
    assert work(net, 2, 3, 8, 8) == (first + second, first + 2 * second)


def test_a_depthwise_convolution_is_no_full_one() -> None:
    forward = 2 * 32 * 8 * 8 * 9
    net = nn.Conv2d(32, 32, 3, padding=1, groups=32)
    assert work(net, 2, 32, 8, 8, grad=True) == (forward, 2 * forward)


def test_a_transposed_convolution_counts_its_inputs_positions() -> None:
    forward = 2 * 4 * 5 * 5 * (6 * 3 * 3)
    net = nn.ConvTranspose2d(4, 6, 3, stride=2)
    assert work(net, 2, 4, 5, 5, grad=True) == (forward, 2 * forward)


def test_frozen_weights_need_no_gradient() -> None:
    net = nn.Sequential(nn.Linear(10, 20), nn.Linear(20, 30))
    net[0].requires_grad_(False)
    assert work(net, 4, 10) == (4 * (200 + 600), 4 * 600)  # the last weight's alone


def test_attention_has_two_products_forward_and_four_backward() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, query: Tensor) -> Tensor:
            query = query * self.scale
            return nn.functional.scaled_dot_product_attention(query, query, query)

    found = training_memory(Attention(), (torch.empty(2, 4, 10, 8),), optimizer=None)
    product = 2 * 4 * 10 * 10 * 8
    assert (found.forward_macs, found.backward_macs) == (2 * product, 4 * product)
    assert found.recomputed_macs == product  # the scores, which are not kept


def test_the_gates_of_an_lstm() -> None:
    rows, gates = 5 * 3, 4 * 16
    net = nn.LSTM(8, 16)
    forward = rows * gates * (8 + 16)
    assert work(net, 5, 3, 8) == (forward, rows * gates * (8 + 2 * 16))
    assert work(net, 5, 3, 8, grad=True) == (forward, 2 * forward)


@pytest.mark.parametrize("name", ["lenet5", "vgg11"])
def test_networks_without_depthwise_layers_agree_with_torchs_counter(name: str) -> None:
    with torch.device("meta"):
        net = build(name, num_classes=10, in_channels=3, input_size=(64, 64))
        images = torch.empty(2, 3, 64, 64)
    found = training_memory(net, (images,), optimizer=None)
    counter = FlopCounterMode(display=False)
    with counter:
        net.train()(images).sum().backward()
    assert 2 * (found.forward_macs + found.backward_macs) == counter.get_total_flops()
