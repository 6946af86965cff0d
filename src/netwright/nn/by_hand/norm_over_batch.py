"""Batch normalisation: each channel by its mean and spread over the whole batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._standardise import all_but_channels, scale_and_shift, standardise


class Statistics(NamedTuple):
    """What evaluation uses in place of the batch: mean and variance of each channel, (C,)."""

    mean: Array
    var: Array


@BY_HAND.register(
    "batch_norm",
    paper="Ioffe & Szegedy 2015, Batch normalization, algorithm 1 and the equations of sec. 3",
)
def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    running: Statistics | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Batch normalisation: y = weight (x - mean) / sqrt(var + eps) + bias for each channel.

    x (N, C, ...), weight and bias (C,), y like x. In training (`running=None`) mean and var are
    those of this batch, over N and all positions, m values a channel; var is the biased one,
    divided by m. In evaluation they are the numbers of `running`, which training gathered
    (`running_statistics`).

    Backward in training: mean and var depend on x too, so every value of a channel acts on every
    other. With xhat = (x - mean) / sqrt(var + eps), means over the m values of a channel, and the
    derivation in `standardise`:

        dx      = weight / sqrt(var + eps) (dy - mean(dy) - xhat mean(dy xhat))
        dweight = sum of dy xhat        dbias = sum of dy

    The paper writes the same as a chain through dvar and dmean; this is what is left after putting
    one into the other. Consequences: dx has mean 0 in every channel, so the bias of a layer before
    it never learns; dx is orthogonal to xhat, so the length of the weights before it does not
    matter.

    Backward in evaluation: mean and var are constants, and dx = weight / sqrt(var + eps) dy. This
    is another gradient than that of training, and the layer is an affine map that folds into the
    convolution before it.

    What goes wrong: y has mean 0 and variance 1 but not a normal distribution. A channel of one
    value (m = 1) is always 0 and has no gradient: refused in training (`SettingError`).

    >>> x = np.array([[1.0], [3.0]])
    >>> y, backward = batch_norm(x, np.array([2.0]), np.array([10.0]), eps=0.0)
    >>> y.ravel()  # mean 2, var 1
    array([ 8., 12.])
    >>> dx, dweight, dbias = backward(np.array([[1.0], [4.0]]))
    >>> dx.ravel(), dweight, dbias  # two values are always -1 and 1: nothing can move them
    (array([0., 0.]), array([3.]), array([5.]))
    """
    axes = all_but_channels(x)
    if running is None:
        if x.size == x.shape[1]:
            raise SettingError(
                "batch_norm: one value for each channel has no spread; training needs two or more."
            )
        return scale_and_shift(*standardise(x, axes, eps), weight, bias, axes)
    shape = [1, -1] + [1] * (x.ndim - 2)
    spread = np.sqrt(running.var.reshape(shape) + eps)
    xhat = (x - running.mean.reshape(shape)) / spread
    return scale_and_shift(xhat, lambda dxhat: (dxhat / spread,), weight, bias, axes)


def running_statistics(x: Array, running: Statistics, *, momentum: float = 0.1) -> Statistics:
    """What training adds to the running numbers: new = (1 - momentum) old + momentum batch.

    The batch's mean, and its *unbiased* variance: the sum of (x - mean)^2 over m - 1, while
    `batch_norm` itself divides by m in the same step. They begin at mean 0 and var 1, as an average
    that was never freed of its start: after t steps (1 - momentum)^t of it is left, a third after
    10. `momentum` is the share of the new batch; in other libraries it is that of the old value.

    >>> x = np.array([[1.0], [3.0]])  # mean 2, variance 1 biased and 2 unbiased
    >>> new = running_statistics(x, Statistics(np.zeros(1), np.ones(1)))
    >>> new.mean, new.var  # 0.9 0 + 0.1 2 and 0.9 1 + 0.1 2
    (array([0.2]), array([1.1]))
    """
    axes = all_but_channels(x)
    mean, var = x.mean(axis=axes), x.var(axis=axes, ddof=1)
    return Statistics(
        (1 - momentum) * running.mean + momentum * mean,
        (1 - momentum) * running.var + momentum * var,
    )
