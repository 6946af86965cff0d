"""What is written into a part of a tensor: its field against what its gradient answers to.

The networks are linear and positive, so the pixels of a unit's field are those with a gradient:
brute force, one unit after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.arithmetic.fields import TensorField
from netwright.inspection.overlaps import Layout, Meeting, meeting
from netwright.inspection.overwriting import BOUND
from netwright.inspection.tracing import sight_of_call, trace

SIDE = 9


def mean(x: Tensor, kernel: int = 3) -> Tensor:
    """Each position from its neighbours; with `kernel` 1 from itself."""
    channels = x.shape[1]
    return F.conv2d(x, x.new_ones(channels, channels, kernel, kernel), padding=kernel // 2)


class Writing(nn.Module):
    """A clone of the image, `how(clone, image)` written into it, and one layer more."""

    def __init__(self, how: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.how = how
        self.last = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        base = mean(x, 1)
        given = self.how(base, x)
        return self.last(given if isinstance(given, Tensor) else base)


def added(base: Tensor, x: Tensor) -> None:
    base[:, :, 1:] += mean(x, 5)[:, :, :-1]


def one_column(base: Tensor, x: Tensor) -> None:
    base[..., 0] = mean(x)[..., 4]


def a_box(base: Tensor, x: Tensor) -> None:
    base[:, :, 2:5, 3:7].copy_(mean(x, 5)[:, :, 4:7, 1:5])


def every_other(base: Tensor, x: Tensor) -> None:
    base[:, :, 1::2, ::3] = mean(x)[:, :, 1::2, 2::3]


def into_zeros(base: Tensor, x: Tensor) -> Tensor:
    zeros = torch.zeros_like(x)
    zeros[:, :, :4] = x[:, :, 5:]
    zeros[:, :, 4:, 2:] += mean(x)[:, :, 4:, :7]
    return zeros


def zeroed(base: Tensor, x: Tensor) -> None:
    base[:, :, 3:5] = 0.0
    base[:, :, :, 7:].zero_()


def through_a_transpose(base: Tensor, x: Tensor) -> None:
    base.transpose(2, 3)[:, :, 2:] += mean(x)[:, :, 2:]


def a_square_transpose(base: Tensor, x: Tensor) -> None:
    base.transpose(2, 3).add_(mean(x, 5))


def through_rows_of_pixels(base: Tensor, x: Tensor) -> None:
    flat = base.flatten(2)
    flat[:, :, : 3 * SIDE] += mean(x).flatten(2)[:, :, SIDE : 4 * SIDE]


def seen_from_another_view(base: Tensor, x: Tensor) -> Tensor:
    upper, lower = base[:, :, :6], base[:, :, 4:]
    upper += mean(x, 5)[:, :, :6]
    return lower


def beside_another_part(base: Tensor, x: Tensor) -> Tensor:
    left, right = base[..., :3], base.narrow(3, 3, 3)
    del base
    right.mul_(2.0)
    right += mean(x, 5)[..., :3]
    return left


def seen_repeated(base: Tensor, x: Tensor) -> Tensor:
    row = base[:, :, 2:3].expand(-1, -1, 4, -1)
    base[:, :, 1:4, 5:] += mean(x)[:, :, 1:4, :4]
    return row


def one_after_the_other(base: Tensor, x: Tensor) -> None:
    for row in range(1, SIDE):
        base[:, :, row] += base[:, :, row - 1]


def row_by_row_into_zeros(base: Tensor, x: Tensor) -> Tensor:
    zeros, near = torch.zeros_like(x), mean(x)
    for row in range(1, SIDE):
        zeros[:, :, row] = near[:, :, row] + zeros[:, :, row - 1]
    return zeros


def pixels_into_zeros(base: Tensor, x: Tensor) -> Tensor:
    zeros, near = torch.zeros_like(x), mean(x)
    zeros[..., 2, 3] = near[..., 4, 1]
    zeros[..., 7, 1::4] = near[..., 0, :2]
    return zeros


def scattered(base: Tensor, x: Tensor) -> Tensor:
    first = base.slice_scatter(mean(x)[:, :, :3], dim=2, start=2, end=8, step=2)
    return first.select_scatter(mean(x, 5)[..., 8], 3, -2)


EXACT = [
    added, one_column, a_box, every_other, into_zeros, zeroed, through_a_transpose,
    a_square_transpose, through_rows_of_pixels, seen_from_another_view, beside_another_part,
    seen_repeated, one_after_the_other,
    row_by_row_into_zeros, pixels_into_zeros, scattered,
]  # fmt: skip


def answered(net: nn.Module, image: Tensor, row: int, column: int) -> tuple[list[int], list[int]]:
    """The rows and the columns of the image with a gradient from one unit."""
    image = image.clone().requires_grad_(True)
    unit = net(image)[:, :, row, column].sum()
    (gradient,) = torch.autograd.grad(unit, image, allow_unused=True)
    if gradient is None:
        return [], []
    pixels = gradient[0].abs().sum(0) > 0
    return tuple(pixels.any(1 - axis).nonzero()[:, 0].tolist() for axis in range(2))


def compared(net: nn.Module, image: Tensor, *, exactly: bool) -> TensorField:
    with torch.no_grad():
        record = trace(net, (image,))
    (number,) = [k for k, row in enumerate(record.layers) if row.name == "last"]
    sight = sight_of_call(net, (image,), {}, number)
    assert sight is not None
    height, width = record.layers[number].outputs[0][2:]
    for row in range(height):
        for column in range(width):
            places = (0, 0, row, column)
            told = [sight.seen(axis, *places) for axis in range(2)]
            if None in told:  # one that sees no column sees no row
                told = [None, None]
            for axis, truth in enumerate(answered(net, image, row, column)):
                where = f"axis {axis} of {row}, {column}: {truth} answer, told {told[axis]}"
                if exactly:
                    assert told[axis] == ((truth[0], truth[-1]) if truth else None), where
                elif truth:
                    assert told[axis] is not None, where
                    assert told[axis][0] <= truth[0] <= truth[-1] <= told[axis][1], where
    return sight


def image() -> Tensor:
    return torch.rand(1, 2, SIDE, SIDE, dtype=torch.float64) + 0.5


@pytest.mark.parametrize("how", EXACT, ids=lambda each: each.__name__)
def test_each_unit_answers_to_the_rows_it_is_told_to_see(how: Callable[..., object]) -> None:
    compared(Writing(how), image(), exactly=True)


@pytest.mark.parametrize("how", EXACT, ids=lambda each: each.__name__)
def test_nothing_is_unknown_or_only_a_bound(how: Callable[..., object]) -> None:
    record = trace(Writing(how), (image(),))
    assert {each.sight for op in record.operations for each in op.fields} <= {
        "window", "varies", "all", "nothing",
    }  # fmt: skip
    assert not record.notes


def one_channel(base: Tensor, x: Tensor) -> None:
    base[:, 0, 2:6] = mean(x, 5)[:, 1, 2:6]


def a_diagonal(base: Tensor, x: Tensor) -> None:
    base.diagonal(dim1=2, dim2=3).add_(mean(x)[:, :, 4])


def a_diagonal_scattered(base: Tensor, x: Tensor) -> Tensor:
    return base.diagonal_scatter(mean(x)[:, :, 4], dim1=2, dim2=3)


@pytest.mark.parametrize("how", [one_channel, a_diagonal, a_diagonal_scattered])
def test_where_channels_or_places_are_not_told_apart_it_is_an_upper_bound(
    how: Callable[..., object],
) -> None:
    compared(Writing(how), image(), exactly=False)


def test_channels_written_apart_see_the_union_and_the_rows_beside_them_do_not() -> None:
    sight = compared(Writing(one_channel), image(), exactly=False)
    assert [sight.span(0, 0, 0, row, 4) for row in (1, 2, 5, 6)] == [(1, 1), (0, 4), (3, 7), (6, 6)]


def test_a_bound_is_told_as_one() -> None:
    record = trace(Writing(a_diagonal), (image(),))
    assert BOUND in [str(each) for each in record.notes]
    assert BOUND not in [str(each) for each in trace(Writing(added), (image(),)).notes]


def test_what_is_written_whole_stays_a_window() -> None:
    def whole(base: Tensor, x: Tensor) -> None:
        base[:, :, :] = mean(x, 5)

    record = trace(Writing(whole), (image(),))
    assert [each.size for each in record.layers[-1].fields] == [5, 5]


def layout(view: Tensor) -> Layout:
    return Layout(tuple(view.shape), view.stride(), view.storage_offset())


@pytest.mark.parametrize("seed", range(8))
def test_the_numbers_two_views_share_are_those_they_show_both(seed: int) -> None:
    """Random views of one memory, against the numbers themselves."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    def view() -> Tensor:
        found = torch.arange(2 * 6 * 5).reshape(2, 6, 5)
        for _ in range(draw(0, 4)):
            dim = draw(0, found.ndim)
            kind = draw(0, 4)
            start = draw(0, found.shape[dim])
            if kind == 0 and found.ndim > 1:
                found = found.select(dim, start)
            elif kind == 1:
                found = found.transpose(0, dim)
            elif kind == 2:
                index = [slice(None)] * found.ndim
                index[dim] = slice(start, None, draw(1, 3))
                found = found[tuple(index)]
            else:
                found = found.unsqueeze(dim)
        return found

    told = 0
    for _ in range(60):
        mine, yours = view(), view()
        found = meeting(layout(mine), layout(yours))
        truth = set(mine.reshape(-1).tolist()) & set(yours.reshape(-1).tolist())
        if found is False:
            assert not truth
        elif isinstance(found, Meeting):
            told += 1
            for own, places in ((mine, found.mine), (yours, found.yours)):
                part = own
                for dim, (first, step, count) in enumerate(places):
                    rows = torch.arange(first, first + step * count, step)
                    part = part.index_select(dim, rows)
                assert set(part.reshape(-1).tolist()) == truth
            for own, other in found.pairs:
                (_, step, count), (_, their_step, their_count) = found.mine[own], found.yours[other]
                assert count == their_count
                assert count == 1 or step * mine.stride(own) == their_step * yours.stride(other)
    assert told > 20
