"""The numbers of the field that everyone should know, and what common notes have wrong."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from netwright.arithmetic import checkerboard, counts, factoring, gridding, sizes
from netwright.arithmetic.calculations import CALCULATIONS, calculate
from netwright.arithmetic.inverse import stacks_with_field, windows_with_field
from netwright.arithmetic.layer_list import read_layers
from netwright.arithmetic.receptive_field import receptive_field
from netwright.arithmetic.training_state import state_bytes
from netwright.arithmetic.working import line
from netwright.core.errors import SettingError


def calc(command):
    """A command line behind `netwright calc`, settings and things as they are typed."""
    name, *words = command.split(" ")
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    return calculate(name, [word for word in words if "=" not in word], settings)


def said(worked):
    return " ".join(map(str, worked.notes))


def test_the_stem_of_resnet():
    worked = calc("conv input=3x224x224 kernel=7 stride=2 padding=3 out=64 bias=false")
    assert (worked["output"], worked["params"], worked["macs"]) == ((112, 112), 9408, 118_013_952)


def test_layers_of_vgg16_add_up_to_its_total():
    widths = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256),
              (256, 512), *[(512, 512)] * 5]  # fmt: skip
    convs = sum(calc(f"conv in={a} out={b} kernel=3")["params"] for a, b in widths)
    heads = [(512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)]
    assert convs + sum(counts.linear_params(a, b) for a, b in heads) == 138_357_544
    assert sum(counts.linear_params(a, b) for a, b in heads) == 123_642_856


def test_lenet5_has_61706_parameters_and_416520_multiply_adds():
    layers = [
        calc("conv input=1x32x32 kernel=5 out=6"),
        calc("conv input=6x14x14 kernel=5 out=16"),
        calc("conv input=16x5x5 kernel=5 out=120"),
        calc("linear in=120 out=84"),
        calc("linear in=84 out=10"),
    ]
    assert sum(each["params"] for each in layers) == 61_706
    assert sum(each["macs"] for each in layers) == 416_520


def test_dilation_three_sees_seven_and_the_note_that_says_eight_is_named():
    for command in ("conv input=32 kernel=3 dilation=3", "receptive-field chain=3-d3"):
        worked = calc(command.replace("3-d3", "conv\u00a03\u00a0d3"))
        assert "It sees 7" in said(worked)
        assert worked["size"] == 7 if "size" in worked else worked["effective_kernel"] == (7, 7)
    assert [sizes.effective_kernel(3, d) for d in (1, 2, 3)] == [3, 5, 7]
    assert "It sees 7" not in said(calc("conv input=32 kernel=3 dilation=2"))


def test_the_floor_that_notes_leave_out():
    assert "that would be 112.5 here" in said(calc("conv input=224 kernel=7 stride=2 padding=3"))
    assert "floor" not in said(calc("conv input=32 kernel=3 padding=1"))


def test_the_product_of_strides_is_over_earlier_layers():
    worked = calculate("receptive-field", ["conv 3 s2, conv 3"], {})
    assert worked["size"] == 7
    assert "which would be 9 here" in said(worked)
    assert "would be" not in said(calculate("receptive-field", ["conv 3, conv 3"], {}))


def test_coverage_of_dilated_stacks():
    assert gridding.coverage([2, 2, 2]) == (49, 169)
    assert gridding.coverage([2] * 5) == (11**2, 21**2)
    assert gridding.coverage([1, 2, 5]) == (17**2, 17**2)
    assert gridding.coverage([1, 2, 4, 8]) == (31**2, 31**2)
    for n in range(1, 6):
        for m in range(1, 6):
            share = Fraction(*gridding.coverage([m] * n))
            assert share == Fraction(2 * n + 1, 2 * m * n + 1) ** 2 or m == 1


def test_positions_read_are_those_with_a_gradient():
    for rates in ([1, 2, 5], [2, 4], [3], [2, 3, 7], [1, 2, 9]):
        layers = [nn.Conv1d(1, 1, 3, dilation=d, bias=False).double() for d in rates]
        for layer in layers:
            nn.init.ones_(layer.weight)
        field = gridding.field_of(rates)
        image = torch.zeros(1, 1, field, dtype=torch.float64, requires_grad=True)
        nn.Sequential(*layers)(image).sum().backward()
        assert gridding.positions_read(rates) == image.grad[0, 0].nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("rates", "distance", "keeps"),
    [([1, 2, 5], 2, True), ([1, 2, 9], 5, False), ([2, 4, 8], 4, False), ([1, 2, 3], 2, True)],
)
def test_the_rule_of_hybrid_dilation(rates, distance, keeps):
    """1,2,5 and 1,2,9 are the examples of Wang et al. 2018."""
    assert gridding.largest_distance(rates) == distance
    assert gridding.follows_rule(rates) is keeps


def test_the_rule_never_promises_a_field_with_holes():
    for a in range(1, 7):
        for b in range(a, 9):
            for c in range(b, 12):
                rates = [a, b, c]
                if a == 1 and gridding.follows_rule(rates):
                    read, whole = gridding.coverage(rates)
                    assert read == whole, rates


@pytest.mark.parametrize(
    ("kernel", "stride", "uneven"),
    [(3, 2, 4.0), (5, 2, 2.25), (2, 2, 1.0), (4, 2, 1.0), (3, 3, 1.0), (4, 3, 4.0), (2, 3, None)],
)
def test_checkerboards(kernel, stride, uneven):
    assert checkerboard.unevenness(kernel, stride) == uneven
    layer = nn.ConvTranspose2d(1, 1, kernel, stride, bias=False)
    nn.init.ones_(layer.weight)
    middle = layer(torch.ones(1, 1, 12, 12))[0, 0, 4 * stride : 8 * stride, 4 * stride : 8 * stride]
    fewest, most = middle.min().item(), middle.max().item()
    assert (most / fewest if fewest else None) == uneven
    counts_ = sorted(set(checkerboard.contributions(kernel, stride)))
    assert sorted({round(v**0.5) for v in middle.diagonal().tolist()}) == counts_


def test_grouped_weights_are_exactly_a_share_and_biases_are_not():
    full = counts.conv_params(48, 48, (3, 3), bias=False)
    for groups in (2, 4, 48):
        assert counts.conv_params(48, 48, (3, 3), groups=groups, bias=False) * groups == full
    worked = calc("conv in=48 out=48 kernel=3 groups=4")
    assert worked["share"] == Fraction(1, 4)
    assert "the 48 biases stay" in said(worked)


def test_the_share_of_a_separable_convolution():
    for channels, out, kernel in ((64, 128, 3), (3, 7, 5), (1, 1, 1)):
        window = (kernel, kernel)
        depthwise = counts.conv_params(channels, channels, window, groups=channels, bias=False)
        pointwise = counts.conv_params(channels, out, (1, 1), bias=False)
        assert factoring.separable_weights(channels, out, window) == depthwise + pointwise
        full = factoring.full_weights(channels, out, window)
        share = Fraction(depthwise + pointwise, full)
        assert factoring.separable_share(out, window) == share
    assert "0.1111 here instead of 0.1189" in said(calc("separable in=64 out=128"))


def test_the_widest_bottleneck_is_the_last_that_saves():
    for share in (Fraction(1), Fraction(1, 2), Fraction(1, 10)):
        width = factoring.widest_bottleneck(192, 32, (5, 5), share)
        full = factoring.full_weights(192, 32, (5, 5))
        assert factoring.bottleneck_weights(192, 32, (5, 5), width) <= share * full
        assert factoring.bottleneck_weights(192, 32, (5, 5), width + 1) > share * full
    assert calc("bottleneck in=192 out=32 kernel=5 width=16")["params"] == 15_872


def test_small_kernels_against_large_ones():
    """Two 3x3 see 5 with 18 of 25 weights, three see 7 with 27 of 49 (the argument of VGG)."""
    assert (
        2 * factoring.full_weights(7, 7, (3, 3)) * 25 == factoring.full_weights(7, 7, (5, 5)) * 18
    )
    assert receptive_field(read_layers("3*conv 3"))[-1].size == 7


def test_states_of_optimizers_as_times_the_weights():
    """SGD 1, momentum 2, Adam 3 times the weights, themselves included and gradients not."""
    for name, times in (("sgd", 1), ("momentum", 2), ("adam", 3)):
        found = state_bytes(1000, optimizer=name)
        assert found.total - found.gradients == times * found.weights
    half = state_bytes(1000, optimizer="adam", dtype="float16", master=True)
    assert half.total == 16 * 1000
    assert state_bytes(1000, optimizer="adam", trainable=10).total == 4000 + 10 * 12


def test_every_stack_that_is_found_has_the_field():
    for want in (3, 7, 15, 31, 33):
        found = list(stacks_with_field(want, kernels=range(2, 8), strides=(1, 2, 3)))
        for count, kernel, stride, rates in found:
            each = [int(rate) for rate in rates.split(",")]
            text = ", ".join(
                f"conv {kernel} s{stride} d{each[n % len(each)]}" for n in range(count)
            )
            assert receptive_field(read_layers(text))[-1].size == want
        for kernel, rate in windows_with_field(want, kernels=range(2, 40)):
            assert sizes.effective_kernel(kernel, rate) == want
    assert (4, 3, 1, "1,2,4,8") in list(stacks_with_field(31, kernels=[3], strides=[1]))


def test_which_padding_keeps_the_size():
    assert calc("conv input=32 kernel=3 want=32")["padding"] == ((1, 1), (1, 1))
    worked = calc("conv input=32 kernel=4 want=32")
    assert worked["padding"] == ((1, 2), (1, 2))
    assert "F.pad(x, (1, 2, 1, 2))" in said(worked)
    assert calc("conv input=32x20 kernel=3x5 want=16x10 stride=2")["padding"] == ((1, 1), (2, 2))


def test_a_wanted_size_that_cannot_be_is_refused_with_what_is():
    with pytest.raises(SettingError, match="without any it is 222 already"):
        calc("conv input=224 kernel=3 want=112")
    with pytest.raises(SettingError, match="With padding 1 the output is 32, not 31"):
        calc("conv input=32 kernel=3 padding=1 want=31")
    with pytest.raises(SettingError, match="with padding 0 it can be 33 to 34"):
        calc("transposed input=16 kernel=3 stride=2 want=300")


def test_a_line_computes_what_it_shows():
    found = line("x", "floor(a / b) + ceil(a / b) - max(a, b) * min(a, 2)**2 % 5", a=-7, b=2)
    assert found.numbers == "floor((-7) / 2) + ceil((-7) / 2) - max((-7), 2) * min((-7), 2)**2 % 5"
    assert found.value == -4 + -3 - 2 * 49 % 5


@pytest.mark.parametrize("entry", list(CALCULATIONS), ids=lambda each: each.name)
def test_the_example_of_every_calculation_runs_and_names_nothing_twice(entry):
    import shlex

    words = shlex.split(entry.facts["example"])
    assert words[:3] == ["netwright", "calc", entry.name]
    settings = dict(word.split("=", 1) for word in words[3:] if "=" in word)
    worked = calculate(entry.name, [word for word in words[3:] if "=" not in word], settings)
    names = [each.name for each in (*worked.facts, *worked.tables)]
    assert len(names) == len(set(names))
    assert {"calculation", "working", "notes", "format"}.isdisjoint(names)


@pytest.mark.parametrize(
    "command",
    [
        "conv input=3x31x29 kernel=3x5 stride=2 padding=1:2x0 dilation=2 out=8 groups=1",
        "conv input=6x12x20x9 dims=3 kernel=3x1x2 out=4 groups=2",
        "conv input=5x100 dims=1 kernel=9 out=3 stride=4",
        "pool input=17x23 kernel=3 stride=2 padding=1 ceil_mode=true",
        "transposed input=3x7x9 kernel=3x4 stride=2x3 padding=1 output_padding=1 out=5",
        "unfold input=3x9x12 kernel=3 stride=2",
        "lstm in=7 hidden=9 layers=3 bidirectional=true proj_size=4 length=5",
        "gru in=7 hidden=9 layers=2 bias=false",
        "attention dim=12 heads=3 length=7 source=5 kdim=8 vdim=6",
        "norm layer input=6x5x4",
        "linear in=9 out=4 positions=3",
    ],
)
def test_the_working_ends_in_the_facts(command):
    """The last line of each kind is the number that the formula functions gave."""
    worked = calc(command)
    shown = {each.name: each.value for each in worked.working}
    for fact, name in (("params", "params"), ("macs", "MACs")):
        if fact in worked and (name in shown or "params_1" not in shown):
            assert shown[name] == worked[fact]
    if "output" in worked and isinstance(worked["output"], tuple):
        lines = [v for n, v in shown.items() if n in ("o", "o_d", "o_h", "o_w")]
        assert tuple(lines) == worked["output"] or lines == [worked["output"][0]]
