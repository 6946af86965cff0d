"""The table of Araujo, Norris & Sim 2019, "Computing Receptive Fields of Convolutional Neural
Networks" (Distill), each network in the layout it was computed for: that of TF-Slim."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from netwright.arithmetic.fields import TensorField

Sides = tuple[int, int]


def image(side: int = 224) -> TensorField:
    return TensorField.of_input((1, 3, side, side), {2: 0, 3: 1}, axes=2)


def window(field: TensorField, kernel: int | Sides, stride: int, same: bool) -> TensorField:
    """A convolution or a pooling; `same` pads so that stride 1 keeps the size, else nothing."""
    k = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    p = tuple((each - 1) // 2 if same else 0 for each in k)
    sides = [(field.shape[2 + i] + 2 * p[i] - k[i]) // stride + 1 for i in range(2)]
    return field.windows((1, 8, *sides), (2, 3), k, (stride, stride), p, (1, 1))


def path(field: TensorField, *kernels: int | Sides, stride: int = 1) -> TensorField:
    """Convolutions one behind the other; a `stride` is that of the last and leaves no padding."""
    for kernel in kernels[:-1]:
        field = window(field, kernel, 1, same=True)
    return window(field, kernels[-1], stride, same=stride == 1)


def mixed(field: TensorField, *branches: Sequence[int | Sides], stride: int = 1) -> TensorField:
    return TensorField.concatenated(
        1, *(path(field, *branch, stride=stride) for branch in branches)
    )


def inception_v3(side: int = 299) -> TensorField:
    field = window(image(side), 3, 2, same=False)
    field = window(field, 3, 1, same=False)
    field = window(field, 3, 1, same=True)
    field = window(field, 3, 2, same=False)
    field = window(field, 1, 1, same=False)
    field = window(field, 3, 1, same=False)
    field = window(field, 3, 2, same=False)
    for _ in "bcd":
        field = mixed(field, [1], [1, 5], [1, 3, 3], [3, 1])
    field = mixed(field, [3], [1, 3, 3], stride=2)
    row, column = (1, 7), (7, 1)
    for _ in "bcde":
        field = mixed(field, [1], [1, row, column], [1, column, row, column, row], [3, 1])
    field = mixed(field, [1, 3], [1, row, column, 3], [3], stride=2)
    for _ in "bc":
        field = mixed(field, [1], [1, (1, 3)], [1, (3, 1)], [1, 3, (1, 3)], [1, 3, (3, 1)], [3, 1])
    return field


def bottleneck(field: TensorField, stride: int) -> TensorField:
    deep = window(window(window(field, 1, 1, same=True), 3, stride, same=True), 1, 1, same=True)
    return TensorField.join(deep.shape, deep, window(field, 1, stride, same=True))


def resnet_v1(units: Sequence[int], *, stride_in_last: bool) -> TensorField:
    """TF-Slim halves in the last unit of its first three blocks, torch in the first of its last
    three."""
    field = window(window(image(), 7, 2, same=True), 3, 2, same=True)
    for block, count in enumerate(units):
        for unit in range(count):
            halves = block < 3 and unit == count - 1 if stride_in_last else block > 0 and unit == 0
            field = bottleneck(field, 2 if halves else 1)
    return field


def mobilenet_v1() -> TensorField:
    field = window(image(), 3, 2, same=True)
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
        field = window(window(field, 3, stride, same=True), 1, 1, same=True)
    return field


def triple(field: TensorField) -> tuple[int | None, float | None, int | None]:
    facts = field.axes()
    assert facts[0] == facts[1]
    assert facts[0].sight == "window"
    return facts[0].size, facts[0].stride, facts[0].padding


def test_inception_v3_at_mixed_7c() -> None:
    field = inception_v3()
    assert field.shape[2:] == (8, 8)
    assert triple(field) == (1311, 32.0, 618)


def test_mobilenet_v1() -> None:
    assert triple(mobilenet_v1()) == (315, 32.0, 157)


@pytest.mark.parametrize(
    ("units", "slim", "torch"),
    [((3, 4, 6, 3), 483, 427), ((3, 4, 23, 3), 1027, 971), ((3, 8, 36, 3), 1507, 1451)],
    ids=["50", "101", "152"],
)
def test_resnet_v1_sees_more_where_the_stride_sits_earlier(
    units: Sequence[int], slim: int, torch: int
) -> None:
    assert triple(resnet_v1(units, stride_in_last=True))[:2] == (slim, 32.0)
    assert triple(resnet_v1(units, stride_in_last=False))[:2] == (torch, 32.0)
