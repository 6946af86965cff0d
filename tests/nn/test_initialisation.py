import math

import pytest
import torch
from torch import nn

from netwright.nn.initialisation import initialise


def test_weights_have_the_spread_of_he_and_biases_are_zero() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 256, kernel_size=3)
    initialise(nn.Sequential(layer), "relu")
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.02)
    assert layer.bias is not None
    assert layer.bias.abs().sum() == 0


def test_the_head_has_no_gain() -> None:
    torch.manual_seed(0)
    head = nn.Linear(400, 300)
    initialise(nn.Sequential(head), "relu", head=head)
    assert head.weight.std().item() == pytest.approx(1 / 20, rel=0.02)
