"""What the loss is, and what goes into it, as the autograd graph of the first batches tells."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("objective")
@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss of the first batches.

    `kind` is torch's word for it (`cross_entropy`, `nll_loss`, `mse_loss`, `l1_loss`,
    `smooth_l1_loss`, `huber_loss`, `binary_cross_entropy`, `binary_cross_entropy_with_logits`,
    `kl_div`, ...), "unknown" for one that is put together by hand. `terms` counts the losses that
    are summed. `input_shape` and `target_shape` are of the loss's input, batch first.
    """

    kind: str = "unknown"
    terms: int = 1
    input_shape: tuple[int, ...] = ()
    target_shape: tuple[int, ...] = ()
    target_dtype: str = ""
    classes: int | None = None
    """How many the input of the loss has room for, for losses over classes."""
    before: tuple[str, ...] = ()
    """Operations between the last layer with weights and the loss, nearest to the loss first,
    by torch's word (`softmax`, `log_softmax`, `sigmoid`, `relu`, `tanh`, `view`, ...)."""
    attached: bool = True
    """Whether the loss has a gradient."""
    losses: tuple[float, ...] = ()
    """Its first values, in training mode, before any step, one for each batch looked at."""
    constant: float | None = None
    """What the best constant prediction gives on the same targets: the entropy of the class
    shares, the variance of the target, its mean absolute deviation."""
    floor: float | None = None
    """The smallest value it can take on what goes into it now, where arithmetic knows one."""
    floor_formula: str = ""
    input_min: float = 0.0
    input_max: float = 0.0
    rows_sum_to_one: float = 0.0
    """The share of rows of its input (over the class axis) that sum to 1 and are not negative."""
    rows_logsumexp_zero: float = 0.0
    """The share of rows that are log-probabilities."""
    broadcast: bool = False
    """Input and target have different shapes, and an elementwise loss spread one over the other."""
    smoothing: float = 0.0
    weighted: bool = False

    @property
    def first_loss(self) -> float | None:
        return self.losses[0] if self.losses else None
