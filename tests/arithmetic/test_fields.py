"""Receptive fields in numbers that can be checked by hand or in a paper."""

from __future__ import annotations

import subprocess
import sys

import pytest

from netwright.arithmetic.fields import TensorField
from netwright.records.inspection import AxisField

Window = tuple[int, int, int, int]
"""kernel, stride, padding, dilation"""


def image(height: int = 224, width: int | None = None) -> TensorField:
    return TensorField.of_input((1, 3, height, width or height), {2: 0, 3: 1}, axes=2)


def conv(
    field: TensorField, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> TensorField:
    sides = [
        (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in field.shape[2:]
    ]
    return field.windows(
        (1, 8, *sides), (2, 3), [kernel] * 2, [stride] * 2, [padding] * 2, [dilation] * 2
    )


def chain(*windows: Window, side: int = 224) -> AxisField:
    field = image(side)
    for window in windows:
        field = conv(field, *window)
    assert field.axes()[0] == field.axes()[1]
    return field.axes()[0]


def triple(facts: AxisField) -> tuple[int | None, float | None, int | None]:
    assert facts.sight == "window"
    return facts.size, facts.stride, facts.padding


THREE = (3, 1, 1, 1)
HALF = (2, 2, 0, 1)


def test_one_pixel_sees_itself() -> None:
    assert triple(image().axes()[0]) == (1, 1.0, 0)


def test_a_stride_counts_for_the_layers_behind_it() -> None:
    assert chain((3, 2, 1, 1)).size == 3
    assert chain((3, 2, 1, 1), THREE).size == 7
    assert chain(THREE, THREE).size == 5


def test_a_3x3_kernel_of_rate_3_sees_7_rows_and_not_8() -> None:
    assert [chain((3, 1, rate, rate)).size for rate in (1, 2, 3)] == [3, 5, 7]


def test_vgg_16_sees_212_rows_behind_its_last_pool() -> None:
    blocks = [w for convs in (2, 2, 3, 3, 3) for w in [THREE] * convs + [HALF]]
    facts = chain(*blocks)
    assert triple(facts) == (212, 32.0, 90)
    assert facts.start == 15.5


def test_alexnet_has_another_padding_in_torch_than_in_the_table() -> None:
    def pool5(first_padding: int) -> AxisField:
        pool = (3, 2, 0, 1)
        first = (11, 4, first_padding, 1)
        return chain(first, pool, (5, 1, 2, 1), pool, THREE, THREE, THREE, pool)

    assert triple(pool5(0)) == (195, 32.0, 64)
    assert triple(pool5(2)) == (195, 32.0, 66)


def test_equal_rates_leave_holes_and_the_rates_1_2_5_do_not() -> None:
    grid = chain((3, 1, 2, 2), (3, 1, 2, 2), (3, 1, 2, 2))
    assert (grid.size, grid.reads) == (13, 7)
    hybrid = chain((3, 1, 1, 1), (3, 1, 2, 2), (3, 1, 5, 5))
    assert (hybrid.size, hybrid.reads) == (17, 17)
    doubling = chain(*((3, 1, rate, rate) for rate in (1, 2, 4, 8)))
    assert (doubling.size, doubling.reads) == (31, 31)


def test_a_residual_sees_what_its_longer_branch_sees() -> None:
    x = conv(image(), 7, 2, 3)
    y = conv(conv(x, 3, 1, 1), 3, 1, 1)
    joined = TensorField.join(y.shape, x, y)
    assert triple(joined.axes()[0]) == triple(y.axes()[0]) == (15, 2.0, 7)
    assert TensorField.join(y.shape, y, y) is y


def test_a_1x1_shortcut_with_stride_leaves_rows_unread_but_the_other_branch_reads_them() -> None:
    x = image()
    short, long = conv(x, 1, 2), conv(x, 3, 2, 1)
    facts = TensorField.join(short.shape, short, long).axes()[0]
    assert (facts.size, facts.reads) == (3, 3)
    assert conv(short, 3, 1, 1).axes()[0].reads == 3
    assert conv(short, 3, 1, 1).axes()[0].size == 5


def test_height_and_width_go_their_own_ways() -> None:
    field = image(40, 60).windows((1, 8, 40, 20), (2, 3), (3, 5), (1, 3), (1, 1), (1, 1))
    assert [triple(facts) for facts in field.axes()] == [(3, 1.0, 1), (5, 3.0, 1)]


def test_a_nearest_resize_repeats_rows_and_the_next_convolution_sees_2_of_them() -> None:
    up = image(8).resized((1, 3, 16, 16), (2, 3), "nearest")
    assert [up.span(0, place) for place in range(4)] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    facts = up.axes()[0]
    assert (facts.sight, facts.size, facts.stride) == ("varies", 1, 0.5)
    assert "resizing" in facts.why
    assert [conv(up, 3, 1, 1).span(0, place) for place in (3, 4)] == [(1, 2), (1, 2)]


@pytest.mark.parametrize(("mode", "rows"), [("nearest", 1), ("bilinear", 2), ("bicubic", 4)])
def test_a_doubling_reads_1_2_or_4_rows(mode: str, rows: int) -> None:
    assert image(16).resized((1, 3, 32, 32), (2, 3), mode).axes()[0].size == rows


def test_going_down_and_up_again_by_2_keeps_the_average_stride() -> None:
    down = conv(image(16), 2, 2)
    up = down.transposed((1, 8, 16, 16), (2, 3), (2, 2), (2, 2), (0, 0), (1, 1))
    facts = up.axes()[0]
    assert (facts.sight, facts.size, facts.stride) == ("varies", 2, 1.0)
    assert [up.span(0, place) for place in (4, 5, 6)] == [(4, 5), (4, 5), (6, 7)]


def test_a_kernel_shorter_than_the_stride_leaves_positions_that_see_nothing() -> None:
    up = image(4).transposed((1, 3, 11, 11), (2, 3), (2, 2), (3, 3), (0, 0), (1, 1))
    assert [up.span(0, place) for place in range(4)] == [(0, 0), (0, 0), None, (1, 1)]
    assert "transposed" in up.axes()[0].why


def test_global_pooling_sees_all_of_its_axis_alone() -> None:
    x = conv(image(), 3, 1, 1)
    assert [f.sight for f in x.reduced((2, 3)).axes()] == ["all", "all"]
    assert [f.sight for f in x.reduced((2,)).axes()] == ["all", "window"]
    assert [f.sight for f in x.adaptive((1, 8, 1, 1), (2, 3)).axes()] == ["all", "all"]


def test_all_says_which_rows_no_stride_let_through() -> None:
    pooled = conv(image(8), 3, 3).reduced((2, 3))
    assert pooled.axes()[0] == AxisField(
        sight="all", why="rows 0 to 5 of 8: no others came through"
    )


def test_a_gate_over_the_whole_image_lets_each_unit_see_all() -> None:
    x = conv(image(), 3, 1, 1)
    gate = x.reduced((2, 3), keepdim=True)
    assert [facts.sight for facts in TensorField.join(x.shape, x, gate).axes()] == ["all", "all"]


def test_misaligned_paths_are_told() -> None:
    x = image(32)
    facts = TensorField.join((1, 8, 16, 16), conv(x, 2, 2), conv(x, 17)).axes()[0]
    assert facts.sight == "varies"
    assert facts.why == "paths with different advance meet: their fields drift apart"


def test_an_operation_without_a_rule_is_named_from_there_on() -> None:
    lost = image().unknown((1, 3, 224, 224), "my_op")
    assert conv(lost, 3).axes()[0] == AxisField(sight="unknown", why="my_op")
    assert TensorField.join(image().shape, image(), lost).axes()[1].sight == "unknown"
    blank = TensorField.blank((1, 3), 2).unknown((1, 3), "my_op")
    assert blank.axes()[0].sight == "nothing"


def test_tokens_of_patches_keep_their_windows_until_attention() -> None:
    patches = conv(image(), 16, 16)
    tokens = patches.reshaped((1, 8, 196)).permuted((0, 2, 1))
    assert tokens.span(0, 0, 17, 0) == (16, 31)
    assert tokens.span(1, 0, 17, 0) == (48, 63)
    more = TensorField.concatenated(1, TensorField.blank((1, 1, 8), 2), tokens)
    assert more.span(0, 0, 0, 0) is None
    assert more.span(1, 0, 18, 0) == (48, 63)
    assert [facts.sight for facts in more.spread((1,)).axes()] == ["all", "all"]


def test_windows_of_attention_see_7_tokens_of_4_rows() -> None:
    tokens = conv(image(), 4, 4).permuted((0, 2, 3, 1))
    windows = tokens.reshaped((1, 8, 7, 8, 7, 8)).permuted((0, 1, 3, 2, 4, 5))
    mixed = windows.reshaped((64, 49, 8)).spread((1,))
    assert triple(mixed.axes()[0]) == (28, 28.0, 0)
    back = mixed.reshaped((1, 8, 8, 7, 7, 8)).permuted((0, 1, 3, 2, 4, 5))
    assert back.reshaped((1, 56, 56, 8)).span(0, 0, 9, 50, 0) == (28, 55)


def test_one_image_above_the_other_leaves_the_columns_as_they_were() -> None:
    field = image(8)
    twice = TensorField.concatenated(2, field, field)
    assert [twice.span(0, place) for place in (7, 8)] == [(7, 7), (0, 0)]
    assert triple(twice.axes()[1]) == (1, 1.0, 0)
    rows = field.sliced((1, 3, 4, 8), 2, 0), field.sliced((1, 3, 4, 8), 2, 4)
    whole = TensorField.concatenated(2, *rows).axes()[0]
    assert (whole.sight, whole.size, whole.stride) == ("window", 1, 1.0)


def test_a_crop_is_not_brought_back_by_padding() -> None:
    crop = image(10).padded((1, 3, 8, 8), {2: (-1, -1), 3: (-1, -1)})
    field = conv(crop, 3, 1, 1)
    assert field.span(0, 0) == (0, 2)
    assert field.seen(0, 0) == (1, 2)


def test_a_tensor_without_elements_sees_nothing() -> None:
    field = conv(image(8), 3)
    none = field.sliced((1, 8, 0, 6), 2, 6)
    assert none.reshaped((0, 6, 8)).axes()[0].sight == "nothing"
    assert none.reduced((2, 3)).axes()[0].sight == "nothing"
    assert TensorField.concatenated(2, none, field) is field
    assert field.indexed((1, 8, 0, 6), 2, []).axes()[0].sight == "nothing"


def test_an_index_outside_or_too_few_of_them_are_refused() -> None:
    field = conv(image(8), 3)
    with pytest.raises(ValueError, match="index 6 along dimension 2"):
        field.span(0, 6)
    with pytest.raises(ValueError, match="2 indices for 4 dimensions, of which 1 carry axis 0"):
        field.span(0, 1, 2)
    with pytest.raises(ValueError, match="cannot be viewed"):
        field.reshaped((1, 2, 3))
    with pytest.raises(ValueError, match="no resizing is called 'cubic'"):
        field.resized((1, 8, 12, 12), (2, 3), "cubic")


def test_the_algebra_needs_no_torch() -> None:
    asked = "import netwright.arithmetic.fields, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
