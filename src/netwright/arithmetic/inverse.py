"""The questions asked backwards: which settings give this output, this field, this size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netwright.arithmetic.sizes import (
    Padding,
    conv_size,
    effective_kernel,
    pool_size,
    transposed_size,
)
from netwright.core.errors import SettingError


def padding_for(
    size: int, want: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
) -> tuple[Padding, ...]:
    """Every padding with which `size` becomes `want`, least first; () if none does.

    Symmetric ones where there are any, else those with one more behind (as torch's `same`).
    At stride s there are up to s totals that give the same output: (want - 1) s + k_eff - i and
    the s - 1 above it, of which the floor drops the rest.

    >>> padding_for(32, 32, 3), padding_for(32, 32, 4), padding_for(32, 16, 3, stride=2)
    (((1, 1),), ((1, 2),), ((1, 1),))
    """
    least = (want - 1) * stride + effective_kernel(kernel_size, dilation) - size
    totals = [total for total in range(least, least + stride) if total >= 0]
    even = tuple((total // 2, total // 2) for total in totals if total % 2 == 0)
    return even or tuple((total // 2, total - total // 2) for total in totals)


def windows_for(
    size: int,
    want: int,
    *,
    kernels: Iterable[int],
    strides: Iterable[int],
    dilations: Iterable[int],
    paddings: Iterable[Padding] | None = None,
) -> Iterator[tuple[int, int, Padding, int]]:
    """Every (kernel, stride, padding, dilation) of the ones offered that makes `want` of `size`.

    Without `paddings` each window gets the least padding that does it, if it is symmetric and
    below the span of the window. A kernel of 1 has no dilation to speak of.

    >>> list(windows_for(32, 16, kernels=[2, 3], strides=[2], dilations=[1]))
    [(2, 2, (0, 0), 1), (3, 2, (1, 1), 1)]
    """
    for kernel in kernels:
        for stride in strides:
            for dilation in dilations:
                if kernel == 1 and dilation > 1:
                    continue
                span = effective_kernel(kernel, dilation)
                offered = (
                    padding_for(size, want, kernel, stride=stride, dilation=dilation)[:1]
                    if paddings is None
                    else paddings
                )
                for padding in offered:
                    if paddings is None and (padding[0] != padding[1] or padding[0] >= span):
                        continue
                    if size + sum(padding) >= span and want == conv_size(
                        size, kernel, stride=stride, padding=padding, dilation=dilation
                    ):
                        yield kernel, stride, padding, dilation


def pools_for(
    size: int,
    want: int,
    *,
    kernels: Iterable[int],
    strides: Iterable[int] | None = None,
    paddings: Iterable[int] | None = None,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> Iterator[tuple[int, int, int]]:
    """Every (kernel, stride, padding) of a pool that makes `want` of `size`.

    Without `strides` every step up to the window, without `paddings` every one up to its half.

    >>> list(pools_for(112, 56, kernels=[2, 3]))
    [(2, 2, 0), (3, 2, 1)]
    """
    for kernel in kernels:
        span = effective_kernel(kernel, dilation)
        for padding in range(kernel // 2 + 1) if paddings is None else paddings:
            if 2 * padding > kernel or size + 2 * padding < span:
                continue
            for stride in range(1, kernel + 1) if strides is None else strides:
                if want == pool_size(
                    size,
                    kernel,
                    stride=stride,
                    padding=padding,
                    dilation=dilation,
                    ceil_mode=ceil_mode,
                ):
                    yield kernel, stride, padding


def transposed_for(
    size: int,
    want: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: int | None = None,
    output_padding: int | None = None,
) -> tuple[tuple[int, int], ...]:
    """Every (padding, output_padding) with which a transposed convolution makes `want` of `size`,
    the least output_padding first; what is given is kept.

    >>> transposed_for(16, 32, 4, stride=2), transposed_for(16, 32, 3, stride=2)
    (((1, 0),), ((1, 1),))
    """
    whole = (size - 1) * stride + effective_kernel(kernel_size, dilation)
    found = []
    for extra in range(max(stride, dilation)) if output_padding is None else (output_padding,):
        cut = whole + extra - want
        if cut % 2 == 0 and cut >= 0 and padding in (None, cut // 2):
            found.append((cut // 2, extra))
    return tuple(found)


def transposed_range(
    size: int, kernel_size: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[int, int]:
    """The least and the largest size that output_padding can choose. At dilation 1 they are just
    those that the convolution of the same settings maps on `size`.

    >>> transposed_range(16, 3, stride=2, padding=1)
    (31, 32)
    """
    least = transposed_size(size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    return least, least + max(stride, dilation) - 1


def sizes_before(
    want: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding = (0, 0),
    dilation: int = 1,
) -> tuple[int, int]:
    """The least and the largest input that a convolution makes `want` of; all between do as well.

    >>> sizes_before(112, 7, stride=2, padding=(3, 3))
    (223, 224)
    """
    largest = want * stride + effective_kernel(kernel_size, dilation) - 1 - sum(padding)
    if largest < 1:
        raise SettingError(
            "No input gives {want}: the padding alone, {padding}, gives more.",
            want=want,
            padding=sum(padding),
        )
    return max(1, largest - stride + 1), largest


def windows_with_field(field: int, *, kernels: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Every (kernel, dilation) whose one layer sees `field` positions: (k - 1) d = field - 1.

    >>> list(windows_with_field(7, kernels=range(2, 8)))
    [(2, 6), (3, 3), (4, 2), (7, 1)]
    """
    for kernel in kernels:
        if kernel > 1 and (field - 1) % (kernel - 1) == 0 and field > 1:
            yield kernel, (field - 1) // (kernel - 1)


def stacks_with_field(
    field: int, *, kernels: Iterable[int], strides: Iterable[int], most: int = 64
) -> Iterator[tuple[int, int, int, str]]:
    """Every (layers, kernel, stride, dilations) of equal layers that see exactly `field`.

    Dilations are "1", one rate for all ("2") or doubling ("1,2,4,8"). At stride s the field of n
    layers is 1 + (k - 1)(1 + s + ... + s^(n-1)).

    >>> [each for each in stacks_with_field(31, kernels=[3], strides=[1, 2])][:3]
    [(15, 3, 1, '1'), (5, 3, 1, '3'), (3, 3, 1, '5')]
    """
    for kernel in kernels:
        if kernel < 2:
            continue
        sees, rest = divmod(field - 1, kernel - 1)
        if rest or sees < 1:
            continue
        for stride in strides:
            if stride == 1:
                for rate in range(1, sees + 1):
                    if sees % rate == 0 and sees // rate <= most:
                        yield sees // rate, kernel, 1, str(rate)
                count = (sees + 1).bit_length() - 1
                if count > 1 and 2**count == sees + 1:
                    yield count, kernel, 1, ",".join(str(2**n) for n in range(count))
            else:
                total, advance, count = 0, 1, 0
                while total < sees:
                    total, advance, count = total + advance, advance * stride, count + 1
                if total == sees and count > 1:
                    yield count, kernel, stride, "1"


def nearest_fields(field: int, *, kernels: Iterable[int], strides: Iterable[int]) -> list[int]:
    """The largest field below `field` and the least above it that equal layers can see; where none
    is below, the one above alone.

    At stride 1 every 1 + (k - 1) n can be seen, at stride s those of at least two layers.

    >>> nearest_fields(30, kernels=[3], strides=[1]), nearest_fields(8, kernels=[3], strides=[2])
    ([29, 31], [7, 15])
    """
    below, above = 0, 0
    strides = tuple(strides)
    for grows in (kernel - 1 for kernel in kernels if kernel > 1):
        for stride in strides:
            if stride == 1:
                sees = (field - 1) // grows
                found = [1 + grows * each for each in (sees, sees + 1) if each > 0]
                if found[0] == field:
                    found[0] -= grows
            else:
                found, total, advance = [], 1 + stride, stride * stride
                while not found or found[-1] <= field:
                    found.append(1 + grows * total)
                    total, advance = total + advance, advance * stride
            below = max([below, *(each for each in found if 1 < each < field)])
            above = min([each for each in (above, *found) if each > field], default=above)
    return [each for each in (below, above) if each]
