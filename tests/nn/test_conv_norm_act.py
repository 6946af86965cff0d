import pytest
import torch
from torch import nn

from netwright.nn.conv_norm_act import Conv2dSame, ConvNormAct


def test_same_padding_puts_the_odd_zero_behind() -> None:
    # Ones on 4 pixels with stride 2: windows 0-2 and 2-4, the last of which holds one zero.
    layer = Conv2dSame(1, 1, kernel_size=3, stride=2, bias=False)
    nn.init.ones_(layer.weight)
    row = torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, 1, 1, 4)
    assert layer(row).flatten().tolist() == [7.0, 12.0]


def test_same_padding_of_odd_sides_is_that_of_torch() -> None:
    same = Conv2dSame(2, 3, kernel_size=3, stride=2)
    usual = nn.Conv2d(2, 3, kernel_size=3, stride=2, padding=1)
    usual.load_state_dict(same.state_dict())
    x = torch.randn(1, 2, 7, 9)
    torch.testing.assert_close(same(x), usual(x))


@pytest.mark.parametrize("side", range(3, 10))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_leaves_a_side_over_the_stride_rounded_up(side: int, stride: int) -> None:
    layer = Conv2dSame(1, 1, kernel_size=3, stride=stride)
    assert layer(torch.zeros(1, 1, side, 4)).shape[2] == -(-side // stride)


def test_a_bias_stands_only_where_no_norm_follows() -> None:
    assert ConvNormAct(3, 8, kernel_size=1, norm="batch")[0].bias is None
    assert ConvNormAct(3, 8, kernel_size=1, norm="none")[0].bias is not None


def test_the_activation_can_be_left_out() -> None:
    assert len(ConvNormAct(3, 8, kernel_size=1, act=None)) == 2
