"""Softmax with cross-entropy: the loss of classification, whose gradient is p - q."""

from __future__ import annotations

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward, Places
from netwright.nn.by_hand.softmax_alone import log_softmax


@BY_HAND.register(
    "cross_entropy",
    paper="Bridle 1990; smoothing: Szegedy et al. 2016, Rethinking the Inception architecture, "
    "sec. 7",
)
def cross_entropy(
    logits: Array,
    target: Places,
    *,
    weight: Array | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Array, Backward]:
    """Cross-entropy of softmax: the mean of -log p_t, the surprise at the true class t.

    logits (N, C, ...), target (N, ...) whole numbers below C, weight (C,) for the classes; y is one
    number (an array without axes). With p = softmax(logits) over C, s the smoothing and q = 1 - s +
    s/C at t and s/C elsewhere:

        y = sum over samples of -sum_c w_c q_c log p_c, divided by D = sum over samples of w_t

    Without weights and smoothing this is the mean of -log p_t: minus the log-likelihood of the
    labels, and the Kullback-Leibler divergence from q to p, for the entropy of q is then 0.

    Backward: d log p_c / d x_k = delta_ck - p_k, so for one sample

        dx_k = -sum_c w_c q_c (delta_ck - p_k) / D = (p_k sum_c w_c q_c - w_k q_k) / D

    and without weights, where sum_c q_c = 1, simply

        dx = (p - q) / N

    Two factors that cancel are why the pair belongs together: -1 / p_t of the logarithm and
    p_t (1 - p_t) of softmax. The gradient is as large as the answer is wrong, and never saturates.

    What goes wrong: these are logits; a softmax before it is one too many: p is then between
    1 / (e + C - 1) and e / (e + C - 1), and the loss of ten classes cannot fall below 1.461.
    The mean is weighted, by w_t, also when smoothing takes part of q elsewhere. Targets have no
    gradient. Raises `SettingError` for a target that is no class.

    >>> logits = np.array([[0.0, np.log(3.0)]])  # p = 1/4, 3/4
    >>> y, backward = cross_entropy(logits, np.array([0]))
    >>> round(float(y), 4), backward(np.array(1.0))[0]  # log 4, and p - (1, 0)
    (1.3863, array([[-0.75,  0.75]]))
    """
    classes = logits.shape[1]
    if target.size and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise SettingError(
            "cross_entropy: the targets go from {low} to {high}, and {classes} classes are 0 to "
            "{last}.",
            low=int(target.min()),
            high=int(target.max()),
            classes=classes,
            last=classes - 1,
        )
    weights = np.ones(classes) if weight is None else weight
    one_hot = np.moveaxis(np.eye(classes)[target], -1, 1)
    q = (1 - label_smoothing) * one_hot + label_smoothing / classes
    wq = weights.reshape(1, classes, *[1] * (logits.ndim - 2)) * q
    divisor = weights[target].sum()
    log_p, _ = log_softmax(logits)
    y = -(wq * log_p).sum() / divisor

    def backward(dy: Array) -> tuple[Array]:
        return (dy * (np.exp(log_p) * wq.sum(axis=1, keepdims=True) - wq) / divisor,)

    return np.asarray(y), backward
