"""What the loss is, and what goes into it, as the autograd graph of the first batches tells."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class TermFact:
    """One loss among those that are summed; fields are those of `Objective`, of this term alone.

    `low` and `high` are the least and the largest value its input can take, found by driving what
    the last weights give far up and down; None where there is no bound, or it was not measured.
    """

    kind: str = "unknown"
    by_hand: bool = False
    reduction: str = "mean"
    input_shape: tuple[int, ...] = ()
    target_shape: tuple[int, ...] = ()
    target_dtype: str = ""
    classes: int | None = None
    before: tuple[str, ...] = ()
    driven: bool = False
    """Whether `low`, `high` and `always_one` were measured."""
    low: float | None = None
    high: float | None = None
    always_one: bool = False
    """The rows of its input sum to 1 whatever the last weights give."""
    value: float = 0.0
    """The term's first value, as a mean."""
    factor: float | None = None
    """What the loss is, over this term; None where there is more between them."""
    constant: float | None = None
    """What the best constant prediction gives, as a mean."""
    least: float | None = None
    """What a free prediction could reach on these targets: 0 for hard labels."""
    floor: float | None = None
    floor_formula: str = ""
    input_min: float = 0.0
    input_max: float = 0.0
    input_std: float = 0.0
    input_mean: float = 0.0
    target_min: float | None = None
    target_max: float | None = None
    target_std: float | None = None
    target_mean: float | None = None
    target_distinct: int | None = None
    """How many different values the target holds; None for more than 64."""
    target_columns_alike: bool = False
    """Whether every unit of a sample is given the same number."""
    target_whole: bool = False
    """Whether all of them are whole numbers."""
    target_outside: float = 0.0
    """The share of targets outside `low` .. `high`."""
    target_sums: float | None = None
    """The mean sum of a target's row over classes, where it has such rows."""
    target_sums_to_one: float = 0.0
    rows_sum_to_one: float = 0.0
    rows_logsumexp_zero: float = 0.0
    broadcast: str = ""
    """How an elementwise loss pairs the samples of input and target: "" one with one, "crossed"
    each with all others', "spread" a smaller one repeated within its sample."""
    smoothing: float = 0.0
    weighted: bool = False
    ignore_index: int | None = None
    in_use: int = 0
    """Targets that are not ignored."""


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
    factor: float | None = None
    """What the loss is, over the mean of its one term (accumulation, a sum in place of a mean)."""
    least: float | None = None
    """What a free prediction could reach on the same targets."""
    parts: tuple[TermFact, ...] = ()
    """Every term by itself, in the order of the tape."""
    opaque: bool = False
    """Whether the functions inside the model could not be listened to."""

    @property
    def first_loss(self) -> float | None:
        return self.losses[0] if self.losses else None
