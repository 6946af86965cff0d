"""Cross-entropy between the softmax of the logits and the target: classification's loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES
from netwright.nn.losses._class_weights import ClassWeights, divisor, weights_beside, weights_of


@config
class CrossEntropyOptions:
    """How sure the target is, and how much each class counts."""

    smoothing: float = setting(
        0.0, ge=0, lt=1, help="share of the target spread over all classes", search=(0.0, 0.2)
    )
    class_weights: ClassWeights = setting(
        "none", help="weight of each class: none, balanced, or a list with one number a class"
    )


@LOSSES.register(
    "cross_entropy",
    options=CrossEntropyOptions,
    paper="Bridle 1990, Probabilistic interpretation of feedforward classification network "
    "outputs; smoothing: Szegedy et al. 2016, Rethinking the Inception architecture, sec. 7",
)
def cross_entropy(options: CrossEntropyOptions, class_counts: Sequence[int]) -> CrossEntropy:
    """Softmax cross-entropy with label smoothing and class weights.

    Logits (N, C, ...) and target (N, ...) to one number:

        p = softmax(logits)
        q = 1 - smoothing + smoothing/C for the target's class t, smoothing/C for the others
        loss = sum over samples of -sum_c w_c q_c log p_c, divided by the sum of w_t

    Without weights the gradient at a logit is (p_c - q_c) / N: as large as the answer is wrong, and
    never more than 1 / N. Without smoothing and weights the loss of a sample is -log p_t, the
    negative log-likelihood of its label. `class_weights=balanced` makes w_c = N / (C n_c) for a
    class of n_c training images. Raises `SettingError` for a list of weights that does not fit the
    classes.

    When to use it: one class of C, always first. Smoothing of 0.1 where labels are partly wrong or
    the network is far too sure; balanced weights where small classes matter as much as large ones.

    What goes wrong: a softmax at the end of the network is one too many: the loss of ten classes
    then cannot fall below 1.461, and training crawls (0.72 instead of 0.98 training accuracy in our
    measurement). With smoothing the best loss is not 0 but the entropy of q. Large class weights
    multiply the gradient of a few samples: lower the rate, or use `data.balance=oversample`, and
    not both. Wrong labels are fitted in the end with ever larger logits: stop early, or smooth.

    >>> import torch
    >>> loss = cross_entropy(CrossEntropyOptions(), [5, 5])
    >>> round(float(loss(torch.zeros(1, 2), torch.tensor([0]))), 4)  # -log(1/2)
    0.6931
    """
    return CrossEntropy(options.smoothing, weights_of(options.class_weights, class_counts))


class CrossEntropy(nn.Module):
    """-sum_c w_c q_c log softmax(logits)_c, divided by the weights of the targets in the batch.

    q is 1 - smoothing + smoothing/C for the target and smoothing/C for the others (Szegedy et
    al. 2016, "Rethinking the Inception architecture", section 7).
    """

    weights: Tensor | None

    def __init__(self, smoothing: float, weights: Tensor | None) -> None:
        super().__init__()
        self.smoothing = smoothing
        # Not part of a checkpoint: it follows from the data and the settings.
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = weights_beside(self, logits)
        return nn.functional.cross_entropy(
            logits, target, weight=weights, label_smoothing=self.smoothing
        )

    def divisor(self, target: Tensor) -> float:
        """What the sum over a batch is divided by: see `netwright.optim.accumulation`."""
        return divisor(self.weights, target)
