"""Layer, group and instance normalisation: means within one sample, whatever the batch."""

from __future__ import annotations

import math

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._standardise import all_but_channels, scale_and_shift, standardise


@BY_HAND.register("layer_norm", paper="Ba, Kiros & Hinton 2016, Layer normalization, sec. 3")
def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    normalized_shape: tuple[int, ...],
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Layer normalisation: each sample by its mean and spread over the last axes.

    x (..., *normalized_shape); weight and bias have `normalized_shape`: a scale for each *element*,
    not for each channel; y is like x. With xhat = (x - mean) / sqrt(var + eps), var biased:

        y = weight xhat + bias

    Backward: within each sample as in `batch_norm`, where g = weight dy and the means are over the
    values of the sample:

        dx      = (g - mean(g) - xhat mean(g xhat)) / sqrt(var + eps)
        dweight = sum of dy xhat over the samples        dbias = sum of dy over the samples

    weight stands inside the means, for it differs from element to element; in `batch_norm` it is
    one number for all of them and can be taken out.

    What goes wrong: on maps (N, C, H, W) it is C H W numbers if the whole map is meant, C if a
    transformer's last axis is: two different layers of one name. `group_norm` with one group has
    the means of the first and C weights. Raises `SettingError` if x does not end in the shape.

    >>> import numpy as np
    >>> x = np.array([[1.0, 3.0], [5.0, 5.0]])
    >>> y, backward = layer_norm(x, normalized_shape=(2,), eps=1e-12)
    >>> y.round(3)
    array([[-1.,  1.],
           [ 0.,  0.]])
    >>> backward(np.array([[1.0, 1.0], [0.0, 0.0]]))[0].round(3)  # a shift of all changes nothing
    array([[0., 0.],
           [0., 0.]])
    """
    count = len(normalized_shape)
    if x.shape[x.ndim - count :] != tuple(normalized_shape):
        raise SettingError(
            "layer_norm: an array of shape {shape} does not end in {wanted}.",
            shape=x.shape,
            wanted=tuple(normalized_shape),
        )
    last = tuple(range(x.ndim - count, x.ndim))
    samples = tuple(range(x.ndim - count))
    return scale_and_shift(*standardise(x, last, eps), weight, bias, samples)


@BY_HAND.register("group_norm", paper="Wu & He 2018, Group normalization, sec. 3.1")
def group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    num_groups: int,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Group normalisation: each group of channels of a sample by its own mean and spread.

    x (N, C, ...), weight and bias (C,), y like x. The C channels are cut into `num_groups` runs of
    neighbours; mean and var (biased) are over a run and all positions.

    Backward: that of `standardise` within each run, with g = weight dy in it, and

        dweight = sum of dy xhat        dbias = sum of dy        over samples and positions

    One group is layer normalisation over (C, H, W), as many groups as channels are `instance_norm`.

    What goes wrong: weight and bias belong to channels, means to groups, so a shift of one channel
    is not undone. Raises `SettingError` unless the groups divide the channels.

    >>> import numpy as np
    >>> x = np.array([[[1.0], [3.0], [10.0], [30.0]]])  # one sample, four channels
    >>> y, backward = group_norm(x, num_groups=2, eps=1e-12)
    >>> y.ravel().round(3)
    array([-1.,  1., -1.,  1.])
    """
    n, channels = x.shape[:2]
    if channels % num_groups:
        raise SettingError(
            "{channels} channels cannot be cut into {num_groups} groups of one size.",
            channels=channels,
            num_groups=num_groups,
        )
    runs, to_runs = standardise(x.reshape(n, num_groups, -1), (2,), eps)

    def to_x(dxhat: Array) -> tuple[Array]:
        return (to_runs(dxhat.reshape(runs.shape))[0].reshape(x.shape),)

    return scale_and_shift(runs.reshape(x.shape), to_x, weight, bias, all_but_channels(x))


@BY_HAND.register(
    "instance_norm", paper="Ulyanov, Vedaldi & Lempitsky 2016, Instance normalization"
)
def instance_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float = 1e-5
) -> tuple[Array, Backward]:
    """Instance normalisation: each map of each sample by its own mean and spread.

    x (N, C, ...), weight and bias (C,), y like x; mean and var (biased) over the positions of one
    map. It is `group_norm` with a group for each channel.

    Backward: that of `group_norm`, and since all values of a map share their weight,

        dx = weight / sqrt(var + eps) (dy - mean(dy) - xhat mean(dy xhat))    means over one map

    What goes wrong: a map of one pixel has no spread (`SettingError`). The mean of every map of y
    is its bias: whatever is averaged over the map behind it, without an activation between, is the
    same for every image, and no gradient comes back.

    >>> import numpy as np
    >>> x = np.array([[[1.0, 3.0], [10.0, 30.0]]])  # one sample, two channels of two places
    >>> y, backward = instance_norm(x, eps=1e-12)
    >>> y[0].round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    if math.prod(x.shape[2:]) < 2:
        raise SettingError("instance_norm: a map of one value has no spread; it needs two or more.")
    return group_norm(x, weight, bias, num_groups=x.shape[1], eps=eps)
