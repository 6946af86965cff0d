"""How two views of one memory lie over each other: which positions of each are the same numbers.

Both are put into one grid, whose levels are strides: where the levels nest, each number of the
memory has one place in it, and a view is a run of steps along each level.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Where a view's numbers are: element i, j, ... at offset + i strides[0] + j strides[1] ...,
    counted in numbers of `width` bytes."""

    shape: Shape
    strides: Shape
    offset: int
    width: int = 4

    @property
    def numbers(self) -> int:
        """How many numbers it shows, repeated ones once."""
        sides = zip(self.shape, self.strides, strict=True)
        return prod(size for size, stride in sides if stride or size == 0)

    def same_row(self, other: Layout) -> bool:
        """Whether both are one row of numbers, perhaps in two shapes."""
        return (
            (self.offset, self.width) == (other.offset, other.width)
            and prod(self.shape) == prod(other.shape)
            and self._contiguous()
            and other._contiguous()
        )

    def _contiguous(self) -> bool:
        """Whether its numbers stand in a row, in their order."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size > 1 and stride != expected:
                return False
            expected *= size
        return True


@dataclass(frozen=True)
class Meeting:
    """The numbers that two views share: their positions along each dimension of the first and of
    the second, as first, step and how many. Where a dimension repeats the same numbers, the first
    names one position and the second all of them, by step 0. `pairs` are the dimensions of the
    one and the other that run along each other."""

    mine: tuple[tuple[int, int, int], ...]
    yours: tuple[tuple[int, int, int], ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """How many numbers they are."""
        return prod(many for _, step, many in self.yours if step)


Run = tuple[range, int | None]
"""The places a view takes along a level, and its dimension there, if it moves along it."""


def meeting(mine: Layout, yours: Layout) -> Meeting | bool:
    """What two views of one memory share; False where nothing, True where it cannot be told.

    >>> image = Layout((4, 6), (6, 1), 0)
    >>> rows = Layout((3, 6), (6, 1), 6)                              # image[1:]
    >>> meeting(rows, image).yours, meeting(rows, image).pairs
    (((1, 1, 3), (0, 1, 6)), ((0, 0), (1, 1)))
    >>> meeting(rows, Layout((6,), (1,), 0))                          # image[0]
    False
    """
    if mine.width != yours.width:
        return True
    if not (mine.numbers and yours.numbers):
        return False
    own, other = _levels(mine), _levels(yours)
    for levels in dict.fromkeys((other, own, tuple(sorted({*own, *other}, reverse=True)))):
        one, two = _runs(mine, levels), _runs(yours, levels)
        if one is not None and two is not None and _nested(levels, one, two):
            return _shared(mine, yours, one, two)
    return True


def _levels(view: Layout) -> Shape:
    found = {
        stride for size, stride in zip(view.shape, view.strides, strict=True) if size > 1 and stride
    }
    return tuple(sorted({*found, 1}, reverse=True))


def _runs(view: Layout, levels: Shape) -> list[Run] | None:
    """The view along each level; None where it does not run along levels."""
    starts = []
    rest = view.offset
    for level in levels:
        start, rest = divmod(rest, level)
        starts.append(start)
    runs: list[Run] = [(range(start, start + 1), None) for start in starts]
    for dim, (size, stride) in enumerate(zip(view.shape, view.strides, strict=True)):
        if size == 1 or not stride:
            continue
        place = next(k for k, level in enumerate(levels) if level <= stride)
        step, rest = divmod(stride, levels[place])
        if rest or runs[place][1] is not None:
            return None
        start = starts[place]
        runs[place] = (range(start, start + step * size, step), dim)
    return runs


def _nested(levels: Shape, one: list[Run], two: list[Run]) -> bool:
    """Whether a step along each level leads beyond all that the finer ones reach."""
    reach = 0
    for level, (mine, _), (yours, _) in zip(
        reversed(levels), reversed(one), reversed(two), strict=True
    ):
        if reach >= level:
            return False
        reach += level * max(mine[-1], yours[-1])
    return True


def _shared(mine: Layout, yours: Layout, one: list[Run], two: list[Run]) -> Meeting | bool:
    places = (
        [(0, 1, 1)] * len(mine.shape),
        [
            (0, 1, 1) if size == 1 or stride else (0, 0, size)
            for size, stride in zip(yours.shape, yours.strides, strict=True)
        ],
    )
    pairs = []
    for (own, dim), (other, their) in zip(one, two, strict=True):
        common = own if own == other else _common(own, other)
        if not common:
            return False
        if dim is not None:
            places[0][dim] = _where(own, common)
        if their is not None:
            places[1][their] = _where(other, common)
        if dim is not None and their is not None:
            pairs.append((dim, their))
    return Meeting(tuple(places[0]), tuple(places[1]), tuple(pairs))


def _common(own: range, other: range) -> range:
    """The places in both, which again follow one another by one step."""
    both = [place for place in own if place in other]
    if not both:
        return range(0)
    step = both[1] - both[0] if len(both) > 1 else 1
    return range(both[0], both[-1] + 1, step)


def _where(run: range, common: range) -> tuple[int, int, int]:
    step = max(1, common.step // run.step) if len(common) > 1 else 1
    return run.index(common[0]), step, len(common)
