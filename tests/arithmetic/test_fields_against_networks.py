"""The field algebra against real networks: linear ones, run on one row of the image at a time.

A network without biases answers a row of zeros with zeros, so the rows that a unit sees are those
it answers to: the slow, obvious second implementation, by torch's own kernels.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.arithmetic.fields import TensorField

Step = tuple[Tensor, TensorField, str] | None
"""The probes behind an operation, the field behind it, and what the operation was."""


def _weights(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64) + 0.1


def _of(probes: Tensor) -> tuple[int, ...]:
    return (1, *probes.shape[1:])


def _each(rng: random.Random, *choices: int) -> list[int]:
    return [rng.choice(choices) for _ in range(2)]


def convolution(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    k, s, p, d = (
        _each(rng, 1, 2, 3, 4),
        _each(rng, 1, 1, 2, 3),
        _each(rng, 0, 1, 2),
        _each(rng, 1, 2),
    )
    if any(x.shape[2 + i] + 2 * p[i] <= d[i] * (k[i] - 1) for i in range(2)):
        return None
    y = F.conv2d(x, _weights(2, x.shape[1], *k), stride=s, padding=p, dilation=d)
    return y, field.windows(_of(y), (2, 3), k, s, p, d), f"conv {k} {s} {p} {d}"


def pooling(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    k, s, p = rng.choice((2, 3)), rng.choice((1, 2, 3)), rng.choice((0, 1))
    if min(x.shape[2:]) + 2 * p < k:
        return None
    y = F.avg_pool2d(x, k, s, p, ceil_mode=rng.random() < 0.5)
    seen = field.windows(_of(y), (2, 3), (k, k), (s, s), (p, p), (1, 1), groups=x.shape[1])
    return y, seen, f"pool {k} {s} {p}"


def transposed(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    k, s, p, d = (_each(rng, 1, 2, 3, 4), _each(rng, 1, 2, 3), _each(rng, 0, 1), _each(rng, 1, 2))
    more = [rng.randrange(max(s[i], d[i])) for i in range(2)]
    out = [
        (x.shape[2 + i] - 1) * s[i] - 2 * p[i] + d[i] * (k[i] - 1) + more[i] + 1 for i in range(2)
    ]
    if min(out) < 1 or max(out) > 30:
        return None
    y = F.conv_transpose2d(
        x,
        _weights(x.shape[1], 2, *k),
        stride=s,
        padding=p,
        output_padding=more,
        dilation=d,
    )
    return y, field.transposed(_of(y), (2, 3), k, s, p, d), f"transposed {k} {s} {p} {d} {more}"


def resizing(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    mode = rng.choice(("nearest", "nearest-exact", "bilinear", "bicubic", "area"))
    smooth = mode in ("bilinear", "bicubic")
    corners = (rng.random() < 0.4) if smooth else None
    if rng.random() < 0.5:
        scale = rng.choice((2, 3, 0.5, 1.5, 2.0, 1.3, 1.1, 2.2, 0.4, 1 / 3))
        if not 1 <= int(min(x.shape[2:]) * scale) <= int(max(x.shape[2:]) * scale) <= 30:
            return None
        y = F.interpolate(x, scale_factor=scale, mode=mode, align_corners=corners)
        seen = field.resized(_of(y), (2, 3), mode, corners, (scale, scale))
        return y, seen, f"resize {mode} by {scale} {corners}"
    out = [rng.choice((n * 2, n // 2, n + 3, n - 1, n)) for n in x.shape[2:]]
    # torch 2.13 answers wrongly with antialias where one side comes out as 1.
    if min(out) < 2 or max(out) > 30:
        return None
    smoothed = smooth and rng.random() < 0.3
    y = F.interpolate(x, size=out, mode=mode, align_corners=corners, antialias=smoothed)
    seen = field.resized(_of(y), (2, 3), mode, corners, antialias=smoothed)
    return y, seen, f"resize {mode} to {out} {corners} {smoothed}"


def adaptive(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    out = [rng.choice((max(1, n // 2), max(1, n - 2), n + 1, 3)) for n in x.shape[2:]]
    y = F.adaptive_avg_pool2d(x, out)
    return y, field.adaptive(_of(y), (2, 3)), f"adaptive {out}"


def padding(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    if min(x.shape[2:]) < 4:
        return None
    mode = rng.choice(("constant", "constant", "reflect", "replicate", "circular"))
    least = -1 if mode == "constant" else 0
    top, bottom, left, right = (rng.randint(least, 2) for _ in range(4))
    y = F.pad(x, (left, right, top, bottom), mode=mode)
    pads = {2: (top, bottom), 3: (left, right)}
    return y, field.padded(_of(y), pads, mode), f"pad {mode} {pads}"


def slicing(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    start, step = rng.randint(0, 2), rng.choice((1, 2))
    if x.shape[3] < 4:
        return None
    y = x[:, :, :, start::step]
    return y, field.sliced(_of(y), 3, start, step), f"slice {start} {step}"


def flipping(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    return x.flip(2), field.flipped(2), "flip"


def rolling(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    shift = rng.randint(-3, 3)
    return x.roll(shift, 3), field.rolled(3, shift), f"roll {shift}"


def picking(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    rows = [rng.randrange(-x.shape[2], x.shape[2]) for _ in range(rng.randint(1, x.shape[2]))]
    y = x[:, :, rows]
    return y, field.indexed(_of(y), 2, rows), f"index {rows}"


def transposing(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    return x.transpose(2, 3), field.permuted((0, 1, 3, 2)), "transpose"


def pixel_shuffle(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    if max(x.shape[2:]) > 15:
        return None
    c = x.shape[1]
    more = F.conv2d(x, _weights(4 * c, c, 1, 1))
    y = F.pixel_shuffle(more, 2)
    seen = field.windows(_of(more), (2, 3), (1, 1), (1, 1), (0, 0), (1, 1))
    seen = seen.reshaped((1, c, 2, 2, *x.shape[2:])).permuted((0, 1, 4, 2, 5, 3))
    return y, seen.reshaped(_of(y)), "pixel shuffle"


def pixel_unshuffle(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    c, h, w = x.shape[1:]
    if h % 2 or w % 2:
        return None
    y = F.pixel_unshuffle(x, 2)
    seen = field.reshaped((1, c, h // 2, 2, w // 2, 2)).permuted((0, 1, 3, 5, 2, 4))
    return y, seen.reshaped(_of(y)), "pixel unshuffle"


def attention_in_windows(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    n, c, h, w = x.shape
    if h % 2 or w % 2 or h < 4 or w < 4:
        return None
    split, order = (c, h // 2, 2, w // 2, 2), (0, 2, 4, 3, 5, 1)
    tokens = x.reshape(n, *split).permute(order).reshape(n, -1, 4, c)
    mixed = tokens + tokens.mean(2, keepdim=True)
    y = mixed.reshape(n, h // 2, w // 2, 2, 2, c).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)
    seen = field.reshaped((1, *split)).permuted(order).reshaped(_of(tokens))
    seen = TensorField.join(seen.shape, seen, seen.spread((2,)))
    seen = seen.reshaped((1, h // 2, w // 2, 2, 2, c)).permuted((0, 5, 1, 3, 2, 4))
    return y, seen.reshaped(_of(y)), "attention in windows"


def residual(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    d, c = rng.choice((1, 2)), x.shape[1]
    y = F.conv2d(x, _weights(c, c, 3, 3), padding=d, dilation=d)
    seen = field.windows(_of(y), (2, 3), (3, 3), (1, 1), (d, d), (d, d))
    return y + x, TensorField.join(_of(y), field, seen), f"residual {d}"


def matrix_product(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    wide = rng.choice((2, 5))
    y = torch.einsum("nchw,wo->ncho", x, _weights(x.shape[3], wide))
    weight = TensorField.blank((x.shape[3], wide), 2)
    seen = TensorField.contracted(_of(y), (field, (0, 1, 2, None)), (weight, (None, None, None, 1)))
    return y, seen, f"matmul {wide}"


def misaligned(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    if min(x.shape[2:]) < 3:
        return None
    y = F.avg_pool2d(x, 2)
    h, w = y.shape[2:]
    seen = field.windows(_of(y), (2, 3), (2, 2), (2, 2), (0, 0), (1, 1))
    crop = field.sliced((1, x.shape[1], h, x.shape[3]), 2, 0).sliced(_of(y), 3, 0)
    return y + x[:, :, :h, :w], TensorField.join(_of(y), seen, crop), "misaligned"


def writing(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    """Some rows and columns written over by a convolution of others."""
    if min(x.shape[2:]) < 5:
        return None
    c = x.shape[1]
    y = F.conv2d(x, _weights(c, c, 3, 3), padding=1)
    part = field.windows(_of(y), (2, 3), (3, 3), (1, 1), (1, 1), (1, 1))
    (top, left), (down, across) = _each(rng, 0, 1, 2), _each(rng, 1, 1, 2)
    high, wide = rng.randint(1, 2), rng.randint(1, 2)
    box = (slice(None), slice(None), slice(top, top + down * high, down),
           slice(left, left + across * wide, across))  # fmt: skip
    written = x.clone()
    written[box] = y[:, :, :high, -wide:]
    part = part.sliced((1, c, high, x.shape[3]), 2, 0)
    part = part.sliced((1, c, high, wide), 3, x.shape[3] - wide)
    seen = field.written(part, {2: (top, down), 3: (left, across)})
    return written, seen, f"written {top} {left} {down} {across} {high} {wide}"


def squeeze_excitation(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    gate = field.reduced((2, 3), keepdim=True)
    return x + x.mean((2, 3), keepdim=True), TensorField.join(_of(x), field, gate), "gate"


def side_by_side(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    dim = rng.choice((2, 3))
    if x.shape[dim] > 15:
        return None
    y = F.conv2d(x, _weights(x.shape[1], x.shape[1], 3, 3), padding=1)
    seen = field.windows(_of(y), (2, 3), (3, 3), (1, 1), (1, 1), (1, 1))
    return torch.cat([x, y], dim), TensorField.concatenated(dim, field, seen), f"cat {dim}"


def channels_together(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    if x.shape[1] > 4:
        return None
    y = F.conv2d(x, _weights(x.shape[1], x.shape[1], 3, 3), padding=1)
    seen = field.windows(_of(y), (2, 3), (3, 3), (1, 1), (1, 1), (1, 1))
    return torch.cat([x, y], 1), TensorField.concatenated(1, field, seen), "cat channels"


def odd_view(x: Tensor, field: TensorField, rng: random.Random) -> Step:
    pixels = x.shape[2] * x.shape[3]
    if pixels % 6:
        return None
    y = x.reshape(*x.shape[:2], pixels // 6, 6)
    return y, field.reshaped(_of(y)), "odd view"


Operation = Callable[[Tensor, TensorField, random.Random], Step]

EXACT: list[Operation] = [
    *(convolution, pooling, transposed, resizing, adaptive, padding, slicing, flipping, rolling),
    *(picking, transposing, pixel_shuffle, pixel_unshuffle, attention_in_windows, residual),
    *(misaligned, writing),
]
CHAINS: list[Operation] = [convolution, pooling, residual, transposed]


def _probes(height: int, width: int) -> tuple[Tensor, TensorField]:
    """A batch of images: each row alone, then each column alone."""
    images = torch.zeros(height + width, 2, height, width, dtype=torch.float64)
    for row in range(height):
        images[row, :, row] = _weights(2, width)
    for column in range(width):
        images[height + column, :, :, column] = _weights(2, height)
    return images, TensorField.of_input((1, 2, height, width), {2: 0, 3: 1}, axes=2)


def _rows(answers: np.ndarray) -> tuple[int, int] | None:
    rows = np.flatnonzero(answers)
    return (int(rows[0]), int(rows[-1])) if len(rows) else None


def _walk(
    seed: int, operations: list[Operation], longest: int
) -> list[tuple[Tensor, TensorField, int, str]]:
    """Probes and field behind each of some random operations, the image's height, and the way."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    height = rng.randint(5, 12)
    x, field = _probes(height, height if rng.random() < 0.3 else rng.randint(5, 12))
    told, steps = f"{tuple(x.shape)}", []
    for _ in range(rng.randint(1, longest)):
        step = rng.choice(operations)(x, field, rng)
        if step is not None:
            x, field, what = step
            told += f", {what}"
            assert field.shape == _of(x), told
            steps.append((x, field, height, told))
    return steps


