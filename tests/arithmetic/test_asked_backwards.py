"""Questions asked backwards: which pool gives a size, which fields are nearest; and intensity."""

import itertools

import pytest
import torch
from torch import nn

from netwright.arithmetic.calculations import calculate
from netwright.arithmetic.calculations._windows import kernel_three_note
from netwright.arithmetic.intensity import intensity
from netwright.arithmetic.inverse import (
    nearest_fields,
    pools_for,
    stacks_with_field,
    windows_with_field,
)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("size", "want"), [(12, 6), (13, 6), (13, 7), (7, 1), (9, 9), (5, 2)])
def test_the_pools_that_are_found_are_those_that_torch_agrees_with(size, want, ceil_mode):
    agreeing = []
    for kernel in range(1, 8):
        for padding, stride in itertools.product(range(kernel // 2 + 1), range(1, kernel + 1)):
            layer = nn.MaxPool1d(kernel, stride, padding, ceil_mode=ceil_mode)
            try:
                out = layer(torch.zeros(1, 1, size)).shape[-1]
            except RuntimeError:
                continue
            if out == want:
                agreeing.append((kernel, stride, padding))
    found = pools_for(size, want, kernels=range(1, 8), ceil_mode=ceil_mode)
    assert list(found) == agreeing


def test_a_pool_that_halves_is_found_first():
    found = calculate("pool", [], {"input": "64x112x112", "want": "56"})
    assert found.tables[0].rows[:2] == ((2, 2, 0, 0), (3, 2, 1, 0))
    given = calculate("pool", [], {"input": "112", "want": "56", "kernel": "3", "padding": "1"})
    assert given.tables[0].rows == ((3, 2, 1, 0),)
    assert calculate("pool", [], {"input": "8", "kernel": "3", "want": "6"})["combinations"] == 1


def reachable(field, kernels, strides):
    if 1 in strides and any(True for _ in windows_with_field(field, kernels=kernels)):
        return True
    every = stacks_with_field(field, kernels=kernels, strides=strides)
    return any(layers > 1 for layers, *_ in every)


@pytest.mark.parametrize("kernels", [[3], [4], [7], [3, 5]])
@pytest.mark.parametrize("strides", [[1], [2], [3], [1, 2], [2, 3]])
def test_the_nearest_fields_are_those_that_counting_up_and_down_finds(kernels, strides):
    for field in range(2, 60):
        below = next((f for f in range(field - 1, 1, -1) if reachable(f, kernels, strides)), None)
        above = next(f for f in itertools.count(field + 1) if reachable(f, kernels, strides))
        expected = [each for each in (below, above) if each is not None]
        assert nearest_fields(field, kernels=kernels, strides=strides) == expected


def test_the_nearest_fields_are_shown_where_none_is_met():
    found = calculate("receptive-field", [], {"want": "30", "kernel": "3"})
    assert found["combinations"] == 0
    assert {row[0] for row in found.tables[1].rows} == {29, 31}
    assert "29, 31" in str(found.notes[0])
    assert len(calculate("receptive-field", [], {"want": "31", "kernel": "3"}).tables) == 1


@pytest.mark.parametrize(
    ("kernel", "dilation", "wrong"), [(5, 2, 7), (2, 3, 6), (7, 4, 13), (3, 3, None), (5, 1, None)]
)
def test_a_formula_that_holds_for_kernel_3_alone_is_corrected(kernel, dilation, wrong):
    notes = [str(each) for each in kernel_three_note([(kernel, dilation)])]
    right = kernel + (kernel - 1) * (dilation - 1)
    assert notes == (
        []
        if wrong is None
        else [
            "A common note gives 2(d - 1) + k, which holds for kernel 3 alone: "
            f"{wrong} here, where it is {right}."
        ]
    )
    for name, things, settings in (
        ("conv", [], {"input": "64", "kernel": str(kernel), "dilation": str(dilation)}),
        ("receptive-field", [f"conv {kernel} d{dilation}"], {}),
    ):
        told = [str(each) for each in calculate(name, things, settings).notes]
        assert all(each in told for each in notes)


def test_intensity_is_the_products_over_the_bytes_of_real_tensors():
    layer, x = nn.Conv2d(8, 16, 3, padding=1, groups=2), torch.zeros(1, 8, 20, 24)
    out = layer(x)
    macs = out.numel() * layer.weight[0].numel()
    moved = 4 * (x.numel() + sum(each.numel() for each in layer.parameters()) + out.numel())
    found = calculate(
        "conv", [], {"input": "8x20x24", "kernel": "3", "padding": "1", "out": "16", "groups": "2"}
    )
    assert (found["macs"], found["bytes_moved"]) == (macs, moved)
    assert found["intensity"] == pytest.approx(2 * macs / moved)


def test_a_linear_layer_does_half_a_flop_a_byte_for_one_sample_and_more_for_many_positions():
    one, many = (
        calculate("linear", [], {"in": "512", "out": "1000", "positions": positions})["intensity"]
        for positions in ("1", "196")
    )
    assert one == pytest.approx(0.5, rel=0.01)
    assert many == pytest.approx(float(intensity(196 * 512_000, 196 * 512, 513_000, 196_000)))
    assert many > 50
