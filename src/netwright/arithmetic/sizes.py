"""How long an axis is behind a layer that slides a window over it, or spreads one out.

Every function is about one axis. `padding` is what is added before and behind, (before, after).
Sources: Dumoulin & Visin 2016, A guide to convolution arithmetic for deep learning; for the last
window of ceil mode and for `same`, the rules of torch.
"""

from __future__ import annotations

import math

from netwright.core.errors import SettingError

Padding = tuple[int, int]


def effective_kernel(kernel_size: int, dilation: int = 1) -> int:
    """How many positions a kernel spans: d(k - 1) + 1.

    >>> [effective_kernel(3, d) for d in (1, 2, 3)]
    [3, 5, 7]
    """
    return dilation * (kernel_size - 1) + 1


def conv_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding = (0, 0),
    dilation: int = 1,
) -> int:
    """Output of a convolution, or of a pool that rounds down.

        o = floor((i + before + after - d(k - 1) - 1) / s) + 1

    Raises `SettingError` where the window does not fit into the padded axis.

    >>> conv_size(224, 7, stride=2, padding=(3, 3))
    112
    """
    span = effective_kernel(kernel_size, dilation)
    if size + sum(padding) < span:
        raise SettingError(
            "A window of {span} does not fit into {size} with {padding} of padding.",
            hint="Take a smaller kernel or dilation, or {more} more of padding.",
            span=span,
            size=size,
            padding=sum(padding),
            more=span - size - sum(padding),
        )
    return (size + sum(padding) - span) // stride + 1


def dropped(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding = (0, 0),
    dilation: int = 1,
) -> int:
    """How many positions at the end of the padded axis no window reaches: the floor drops them."""
    conv_size(size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    return (size + sum(padding) - effective_kernel(kernel_size, dilation)) % stride


def dropped_pixels(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding = (0, 0),
    dilation: int = 1,
) -> int:
    """How many of those are pixels of the image; the padding behind it is dropped first."""
    unread = dropped(size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    return min(size, max(0, unread - padding[1]))


def same_padding(kernel_size: int, *, dilation: int = 1) -> Padding:
    """The padding that keeps the size at stride 1, as torch's `padding="same"` spreads it: where
    the total d(k - 1) is odd, one more behind.

    >>> same_padding(3), same_padding(4), same_padding(4, dilation=2)
    ((1, 1), (1, 2), (3, 3))
    """
    total = dilation * (kernel_size - 1)
    return total // 2, total - total // 2


def pool_size(
    size: int,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Output of a pool; `stride` is the kernel size unless given.

    With `ceil_mode` the last window may hang over the end, but is left out where it would begin
    at or behind i + p, in the padding behind the image.

    >>> pool_size(112, 3, stride=2, padding=1), pool_size(5, 2), pool_size(5, 2, ceil_mode=True)
    (56, 2, 3)
    """
    stride = kernel_size if stride is None else stride
    span = effective_kernel(kernel_size, dilation)
    if 2 * padding > kernel_size:  # of the kernel, not of what it spans: as torch has it
        raise SettingError(
            "A pool takes at most half of its kernel as padding: {padding} is more than half "
            "of {kernel}.",
            hint="Windows that see nothing but padding have no maximum.",
            padding=padding,
            kernel=kernel_size,
        )
    if not ceil_mode:
        return conv_size(
            size, kernel_size, stride=stride, padding=(padding, padding), dilation=dilation
        )
    room = size + 2 * padding - span
    found = -(-room // stride) + 1
    if (found - 1) * stride >= size + padding:
        found -= 1
    if found < 1:
        conv_size(size, kernel_size, padding=(padding, padding), dilation=dilation)
    return found


def adaptive_windows(size: int, output_size: int) -> list[tuple[int, int]]:
    """The windows of adaptive pooling, each from its first position to behind its last.

    >>> adaptive_windows(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    return [
        (size * j // output_size, -(-size * (j + 1) // output_size)) for j in range(output_size)
    ]


def transposed_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """Output of a transposed convolution.

        o = (i - 1) s - 2p + d(k - 1) + output_padding + 1,   output_padding < max(s, d)

    >>> transposed_size(16, 4, stride=2, padding=1)
    32
    """
    if output_padding >= max(stride, dilation):
        raise SettingError(
            "output_padding {value} is too much: it must be below {bound}, the larger one of "
            "stride and dilation.",
            value=output_padding,
            bound=max(stride, dilation),
        )
    found = (
        (size - 1) * stride - 2 * padding + effective_kernel(kernel_size, dilation) + output_padding
    )
    if found < 1:
        raise SettingError(
            "Nothing is left: padding {padding} cuts {cut} from an output of {whole}.",
            hint="The padding of a transposed convolution is cut away, not added.",
            padding=padding,
            cut=2 * padding,
            whole=found + 2 * padding,
        )
    return found


def unpool_size(size: int, kernel_size: int, *, stride: int | None = None, padding: int = 0) -> int:
    """Output of max-unpooling where none is asked for: (i - 1) s - 2p + k.

    >>> unpool_size(2, 2)
    4
    """
    stride = kernel_size if stride is None else stride
    found = (size - 1) * stride - 2 * padding + kernel_size
    if found < 1:
        raise SettingError(
            "Nothing is left: padding {padding} cuts {cut} from an output of {whole}.",
            padding=padding,
            cut=2 * padding,
            whole=found + 2 * padding,
        )
    return found


def resize_size(size: int, scale: float) -> int:
    """Output of interpolation by a factor: floor(i * scale).

    >>> resize_size(7, 2), resize_size(7, 0.5)
    (14, 3)
    """
    found = math.floor(size * scale)
    if found < 1:
        raise SettingError(
            "Nothing is left: {size} times {scale} is below 1.", size=size, scale=scale
        )
    return found
