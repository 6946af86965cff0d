"""Formulas against torch itself, over random configurations with fixed seeds."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from netwright.arithmetic import counts, norms, recurrent, sizes, training_state
from netwright.arithmetic.inverse import (
    padding_for,
    sizes_before,
    transposed_for,
    transposed_range,
    windows_for,
)
from netwright.core.errors import SettingError

CASES = 500


def choices(seed):
    """Random settings of a window, many of which do not fit; the same for the same seed."""
    chosen = random.Random(seed)
    for _ in range(CASES):
        yield {
            "i": chosen.randint(1, 39),
            "k": chosen.randint(1, 6),
            "s": chosen.randint(1, 5),
            "p": chosen.randint(0, 4),
            "q": chosen.randint(0, 4),
            "d": chosen.randint(1, 4),
            "c": chosen.choice([4, 8]),
            "g": chosen.choice([1, 2, 4]),
            "bias": chosen.random() < 0.5,
        }


def run(module, i, channels=1):
    """The output's length, or None where torch refuses."""
    try:
        with torch.device("meta"):
            return module(torch.empty(1, channels, i)).shape[-1]
    except RuntimeError:
        return None


def formula(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except SettingError:
        return None


def test_sizes_and_weights_of_convolutions():
    refused = 0
    for x in choices(0):
        layer = nn.Conv1d(
            x["c"], 8, x["k"], x["s"], x["p"], x["d"], x["g"], x["bias"], device="meta"
        )
        expected = run(layer, x["i"], x["c"])
        window = {"stride": x["s"], "padding": (x["p"], x["p"]), "dilation": x["d"]}
        assert formula(sizes.conv_size, x["i"], x["k"], **window) == expected, x
        params = counts.conv_params(x["c"], 8, [x["k"]], groups=x["g"], bias=x["bias"])
        assert params == sum(p.numel() for p in layer.parameters())
        refused += expected is None
    assert 20 < refused < CASES / 2


def test_dropped_positions_are_those_that_get_no_gradient():
    for x in list(choices(1))[:200]:
        window = {"stride": x["s"], "padding": (x["p"], x["q"]), "dilation": x["d"]}
        if formula(sizes.conv_size, x["i"], x["k"], **window) is None:
            continue
        image = torch.zeros(1, 1, x["i"], requires_grad=True)
        padded = nn.functional.pad(image, (x["p"], x["q"]))
        padded.retain_grad()
        ones = torch.ones(1, 1, x["k"])
        nn.functional.conv1d(padded, ones, stride=x["s"], dilation=x["d"]).sum().backward()
        reached = padded.grad[0, 0].nonzero().max().item() + 1
        assert sizes.dropped(x["i"], x["k"], **window) == padded.shape[-1] - reached, x
        pixels = sizes.dropped_pixels(x["i"], x["k"], **window)
        assert pixels == max(0, x["p"] + x["i"] - max(reached, x["p"])), x


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_same_padding_is_spread_as_torch_spreads_it():
    for kernel in range(1, 8):
        for rate in range(1, 5):
            layer = nn.Conv1d(1, 1, kernel, dilation=rate, padding="same", bias=False)
            nn.init.ones_(layer.weight)
            before, after = sizes.same_padding(kernel, dilation=rate)
            image = torch.arange(1.0, 30.0).reshape(1, 1, -1)
            by_hand = nn.functional.conv1d(
                nn.functional.pad(image, (before, after)), layer.weight, dilation=rate
            )
            torch.testing.assert_close(layer(image), by_hand)


@pytest.mark.parametrize("ceil", [False, True])
def test_sizes_of_pools(ceil):
    for x in choices(2):
        layer = nn.MaxPool1d(x["k"], x["s"], x["p"], x["d"], ceil_mode=ceil)
        settings = {"stride": x["s"], "padding": x["p"], "dilation": x["d"], "ceil_mode": ceil}
        found = formula(sizes.pool_size, x["i"], x["k"], **settings)
        try:
            expected = layer(torch.zeros(1, 1, x["i"])).shape[-1]
        except RuntimeError:
            expected = None
        assert found == expected, (x, found, expected)


def test_a_pool_has_the_stride_of_its_window_unless_given():
    for size in range(3, 20):
        expected = nn.AvgPool1d(3)(torch.zeros(1, 1, size)).shape[-1]
        assert sizes.pool_size(size, 3) == expected


def test_windows_of_adaptive_pools():
    for size in range(1, 20):
        for output in range(1, 12):
            ramp = torch.arange(float(size)).reshape(1, 1, -1)
            means = nn.functional.adaptive_avg_pool1d(ramp, output)[0, 0].tolist()
            windows = sizes.adaptive_windows(size, output)
            assert [(a + b - 1) / 2 for a, b in windows] == pytest.approx(means)


def test_sizes_and_weights_of_transposed_convolutions():
    chosen = random.Random(3)
    for x in choices(3):
        extra = chosen.randint(0, 4)
        allowed = extra < max(x["s"], x["d"])
        found = formula(
            sizes.transposed_size, x["i"], x["k"], stride=x["s"], padding=x["p"],
            output_padding=extra, dilation=x["d"],
        )  # fmt: skip
        layer = nn.ConvTranspose1d(
            x["c"], 8, x["k"], x["s"], x["p"], extra, x["g"], x["bias"], x["d"], device="meta"
        )
        expected = run(layer, x["i"], x["c"])
        assert found == (expected if allowed and (expected or 0) > 0 else None), (x, extra)
        params = counts.conv_params(x["c"], 8, [x["k"]], groups=x["g"], bias=x["bias"])
        assert params == sum(p.numel() for p in layer.parameters())


def test_sizes_of_unfold_and_unpool():
    for x in choices(4):
        window = {"stride": x["s"], "padding": (x["p"], x["p"]), "dilation": x["d"]}
        found = formula(sizes.conv_size, x["i"], x["k"], **window)
        if found is not None:
            layer = nn.Unfold(x["k"], x["d"], x["p"], x["s"])
            assert layer(torch.zeros(1, 2, x["i"], x["i"])).shape == (1, 2 * x["k"] ** 2, found**2)
        pads = min(x["p"], x["k"] // 2)
        back = formula(sizes.unpool_size, x["i"], x["k"], stride=x["s"], padding=pads)
        if back is not None and back > 0 and x["s"] <= x["k"]:
            zeros = torch.zeros(1, 1, x["i"])
            unpooled = nn.MaxUnpool1d(x["k"], x["s"], pads)(zeros, zeros.long())
            assert unpooled.shape[-1] == back


def test_sizes_of_interpolation():
    chosen = random.Random(5)
    for _ in range(CASES):
        size, scale = chosen.randint(1, 60), chosen.choice([0.1, 0.3, 0.5, 1.1, 1.7, 2, 2.9, 3])
        found = formula(sizes.resize_size, size, scale)
        try:
            expected = nn.functional.interpolate(torch.zeros(1, 1, size), scale_factor=scale)
        except RuntimeError:
            assert found is None, (size, scale)
        else:
            assert found == expected.shape[-1], (size, scale)


def test_the_padding_that_is_found_gives_the_size_and_no_smaller_one_does():
    for x in choices(6):
        want = 1 + x["q"] * 5
        found = padding_for(x["i"], want, x["k"], stride=x["s"], dilation=x["d"])
        every = [
            (before, before + more)
            for before in range(120)
            for more in (0, 1)
            if formula(
                sizes.conv_size, x["i"], x["k"], stride=x["s"],
                padding=(before, before + more), dilation=x["d"],
            ) == want
        ]  # fmt: skip
        symmetric = [each for each in every if each[0] == each[1]]
        assert list(found) == (symmetric or every), x


def test_the_settings_that_are_found_are_all_that_give_the_size():
    offered = {"kernels": range(1, 6), "strides": range(1, 4), "dilations": range(1, 3)}
    for size, want in ((32, 16), (32, 32), (7, 3), (5, 9)):
        found = set(windows_for(size, want, **offered))
        for kernel in offered["kernels"]:
            for stride in offered["strides"]:
                for rate in offered["dilations"]:
                    span = rate * (kernel - 1) + 1
                    works = [
                        p for p in range(span)
                        if formula(sizes.conv_size, size, kernel, stride=stride, padding=(p, p),
                                   dilation=rate) == want
                    ]  # fmt: skip
                    expected = works[:1] if kernel > 1 or rate == 1 else []
                    mine = [p[0] for k, s, p, d in found if (k, s, d) == (kernel, stride, rate)]
                    assert mine == expected, (size, want, kernel, stride, rate)


def test_the_sizes_before_a_convolution_are_those_it_maps_there():
    for x in choices(7):
        window = {"stride": x["s"], "padding": (x["p"], x["q"]), "dilation": x["d"]}
        every = [
            n for n in range(1, 200) if formula(sizes.conv_size, n, x["k"], **window) == x["i"]
        ]
        found = formula(sizes_before, x["i"], x["k"], **window)
        if every and every[-1] < 199:
            assert found == (every[0], every[-1]), x
        if not every:
            assert found is None or found[1] > 199, x


def test_output_padding_reaches_the_sizes_it_is_said_to_reach():
    for x in choices(8):
        window = {"stride": x["s"], "dilation": x["d"]}
        reached = formula(transposed_range, x["i"], x["k"], padding=x["p"], **window)
        if reached is None:
            continue
        for want in range(reached[0] - 2, reached[1] + 3):
            found = transposed_for(x["i"], want, x["k"], padding=x["p"], **window)
            assert len(found) == (reached[0] <= want <= reached[1])
            for padding, extra in found:
                assert want == sizes.transposed_size(
                    x["i"], x["k"], padding=padding, output_padding=extra, **window
                )


def test_parameters_of_recurrent_layers():
    chosen = random.Random(9)
    kinds = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    for _ in range(150):
        kind = chosen.choice(list(kinds))
        hidden = chosen.randint(2, 12)
        proj = chosen.randint(0, hidden - 1) if kind == "lstm" else 0
        shape = {"num_layers": chosen.randint(1, 4), "bidirectional": chosen.random() < 0.5}
        bias, width = chosen.random() < 0.5, chosen.randint(1, 9)
        extra = {"proj_size": proj} if proj else {}
        layer = kinds[kind](width, hidden, bias=bias, device="meta", **shape, **extra)
        found = recurrent.recurrent_params(kind, width, hidden, bias=bias, proj_size=proj, **shape)
        assert found == sum(p.numel() for p in layer.parameters())
        weights = sum(p.numel() for n, p in layer.named_parameters() if "bias" not in n)
        macs = recurrent.recurrent_macs(kind, width, hidden, length=7, proj_size=proj, **shape)
        assert macs == 7 * weights


def test_parameters_of_attention_linear_and_embedding():
    chosen = random.Random(10)
    for _ in range(100):
        heads, bias = chosen.randint(1, 4), chosen.random() < 0.5
        width = heads * chosen.randint(1, 9)
        keys, values = chosen.randint(1, 9), chosen.randint(1, 9)
        layer = nn.MultiheadAttention(
            width, heads, kdim=keys, vdim=values, bias=bias, device="meta"
        )
        found = counts.attention_params(width, kdim=keys, vdim=values, bias=bias)
        assert found == sum(p.numel() for p in layer.parameters())
        plain = nn.Linear(keys, values, bias=bias, device="meta")
        params = counts.linear_params(keys, values, bias=bias)
        assert params == sum(p.numel() for p in plain.parameters())
    assert counts.embedding_params(9, 4) == nn.Embedding(9, 4).weight.numel()


def test_parameters_and_buffers_of_norms():
    for channels, height, width in ((8, 3, 5), (4, 1, 2)):
        layers = {
            "batch": nn.BatchNorm2d(channels),
            "layer": nn.LayerNorm([channels, height, width]),
            "group": nn.GroupNorm(2, channels),
            "instance": nn.InstanceNorm2d(channels, affine=True),
        }
        for kind, layer in layers.items():
            groups = 2 if kind == "group" else 1
            found = norms.norm_facts(kind, channels, (height, width), batch=6, groups=groups)
            assert found.params == sum(p.numel() for p in layer.parameters()), kind
            assert found.buffers == sum(b.numel() for b in layer.buffers()), kind
            assert found.averaged * found.means == 6 * channels * height * width


def test_the_axes_of_a_norm_are_those_it_averages_over():
    x = torch.randn(4, 6, 3, 5, generator=torch.Generator().manual_seed(0))
    layers = {
        "batch": (nn.BatchNorm2d(6), x.transpose(0, 1).reshape(6, -1)),
        "layer": (nn.LayerNorm([6, 3, 5]), x.reshape(4, -1)),
        "group": (nn.GroupNorm(2, 6), x.reshape(8, -1)),
        "instance": (nn.InstanceNorm2d(6), x.reshape(24, -1)),
    }
    for kind, (layer, rows) in layers.items():
        groups = 2 if kind == "group" else 1
        found = norms.norm_facts(kind, 6, (3, 5), batch=4, groups=groups)
        assert rows.shape == (found.means, found.averaged), kind
        y = layer(x)
        shaped = y.transpose(0, 1).reshape(6, -1) if kind == "batch" else y.reshape(rows.shape)
        assert shaped.mean(1).abs().max() < 1e-5
        assert (shaped.var(1, unbiased=False) - 1).abs().max() < 1e-2


def counted(function):
    """Multiply-adds as torch's own counter has them on meta tensors (it prints twice that)."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        function()
    return counter.get_total_flops() // 2


def test_multiply_adds_are_those_of_the_counter_of_torch():
    chosen = random.Random(11)
    for _ in range(40):
        c, n = 4 * chosen.randint(1, 3), 4 * chosen.randint(1, 3)
        groups, kernel = chosen.choice([1, 2, 4]), (chosen.randint(1, 3), chosen.randint(1, 3))
        size = (chosen.randint(3, 9), chosen.randint(3, 9))
        image = torch.empty(1, c, *size, device="meta")
        conv = nn.Conv2d(c, n, kernel, groups=groups, bias=False, device="meta")
        positions = [sizes.conv_size(i, k) for i, k in zip(size, kernel, strict=True)]
        assert counted(lambda: conv(image)) == counts.conv_macs(  # noqa: B023
            c, n, kernel, positions, groups=groups
        )
        back = nn.ConvTranspose2d(c, n, kernel, stride=2, bias=False, device="meta")
        assert counted(lambda: back(image)) == counts.conv_macs(c, n, kernel, size)  # noqa: B023


def test_multiply_adds_of_attention():
    for width, heads, length, source in ((8, 2, 5, 5), (12, 3, 4, 7)):
        layer = nn.MultiheadAttention(width, heads, batch_first=True, device="meta")
        asks = torch.empty(1, length, width, device="meta")
        keys = torch.empty(1, source, width, device="meta")
        found = counted(lambda: layer(asks, keys, keys))  # noqa: B023
        assert found == counts.attention_macs(width, length, source=source)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1)),
        ("momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p)),
        ("adagrad", lambda p: torch.optim.Adagrad(p)),
        ("adam", lambda p: torch.optim.Adam(p)),
        ("adamw", lambda p: torch.optim.AdamW(p)),
    ],
)
def test_optimizers_keep_as_many_tensors_as_is_said(name, make):
    layer = nn.Linear(30, 20)
    optimizer = make(layer.parameters())
    layer(torch.randn(2, 30)).sum().backward()
    optimizer.step()
    kept = [
        each
        for state in optimizer.state.values()
        for each in state.values()
        if isinstance(each, torch.Tensor) and each.dim() > 0
    ]
    held = sum(each.numel() * each.element_size() for each in kept)
    params = sum(p.numel() for p in layer.parameters())
    found = training_state.state_bytes(params, optimizer=name)
    assert (found.optimizer, found.gradients) == (held, 4 * params)
