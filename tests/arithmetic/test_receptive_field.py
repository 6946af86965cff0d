"""Fields by the recurrence against gradients of ones, and the cases everyone knows."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from netwright.arithmetic.layer_list import read_layers, spelled
from netwright.arithmetic.receptive_field import Layer, receptive_field
from netwright.arithmetic.sizes import effective_kernel, same_padding
from netwright.core.errors import SettingError


def last(text, size=None):
    return receptive_field(read_layers(text), size)[-1]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("conv 3", 3),
        ("conv 1", 1),
        ("conv 3, conv 3", 5),
        ("conv 3 s2, conv 3", 7),
        ("conv 3 d2", 5),
        ("conv 3 d3", 7),  # not 8, as a common note has it
        ("5*conv 3 d2", 21),
        ("conv 3, conv 3 d2, conv 3 d4, conv 3 d8", 31),
        ("conv 3 p9, conv 3 p5", 5),  # padding plays no part
    ],
)
def test_worked_cases(text, size):
    assert last(text).size == size


VGG = "2*conv 3 p1, pool 2, 2*conv 3 p1, pool 2, 3*conv 3 p1, pool 2, 3*conv 3 p1, pool 2, 3*conv 3 p1, pool 2"  # noqa: E501
ALEXNET = "conv 11 s4, pool 3 s2, conv 5 p2, pool 3 s2, conv 3 p1, conv 3 p1, conv 3 p1, pool 3 s2"
LENET = "conv 5, pool 2, conv 5, pool 2"


def test_published_fields_of_chains():
    """Araujo et al. 2019: VGG-16 pool5 212/32/90, AlexNet v2 pool5 195/32 with padding 64."""
    step = last(VGG, 224)
    assert (step.size, step.jump, step.padding, step.output) == (212, 32, 90, 7)
    step = last("conv 11 s4, pool 3 s2, conv 5 p2, pool 3 s2, 3*conv 3 p1, pool 3 s2")
    assert (step.size, step.jump, step.padding) == (195, 32, 64)
    assert last(LENET).size == 16
    assert last(VGG + ", conv 7").size == 404  # fc6 of FCN-32s


def built(layers):
    """The chain as torch modules that sum and never weigh, so that a gradient is a count."""
    for each in layers:
        if each.kind == "conv":
            yield nn.ConstantPad1d(each.padding, 0.0)
            yield nn.Conv1d(1, 1, each.kernel_size, each.stride, dilation=each.dilation, bias=False)
        elif each.kind == "pool":
            yield nn.AvgPool1d(
                each.kernel_size, each.stride, each.padding[0], ceil_mode=each.ceil_mode
            )
        elif each.kind == "transposed":
            yield nn.ConvTranspose1d(
                1, 1, each.kernel_size, each.stride, each.padding[0], each.output_padding,
                dilation=each.dilation, bias=False,
            )  # fmt: skip
        else:
            yield nn.Upsample(scale_factor=each.stride)


def random_layer(chosen, *, up):
    kind = chosen.choice(["conv", "conv", "pool", *(["transposed", "up"] if up else [])])
    kernel, stride, rate = chosen.randint(1, 4), chosen.randint(1, 3), chosen.randint(1, 3)
    if kind == "up":
        return Layer(kind="up", kernel_size=2, stride=2)
    if kind == "pool":
        pad = chosen.randint(0, kernel // 2)
        return Layer(kind="pool", kernel_size=kernel, stride=stride, padding=(pad, pad))
    if kind == "transposed":
        cut = chosen.randint(0, 1)
        return Layer(
            kind="transposed", kernel_size=kernel, stride=stride, padding=(cut, cut), dilation=rate
        )
    pads = chosen.choice([(0, 0), (1, 1), (2, 2), same_padding(kernel, dilation=rate)])
    return Layer(kernel_size=kernel, stride=stride, padding=pads, dilation=rate)


def rows_by_gradient(layers, size, unit):
    """Rows of the input with a gradient from one unit, in float64 with weights of one."""
    network = nn.Sequential(*built(layers)).double()
    for weight in network.parameters():
        nn.init.ones_(weight)
    image = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, unit].backward()
    return image.grad[0, 0].nonzero().flatten().tolist(), network(image).shape[-1]


@pytest.mark.parametrize("up", [False, True], ids=["windows", "with-up-sampling"])
def test_every_unit_sees_what_its_gradient_says(up):
    chosen = random.Random(17 + up)
    compared = 0
    for _ in range(120):
        layers = [random_layer(chosen, up=up) for _ in range(chosen.randint(1, 4))]
        try:
            step = receptive_field(layers, 150)[-1]
        except SettingError:
            continue  # the window did not fit any more
        for unit in {step.output // 2, step.output // 2 + 1, 0, step.output - 1}:
            rows, length = rows_by_gradient(layers, 150, unit)
            assert length == step.output
            seen = step.sees(unit)
            inside = [] if seen is None else [max(seen[0], 0), min(seen[1], 149)]
            middle = unit not in (0, step.output - 1)  # those may read units that are not there
            if seen is not None and middle and seen[0] >= 0 and seen[1] < 150:
                assert [rows[0], rows[-1]] == inside, (layers, unit)
                assert len(rows) <= step.reads
                if not step.varies:
                    assert len(rows) == step.reads, (layers, unit)
                    assert seen[1] - seen[0] + 1 == step.size
                compared += 1
            elif rows:
                assert inside[0] <= rows[0] <= rows[-1] <= inside[1], (layers, unit)
    assert compared > 100


def test_a_chain_without_up_sampling_follows_the_recurrence():
    chosen = random.Random(4)
    for _ in range(200):
        layers = [random_layer(chosen, up=False) for _ in range(chosen.randint(1, 6))]
        size, jump, padding = 1, 1, 0
        for each in layers:
            size += (effective_kernel(each.kernel_size, each.dilation) - 1) * jump
            padding += each.padding[0] * jump
            jump *= each.stride
        step = receptive_field(layers)[-1]
        assert (step.size, step.jump, step.padding, step.varies) == (size, jump, padding, False)
        assert step.start == (size - 1) / 2 - padding


def test_a_long_kernel_has_its_ends_and_leaves_its_holes_uncounted():
    step = last("conv 9999 d3, conv 9999 s7, conv 5000")
    assert step.size == 1 + 9998 * 3 + 9998 + 4999 * 7
    assert step.reads is None
    step = last("transposed 9999 s2, conv 3")
    assert (step.size, step.jump) == (5001, 0.5)


def test_a_transposed_kernel_below_its_stride_leaves_units_that_see_nothing():
    step = last("transposed 2 s3")
    assert step.blind
    assert [step.sees(unit) for unit in range(4)] == [(0, 0), (0, 0), None, (1, 1)]


def test_everything_is_seen_behind_a_global_pool():
    step = last("conv 3, global, conv 1", 32)
    assert (step.size, step.jump, step.start, step.output) == (None, None, None, 1)


def test_layers_read_back_as_they_are_spelled():
    chosen = random.Random(1)
    for _ in range(200):
        layer = random_layer(chosen, up=True)
        if layer.padding[0] == layer.padding[1] or layer.padding == same_padding(
            layer.kernel_size, dilation=layer.dilation
        ):
            assert read_layers(spelled(layer)) == [layer]


@pytest.mark.parametrize(
    "text", ["conv 3 s2 p1", "3x3 s2 p1", "conv2d k3 s2 p1", "Conv3 S2 P1", "1*conv 3 s2 p1"]
)
def test_spellings_of_one_layer(text):
    assert read_layers(text) == [Layer(kernel_size=3, stride=2, padding=(1, 1))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("covn 3", 'No layer called "covn" in "covn 3".\nNearest: conv'),
        ("conv 3 s0", '"0" in "conv 3 s0" is not allowed: expected a whole number from 1'),
        ("conv -3", '"-3" in "conv -3" is not allowed'),
        ("conv 3.5", '"3.5" in "conv 3.5" is not allowed'),
        ("conv 3 p1 p2", '"conv 3 p1 p2" says p twice.'),
        ("conv 3 q1", '"q1" in "conv 3 q1" is no part of a layer.'),
        ("conv", '"conv" says no kernel size.'),
        (" , ", "There is no layer in it."),
        ("1001*conv 3", "is not allowed"),
        ("999*conv 3, 2*conv 3", "These are more than 1000 layers."),
        ("up 300", "at most 256"),
        ("conv 999999999999999999999", "is not allowed"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_words(text, words):
    with pytest.raises(SettingError) as caught:
        last(text)
    assert words in str(caught.value)


def test_a_window_that_does_not_fit_is_refused_when_the_size_is_known():
    with pytest.raises(SettingError, match="A window of 7 does not fit into 5"):
        last("conv 4 s2, conv 7", 13)
