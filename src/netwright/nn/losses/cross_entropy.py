"""Cross-entropy between the softmax of the logits and the target: classification's loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES
from netwright.nn.losses._class_weights import ClassWeights, divisor, on_device, weights_of


@config
class CrossEntropyOptions:
    """How sure the target is, and how much each class counts."""

    smoothing: float = setting(
        0.0, ge=0, lt=1, help="share of the target spread over all classes", search=(0.0, 0.2)
    )
    class_weights: ClassWeights = setting(
        "none", help="weight of each class: none, balanced, or a list with one number a class"
    )


@LOSSES.register("cross_entropy", options=CrossEntropyOptions)
def cross_entropy(options: CrossEntropyOptions, class_counts: Sequence[int]) -> CrossEntropy:
    """Softmax cross-entropy with label smoothing and class weights.

    Raises `SettingError` for a list of weights that does not fit the classes.

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
        self.weights = on_device(self.weights, logits)
        return nn.functional.cross_entropy(
            logits, target, weight=self.weights, label_smoothing=self.smoothing
        )

    def divisor(self, target: Tensor) -> float:
        """What the sum over a batch is divided by: see `netwright.optim.accumulation`."""
        return divisor(self.weights, target)
