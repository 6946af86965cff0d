"""How often a transposed convolution writes to each output position: the checkerboard.

If the kernel is not divided by the stride, some positions get more contributions than others, and
the pattern shows in what a network draws (Odena, Dumoulin & Olah 2016, Deconvolution and
checkerboard artifacts).
"""

from __future__ import annotations


def contributions(kernel_size: int, stride: int, *, dilation: int = 1) -> tuple[int, ...]:
    """Contributions to each of `stride` neighbouring positions along one axis, far from the rim:
    taps t with t d = phase (mod s).

    >>> contributions(3, 2), contributions(4, 2), contributions(2, 3)
    ((2, 1), (2, 2), (1, 1, 0))
    """
    found = [0] * stride
    for tap in range(kernel_size):
        found[tap * dilation % stride] += 1
    return tuple(found)


def unevenness(kernel_size: int, stride: int, *, dilation: int = 1, dims: int = 2) -> float | None:
    """Most contributions over fewest; 1 is even. None where some positions get none at all.

    >>> unevenness(3, 2), unevenness(5, 2), unevenness(4, 2), unevenness(2, 3)
    (4.0, 2.25, 1.0, None)
    """
    each = contributions(kernel_size, stride, dilation=dilation)
    return (max(each) / min(each)) ** dims if min(each) else None


def even_kernels(stride: int, near: int) -> tuple[int, ...]:
    """The kernels round `near` that a stride divides, at dilation 1.

    >>> even_kernels(2, 3), even_kernels(3, 4)
    ((2, 4), (3, 6))
    """
    below = near // stride * stride
    return tuple(k for k in (below, below + stride) if k > 0)
