"""Negative log-likelihood: for a network whose outputs are log-probabilities already."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.nn.losses import LOSSES
from netwright.nn.losses._class_weights import ClassWeights, divisor, weights_beside, weights_of


@config
class NLLOptions:
    """What the outputs are, and how much each class counts."""

    log_softmax: bool = setting(
        True, help="take the log-softmax of the outputs; changes nothing if they have had it"
    )
    class_weights: ClassWeights = setting(
        "none", help="weight of each class: none, balanced, or a list with one number a class"
    )


@LOSSES.register(
    "nll",
    options=NLLOptions,
    paper="Fisher 1922, On the mathematical foundations of theoretical statistics",
)
def nll(options: NLLOptions, class_counts: Sequence[int]) -> NLL:
    """Negative log-likelihood: -w_t log p_t, the mean over the batch by weights.

    Outputs (N, C, ...), which are log p, and target t (N, ...) to one number. With `log_softmax`
    they may be logits too, and it is `cross_entropy`: log-softmax twice is log-softmax once.
    Without it the first batch is looked at, and outputs that are no log-probabilities raise
    `SettingError`.

    When to use it: for a network that ends in `LogSoftmax`.

    What goes wrong: without log-softmax anywhere the loss has no lower bound, and training only
    makes the outputs larger. On probabilities instead of their logarithms it lies in [-1, 0] and
    hardly moves.

    >>> import torch
    >>> loss = nll(NLLOptions(log_softmax=False), [5, 5])
    >>> round(float(loss(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0]))), 4)  # log(4)
    1.3863
    """
    return NLL(options.log_softmax, weights_of(options.class_weights, class_counts))


class NLL(nn.Module):
    """-w_t log p_t, divided by the weights of the targets in the batch."""

    weights: Tensor | None

    def __init__(self, log_softmax: bool, weights: Tensor | None) -> None:
        super().__init__()
        self.log_softmax = log_softmax
        self.register_buffer("weights", weights, persistent=False)
        self._looked = log_softmax  # one look costs a wait for the device: not in every step

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        weights = weights_beside(self, outputs)
        if not self._looked:
            self._look(outputs)
        log_p = outputs.log_softmax(1) if self.log_softmax else outputs
        return nn.functional.nll_loss(log_p, target, weight=weights)

    def divisor(self, target: Tensor) -> float:
        """What the sum over a batch is divided by: see `netwright.optim.accumulation`."""
        return divisor(self.weights, target)

    def _look(self, outputs: Tensor) -> None:
        furthest = float(outputs.detach().logsumexp(1).abs().max())
        if not furthest < 0.05:  # rounding of half-precision outputs stays below
            raise SettingError(
                "loss=nll: the outputs of the network are no log-probabilities: "
                "their exponentials do not sum to 1.",
                hint="Set loss.log_softmax=true, or end the network in LogSoftmax.",
            )
        self._looked = True