def _compare(x: Tensor, field: TensorField, height: int, told: str, *, exactly: bool) -> None:
    answers = (x.abs() > 1e-11).numpy()
    for place in np.ndindex(*answers.shape[1:]):
        seen = [field.seen(axis, 0, *place) for axis in range(2)]
        if None in seen:  # one that sees no column sees no row
            seen = [None, None]
        for axis, side in enumerate((answers[:height], answers[height:])):
            truth = _rows(side[(slice(None), *place)])
            where = f"{told}: axis {axis} of {place} sees {truth}, told {seen[axis]}"
            if exactly:
                assert truth == seen[axis], where
            elif truth is not None:
                told_rows = seen[axis]
                assert told_rows is not None, where
                assert told_rows[0] <= truth[0], where
                assert told_rows[1] >= truth[1], where


@pytest.mark.parametrize("seed", range(60))
def test_what_units_really_see_is_exact_behind_chains_of_windows(seed: int) -> None:
    for x, field, height, told in _walk(seed, CHAINS, 4):
        _compare(x, field, height, told, exactly=True)


@pytest.mark.parametrize("operation", EXACT, ids=lambda each: each.__name__)
def test_what_units_really_see_is_exact_behind(operation: Operation) -> None:
    for seed in range(6):
        for x, field, height, told in _walk(seed, [operation, operation, convolution], 3):
            _compare(x, field, height, told, exactly=True)


