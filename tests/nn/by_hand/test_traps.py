"""What is easily got wrong, in numbers that can be checked by hand, and what has to be refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.core.errors import SettingError
from netwright.nn import by_hand
from netwright.nn.activations import ACTIVATIONS
from netwright.nn.by_hand.dropout_mask import draw_keep
from netwright.nn.by_hand.norm_over_batch import Statistics, running_statistics
from netwright.nn.by_hand.numeric import numeric_gradients
from netwright.nn.by_hand.pooling_max import max_places

RNG = np.random.default_rng(0)
SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def test_a_network_is_led_back_layer_by_layer_as_autograd_does() -> None:
    x, target = RNG.normal(size=(4, 2, 6, 6)), np.array([0, 2, 1, 2])
    kernel, gamma, beta = RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=3), RNG.normal(size=3)
    weight, bias = RNG.normal(size=(3, 27)), RNG.normal(size=3)

    y, back_conv = by_hand.conv2d(x, kernel, padding=1)
    y, back_norm = by_hand.batch_norm(y, gamma, beta)
    y, back_relu = by_hand.relu(y)
    y, back_pool = by_hand.max_pool2d(y, kernel_size=2)
    y, back_linear = by_hand.linear(y.reshape(4, 27), weight, bias)
    loss, back_loss = by_hand.cross_entropy(y, target)
    dy, dweight, dbias = back_linear(*back_loss(np.array(1.0)))
    dy, dgamma, dbeta = back_norm(*back_relu(*back_pool(dy.reshape(4, 3, 3, 3))))
    dx, dkernel, _ = back_conv(dy)

    arrays = [x, kernel, gamma, beta, weight, bias]
    leaves = [torch.from_numpy(each.copy()).requires_grad_() for each in arrays]
    maps = F.conv2d(leaves[0], leaves[1], padding=1)
    maps = F.relu(F.batch_norm(maps, None, None, *leaves[2:4], training=True))
    logits = F.linear(F.max_pool2d(maps, 2).flatten(1), *leaves[4:])
    expected = F.cross_entropy(logits, torch.from_numpy(target))
    expected.backward()
    assert float(loss) == pytest.approx(expected.item(), rel=1e-12)
    for found, leaf in zip([dx, dkernel, dgamma, dbeta, dweight, dbias], leaves, strict=True):
        np.testing.assert_allclose(found, leaf.grad, rtol=1e-10, atol=1e-12)


def test_the_convolution_of_mathematics_is_this_one_with_the_kernel_flipped() -> None:
    row, kernel = np.array([1.0, 2, 4, 8, 16]), np.array([1.0, 0, -1])
    y, _ = by_hand.conv2d(row.reshape(1, 1, 1, 5), kernel[::-1].reshape(1, 1, 1, 3))
    assert y.ravel().tolist() == np.convolve(row, kernel, mode="valid").tolist() == [3, 6, 12]


def test_an_edge_from_dark_to_light_is_positive_under_sobel_as_it_stands() -> None:
    step = np.array([[0.0, 0, 1, 1]] * 3).reshape(1, 1, 3, 4)
    assert by_hand.conv2d(step, SOBEL[None, None])[0].tolist() == [[[[4, 4]]]]
    flipped = SOBEL[::-1, ::-1][None, None]
    assert by_hand.conv2d(step, flipped)[0].tolist() == [[[[-4, -4]]]]


def test_rows_that_the_stride_leaves_over_have_no_gradient() -> None:
    x = np.ones((1, 1, 6, 6))
    _, backward = by_hand.conv2d(x, np.ones((1, 1, 3, 3)), stride=2)
    dx, _, _ = backward(np.ones((1, 1, 2, 2)))
    assert dx[0, 0, 5].tolist() == [0] * 6
    assert dx[0, 0, 0].tolist() == [1, 1, 2, 1, 1, 0]


def test_groups_never_meet() -> None:
    x = RNG.normal(size=(1, 4, 3, 3))
    _, backward = by_hand.conv2d(x, RNG.normal(size=(4, 2, 3, 3)), groups=2)
    first_half = np.zeros((1, 4, 1, 1))
    first_half[:, :2] = 1
    dx, dw, _ = backward(first_half)
    assert not dx[:, 2:].any()
    assert not dw[2:].any()


@pytest.mark.parametrize("settings", [{"stride": 2, "padding": 1}, {"dilation": 2}, {"groups": 2}])
def test_transposed_convolution_is_the_transpose_of_convolution(settings: dict[str, int]) -> None:
    groups = settings.get("groups", 1)
    weight = RNG.normal(size=(4, 6 // groups, 3, 3))  # from 6 channels to 4, and back
    x = RNG.normal(size=(2, 6, 7, 7))
    y, backward = by_hand.conv2d(x, weight, **settings)
    z = RNG.normal(size=y.shape)
    back, _ = by_hand.conv_transpose2d(z, weight, **settings)
    assert float((y * z).sum()) == pytest.approx(float((x * back).sum()))
    np.testing.assert_allclose(backward(z)[0], back, atol=1e-12)


def test_transposed_convolution_is_zeros_put_between_and_the_flipped_kernel() -> None:
    x, weight = RNG.normal(size=(1, 1, 3, 4)), RNG.normal(size=(1, 1, 3, 3))
    spread = np.zeros((1, 1, 5, 7))
    spread[..., ::2, ::2] = x
    y, _ = by_hand.conv_transpose2d(x, weight, stride=2, padding=1)
    same, _ = by_hand.conv2d(spread, weight[..., ::-1, ::-1], padding=3 - 1 - 1)
    np.testing.assert_allclose(y, same, atol=1e-12)


def test_stamps_of_three_by_three_at_stride_two_are_a_checkerboard() -> None:
    ones = np.ones((1, 1, 4, 4))
    y, _ = by_hand.conv_transpose2d(ones, np.ones((1, 1, 3, 3)), stride=2)
    inner = y[0, 0, 2:-2, 2:-2]
    assert (inner.max(), inner.min()) == (4, 1)
    y, _ = by_hand.conv_transpose2d(ones, np.ones((1, 1, 4, 4)), stride=2)
    assert np.ptp(y[0, 0, 2:-2, 2:-2]) == 0


def test_fold_after_unfold_counts_the_windows_of_each_pixel() -> None:
    columns, _ = by_hand.unfold(np.ones((1, 1, 3, 3)), kernel_size=2)
    back, _ = by_hand.fold(columns, output_size=(3, 3), kernel_size=2)
    assert back[0, 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(2, 0, 1), (1, 1, 1), (3, 1, 2)])
def test_places_of_maxima_are_those_of_torch_ties_included(
    stride: int, padding: int, dilation: int, ceil_mode: bool
) -> None:
    x = RNG.integers(-2, 1, (2, 3, 8, 7)).astype(float)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    _, theirs = F.max_pool2d(torch.from_numpy(x), 2, **settings, return_indices=True)
    assert max_places(x, kernel_size=2, **settings).tolist() == theirs.tolist()


def test_padding_never_wins_a_maximum_not_even_against_minus_infinity() -> None:
    x = np.full((1, 1, 2, 2), -np.inf)
    assert max_places(x, kernel_size=2, stride=1, padding=1).ravel().tolist() == [
        0, 0, 1, 0, 0, 1, 2, 2, 3,
    ]  # fmt: skip
    y, _ = by_hand.max_pool2d(-np.ones((1, 1, 2, 2)), kernel_size=2, stride=1, padding=1)
    assert (y == -1).all()


def test_at_a_tie_numbers_find_half_where_backward_gives_all_to_the_first() -> None:
    x = np.array([[[[1.0, 1.0]]]])
    y, backward = by_hand.max_pool2d(x, kernel_size=(1, 2))
    dy = np.ones_like(y)
    assert backward(dy)[0].ravel().tolist() == [1, 0]
    (numeric,) = numeric_gradients(lambda x: by_hand.max_pool2d(x, kernel_size=(1, 2))[0], [x], dy)
    assert numeric.ravel() == pytest.approx([0.5, 0.5])


def test_torchs_amax_shares_a_tie_that_global_max_pooling_gives_to_the_first() -> None:
    x = torch.zeros(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    x.amax(dim=(2, 3)).backward(torch.ones(1, 1, dtype=torch.float64))
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0.25] * 4
    _, backward = by_hand.global_max_pool2d(np.zeros((1, 1, 2, 2)))
    assert backward(np.ones((1, 1, 1, 1)))[0].ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("mode", "half"), [("nearest", 0), ("nearest-exact", 1)])
def test_torchs_nearest_slips_by_one_pixel_only_where_the_place_is_a_whole_number(
    mode: Any, half: int
) -> None:
    slipped = []
    for old, new in ((2, 82), (2, 41), (3, 123), (6, 74), (5, 7), (7, 5), (12, 30)):
        row = np.arange(float(old)).reshape(1, 1, 1, old)
        ours = by_hand.interpolate(row, size=(1, new), mode=mode)[0].ravel()
        theirs = F.interpolate(torch.from_numpy(row), (1, new), mode=mode).flatten().numpy()
        assert set(ours - theirs) <= {0.0, 1.0}
        whole = [(2 * i + half) * old % (2 * new) == 0 for i in range(new)]
        assert all(whole[i] for i in np.flatnonzero(ours != theirs))
        assert ours.tolist() == [(2 * i + half) * old // (2 * new) for i in range(new)]
        slipped += [(old, new)] if (ours != theirs).any() else []
    assert ((2, 82) if half == 0 else (2, 41)) in slipped


def test_mean_pooling_hands_back_as_much_as_it_got() -> None:
    _, backward = by_hand.avg_pool2d(np.ones((1, 1, 4, 4)), kernel_size=2)
    dy = RNG.normal(size=(1, 1, 2, 2))
    assert float(backward(dy)[0].sum()) == pytest.approx(float(dy.sum()))
    assert backward(dy)[0][0, 0, 0, 0] == dy[0, 0, 0, 0] / 4


def test_unpooling_leads_back_the_maxima_and_nothing_else() -> None:
    x = RNG.normal(size=(1, 2, 4, 4))
    y, _ = by_hand.max_pool2d(x, kernel_size=2)
    places = max_places(x, kernel_size=2)
    back, _ = by_hand.max_unpool2d(y, places, output_size=(4, 4))
    assert ((back == x) | (back == 0)).all()
    assert np.count_nonzero(back) == y.size


@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_running_numbers_are_those_of_torch_over_several_batches(momentum: float) -> None:
    theirs = nn.BatchNorm2d(3, momentum=momentum).double()
    ours = Statistics(np.zeros(3), np.ones(3))
    for _ in range(5):
        x = RNG.normal(size=(4, 3, 2, 5)) * 3 + 1
        theirs(torch.from_numpy(x))
        ours = running_statistics(x, ours, momentum=momentum)
    np.testing.assert_allclose(ours.mean, theirs.running_mean, rtol=1e-12)
    np.testing.assert_allclose(ours.var, theirs.running_var, rtol=1e-12)


def test_batch_norm_divides_by_m_and_its_running_variance_by_m_less_one() -> None:
    x = np.array([[0.0], [2.0]])
    y, _ = by_hand.batch_norm(x, eps=0.0)
    assert y.ravel().tolist() == [-1, 1]  # variance 1, not 2
    assert running_statistics(x, Statistics(np.zeros(1), np.zeros(1)), momentum=1.0).var == 2


def test_batch_norm_leads_nothing_back_along_shift_and_stretch() -> None:
    x = RNG.normal(size=(5, 2, 3, 3))
    y, backward = by_hand.batch_norm(x, eps=0.0)
    dx, _, _ = backward(RNG.normal(size=x.shape))
    np.testing.assert_allclose(dx.sum(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose((dx * y).sum(axis=(0, 2, 3)), 0, atol=1e-12)


def test_gamma_sigma_and_beta_mu_make_batch_norm_the_identity() -> None:
    x = 3 * RNG.normal(size=(6, 2)) + 5
    gamma, beta = np.sqrt(x.var(axis=0) + 1e-5), x.mean(axis=0)
    np.testing.assert_allclose(by_hand.batch_norm(x, gamma, beta)[0], x, atol=1e-12)


def test_group_norm_runs_from_layer_norm_to_instance_norm() -> None:
    x = RNG.normal(size=(2, 4, 3, 3))
    one, _ = by_hand.group_norm(x, num_groups=1)
    np.testing.assert_allclose(one, by_hand.layer_norm(x, normalized_shape=(4, 3, 3))[0])
    each, _ = by_hand.group_norm(x, num_groups=4)
    np.testing.assert_allclose(each, by_hand.instance_norm(x)[0])


@pytest.mark.parametrize("name", ["linear", "conv2d", "conv_transpose2d", "batch_norm"])
def test_what_is_left_out_has_the_gradient_of_ones_and_zeros(name: str) -> None:
    x = RNG.normal(size=(3, 2) if name == "linear" else (3, 2, 4, 4))
    ones = {"linear": (2, 2), "conv2d": (2, 2, 3, 3), "conv_transpose2d": (2, 2, 3, 3)}
    weight = np.ones(ones.get(name, 2))
    function = getattr(by_hand, name)
    y, short = function(x) if name == "batch_norm" else function(x, weight)
    _, full = function(x, weight, np.zeros(2))
    dy = RNG.normal(size=y.shape)
    for one, other in zip(short(dy), full(dy), strict=True):
        np.testing.assert_array_equal(one, other)


def test_dropout_keeps_the_mean_and_gives_as_much_gradient() -> None:
    x = np.ones(40_000)
    y, backward = by_hand.dropout(x, draw_keep(np.random.default_rng(0), x.shape, p=0.2), p=0.2)
    assert set(np.unique(y)) == {0.0, 1.25}  # 1 / (1 - p): p is the share that is dropped
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert y.var() == pytest.approx(0.2 / 0.8, abs=0.01)
    np.testing.assert_array_equal(backward(x)[0], y)


def test_a_softmax_too_many_leaves_a_loss_of_1_461() -> None:
    sure = np.zeros((1, 10))
    sure[0, 3] = 1000.0
    loss, _ = by_hand.cross_entropy(by_hand.softmax(sure)[0], np.array([3]))
    assert float(loss) == pytest.approx(1.461, abs=5e-4)


def test_cross_entropy_of_softmax_is_the_chain_of_its_parts() -> None:
    x, target = RNG.normal(size=(4, 3)), np.array([0, 1, 2, 1])
    p, back_softmax = by_hand.softmax(x)
    loss, backward = by_hand.cross_entropy(x, target)
    picked = p[np.arange(4), target]
    assert float(loss) == pytest.approx(-np.log(picked).mean())
    dp = np.zeros_like(p)
    dp[np.arange(4), target] = -1 / picked / 4
    np.testing.assert_allclose(backward(np.array(1.0))[0], back_softmax(dp)[0], atol=1e-14)


@pytest.mark.parametrize("name", [*ACTIVATIONS.names(), "softmax", "log_softmax"])
def test_huge_inputs_overflow_nowhere(name: str) -> None:
    x = np.array([[-1000.0, 0.0, 1000.0]])
    more = [np.array([0.25])] if name == "prelu" else []
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        y, backward = getattr(by_hand, name)(x, *more)
        (dx, *_) = backward(np.ones_like(x))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


def test_selu_gives_a_normal_input_back_with_mean_0_and_variance_1() -> None:
    z = np.linspace(-12, 12, 200_001)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    y, _ = by_hand.selu(z)
    assert (y * density).sum() == pytest.approx(0, abs=1e-8)
    assert (y * y * density).sum() == pytest.approx(1, abs=1e-8)


def test_softplus_is_exact_where_torch_takes_the_line() -> None:
    x = np.array([20.5])
    exact = by_hand.softplus(x)[0].item()
    line = F.softplus(torch.from_numpy(x)).item()
    assert line == 20.5
    assert 0 < exact - line < 2.1e-9


def test_central_differences_err_with_the_square_of_the_step() -> None:
    x, dy = np.array([1.0]), np.array([1.0])
    errors = [
        float(abs(numeric_gradients(np.exp, [x], dy, step=step)[0] - np.e).max())
        for step in (1e-2, 1e-3)
    ]
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.01)


X = np.zeros((1, 4, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: by_hand.conv2d(X, np.zeros((2, 3, 1, 1))),
            r"2 kernels over 3 channels with groups=1 does not fit an input of 4 channels",
        ),
        (
            lambda: by_hand.conv2d_im2col(X, np.zeros((3, 2, 1, 1)), groups=2),
            r"3 kernels over 2 channels with groups=2 does not fit an input of 4 channels",
        ),
        (
            lambda: by_hand.conv2d(X, np.zeros((2, 4, 3, 3)), dilation=2),
            r"A window of 3 with dilation 2 does not fit into a side of 3 with padding 0",
        ),
        (
            lambda: by_hand.conv_transpose2d(X, np.zeros((3, 1, 1, 1))),
            r"A transposed weight from 3 channels with groups=1 does not fit an input of 4",
        ),
        (
            lambda: by_hand.conv_transpose2d(X, np.zeros((4, 1, 1, 1)), output_padding=1),
            r"output_padding: 1 must be below the stride \(1\) or the dilation \(1\)",
        ),
        (
            lambda: by_hand.max_unpool2d(X, np.full(X.shape, 4), output_size=(2, 2)),
            r"the places go from 4 to 4, and a map of 2 x 2 has 0 to 3",
        ),
        (
            lambda: by_hand.interpolate(X, size=(2, 2), mode="nearest", align_corners=True),
            r"align_corners is for bilinear and bicubic; nearest has none",
        ),
        (
            lambda: by_hand.interpolate(X, size=(2, 2), mode="area"),
            r"mode: area is not allowed\. It is one of nearest, nearest-exact, bilinear, bicubic",
        ),
        (lambda: by_hand.batch_norm(np.zeros((1, 4))), r"one value for each channel has no spread"),
        (lambda: by_hand.instance_norm(np.zeros((2, 3, 1, 1))), r"map of one value has no spread"),
        (lambda: by_hand.group_norm(X, num_groups=3), r"4 channels cannot be cut into 3 groups"),
        (
            lambda: by_hand.layer_norm(X, normalized_shape=(3, 4)),
            r"an array of shape \(1, 4, 3, 3\) does not end in \(3, 4\)",
        ),
        (
            lambda: by_hand.cross_entropy(np.zeros((1, 3)), np.array([3])),
            r"the targets go from 3 to 3, and 3 classes are 0 to 2",
        ),
        (lambda: by_hand.dropout(X, p=1.5), r"p: 1\.5 is not allowed"),
        (lambda: by_hand.gelu(X, approximate="erf"), r"approximate: erf is not allowed"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_numbers(call, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        call()


def test_a_name_that_is_not_there_is_an_attribute_error_and_dir_lists_those_that_are() -> None:
    with pytest.raises(AttributeError, match="conv5d"):
        by_hand.conv5d  # noqa: B018
    assert {"conv2d", "dropout", "relu"} <= set(dir(by_hand))


def test_it_needs_no_torch() -> None:
    program = (
        "import sys, numpy as np\n"
        "from netwright.nn import by_hand\n"
        "from netwright.optim import by_hand as rules\n"
        "by_hand.relu(np.ones(2)), rules.adam(np.ones(2), np.ones(2))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
