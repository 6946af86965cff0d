"""Interpolation: a map of another size, each of its pixels a weighted sum of old ones."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward

Mode: TypeAlias = Literal["nearest", "nearest-exact", "bilinear", "bicubic"]


@BY_HAND.register(
    "interpolate",
    paper="Keys 1981, Cubic convolution interpolation for digital image processing",
)
def interpolate(
    x: Array, *, size: tuple[int, int], mode: Mode = "nearest", align_corners: bool = False
) -> tuple[Array, Backward]:
    """Interpolation: y = R x C^T, one matrix for the rows and one for the columns.

    x (N, C, H, W), y (N, C, H', W') of `size`; R (H', H) and C (W', W) are those of
    `resampling_matrix`: line i of R says which old rows new row i is made of. Nothing is learned.

        y[n, c, i, j] = sum over h, w of R[i, h] C[j, w] x[n, c, h, w]

    Backward: y is linear in x, so the gradient takes the transposed matrices. Each old pixel gets
    from every new one the share that it gave:

        dx = R^T dy C      dx[h, w] = sum over i, j of R[i, h] C[j, w] dy[i, j]

    What goes wrong: no filter stands before it (torch's `antialias=False`), so a map made smaller
    is sampled, not averaged: what lies between the samples is lost and has no gradient. Label maps
    take "nearest" alone, for the mean of class 1 and class 3 is not class 2. torch with
    `scale_factor` puts the factor itself into the coordinates where this takes H' / H.

    >>> x = np.array([[[[0.0, 8.0]]]])
    >>> interpolate(x, size=(1, 4), mode="bilinear")[0][0, 0]
    array([[0., 2., 6., 8.]])
    >>> y, backward = interpolate(x, size=(1, 3), mode="bilinear", align_corners=True)
    >>> y[0, 0], backward(np.array([[[[0.0, 10.0, 3.0]]]]))[0][0, 0]
    (array([[0., 4., 8.]]), array([[5., 8.]]))
    """
    rows = resampling_matrix(x.shape[2], size[0], mode=mode, align_corners=align_corners)
    columns = resampling_matrix(x.shape[3], size[1], mode=mode, align_corners=align_corners)

    def backward(dy: Array) -> tuple[Array]:
        return (rows.T @ dy @ columns,)

    return rows @ x @ columns.T, backward


def resampling_matrix(old: int, new: int, *, mode: Mode, align_corners: bool = False) -> Array:
    """Which old pixels each new one is made of, along one axis: (new, old), each line sums to 1.

    New pixel i lies at s in the old ones. Pixels are squares, with their centres at 1/2, 3/2, ...:

        align_corners=False    s = (i + 1/2) old / new - 1/2     the outer edges coincide
        align_corners=True     s = i (old - 1) / (new - 1)       the centres of the corners do

    With f = floor(s) and t = s - f:

        nearest         floor(i old / new), which ignores that pixels have centres
        nearest-exact   floor((i + 1/2) old / new), the pixel that holds the centre
        bilinear        f and f + 1 with 1 - t and t
        bicubic         f - 1 to f + 2 with k(t + 1), k(t), k(1 - t), k(2 - t) (Keys 1981, a = -3/4)

    Pixels beyond the border count as the last one inside it. The two nearest are computed here in
    whole numbers; torch multiplies by old / new in float32, and where the product should be whole
    it may take the pixel before (2 pixels to 82: number 41 comes from 0, not 1). `align_corners`
    means nothing to the two nearest and is refused with them (`SettingError`), as is an unknown
    mode.

    >>> resampling_matrix(2, 4, mode="bilinear")
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]])
    """
    i = np.arange(new)
    if mode in ("nearest", "nearest-exact"):
        if align_corners:
            raise SettingError(
                "align_corners is for bilinear and bicubic; {mode} has none.", mode=mode
            )
        half = 1 if mode == "nearest-exact" else 0
        taps = [((2 * i + half) * old // (2 * new), np.ones(new))]
    elif mode in ("bilinear", "bicubic"):
        s = i * (old - 1) / max(new - 1, 1) if align_corners else (i + 0.5) * old / new - 0.5
        first = np.floor(s).astype(np.int64)
        t = s - first
        if mode == "bilinear":
            taps = [(first, 1 - t), (first + 1, t)]
        else:
            taps = [(first + step, _keys(np.abs(t - step))) for step in (-1, 0, 1, 2)]
    else:
        raise SettingError(
            "mode: {mode} is not allowed. It is one of nearest, nearest-exact, bilinear, bicubic.",
            mode=mode,
        )
    matrix = np.zeros((new, old))
    for place, share in taps:
        np.add.at(matrix, (i, place.clip(0, old - 1)), share)
    return matrix


def _keys(distance: Array, a: float = -0.75) -> Array:
    """Keys' piecewise cubic; he takes a = -1/2, torch and OpenCV -3/4."""
    d = distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, far)