EVERY: list[Operation] = [
    *EXACT,
    *(matrix_product, squeeze_excitation, side_by_side, channels_together, odd_view),
]


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_nothing_that_a_unit_sees_is_missed_behind_any_operations(seed: int) -> None:
    for x, field, height, told in _walk(seed, EVERY, 5):
        field.axes()
        _compare(x, field, height, told, exactly=False)


@pytest.mark.parametrize("seed", range(40))
def test_the_classic_triple_is_exact_for_units_away_from_the_rim(seed: int) -> None:
    for _, field, height, told in _walk(seed, [convolution, pooling, residual], 4):
        facts = field.axes()[0]
        if facts.sight != "window":
            continue
        assert facts.size is not None
        assert facts.stride is not None
        assert facts.padding is not None
        rows = [field.seen(0, unit) for unit in range(field.shape[2])]
        last = max((each[1] for each in rows if each is not None), default=-1)
        for unit, really in enumerate(rows):
            first = int(unit * facts.stride) - facts.padding
            assert field.span(0, unit) == (first, first + facts.size - 1), told
            # Up to the last row that any unit sees: a stride may drop the others.
            if first >= 0 and first + facts.size - 1 <= min(last, height - 1):
                assert really == field.span(0, unit), told


@pytest.mark.parametrize("seed", range(40))
def test_the_rows_read_are_counted_where_the_field_is_a_window(seed: int) -> None:
    for x, field, height, told in _walk(seed, [convolution, pooling, residual], 4):
        facts = field.axes()[0]
        if facts.sight != "window":
            continue
        answers = (x.abs() > 1e-11).numpy()[:height]
        counts = answers.sum(axis=0)
        assert facts.reads is not None, told
        assert counts.max() <= facts.reads, told
        for place in np.ndindex(*counts.shape):
            span = field.span(0, 0, *place)
            seen_columns = field.seen(1, 0, *place) is not None
            if span == field.seen(0, 0, *place) and seen_columns and facts.reads == facts.size:
                assert counts[place] == facts.reads, told
