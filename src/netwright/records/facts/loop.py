"""The order in which a loop does things: backward, step, clear, evaluate."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("loop")
@dataclass(frozen=True, kw_only=True)
class Loop:
    """Counts since the watch began; `looked` is how many of the steps were looked at closely."""

    steps: int = 0
    ended: bool = False
    """Whether the loop has come to its own end: no crash, and nobody cut it short."""
    backwards: int = 0
    looked: int = 0
    stale_starts: int = 0
    """Backwards that began with a gradient in place although a step ran since the last one."""
    stale_excess: float | None = None
    """Norm of (stored gradient - fresh gradient) over that of the fresh one, where it was tried."""
    stale_checked: int = 0
    """Steps for which it is known whether the gradients had been cleared before."""
    steps_without_backward: int = 0
    """Steps with the very gradients of the one before: a second step on one batch."""
    heard: int | None = None
    """Steps of which it is known what their gradients were before: all, or a sample of them."""
    empty_steps: int = 0
    """Steps without any gradient, though a backward had just given one."""
    probes_moved: bool = True
    """Whether some parameters of the optimizers have other values than when the watch began."""
    double_backwards: int = 0
    """Backwards on the very loss of the one before."""
    backwards_heard: int | None = None
    """Backwards of which it is known whether they were that: all, or those of a sample of steps."""
    cleared_backwards: int = 0
    """Backwards whose gradients were cleared before any step had read them."""
    told_backwards: int = 0
    """Backwards of which it is known what became of their gradients."""
    idle_backwards: int = 0
    """The longest row of backwards without a step."""
    unchanged_steps: int = 0
    """Looked-at steps after which every parameter with a gradient that is not 0 was the same."""
    changed_steps: int = 0
    unchanged_names: tuple[str, ...] = ()
    training_forwards_in_eval: int = 0
    """Forwards in evaluation mode whose loss was stepped on, of a model with dropout or norms."""
    evaluation_forwards_in_training: int = 0
    """Forwards without gradients in training mode, of such a model."""
    left_in_eval_since: int | None = None
    """The step from which on all training was in evaluation mode, having been in training mode
    before."""
    evaluation_blocks: int = 0
    """Runs of two or more forwards without gradients, between steps."""
    evaluation_blocks_in_training: int = 0
    """Those of which every forward was in training mode."""
    evaluation_forwards_in_blocks: int = 0
    running_statistics: bool = False
    """Whether a norm keeps statistics that a forward in training mode changes."""
    mode_sensitive: tuple[str, ...] = ()
    """Kinds of modules that act otherwise in the two modes."""
    training_forwards: int = 0
    """Forwards with gradients, of the part that is called most often."""
    evaluation_forwards: int = 0
    kept_steps: float | None = None
    """Of a step, in the median, what was still there when the next forward pass began: 1 where
    nobody touches the weights between."""
    kept_looks: int = 0
    """Steps of which that is known."""
    aside: float = 0.0
    """How far somebody moved the weights between a step and the next forward pass, over the length
    of the step, in the median."""
    aside_along: float = 0.0
    """The cosine between that move and the weights: -1 where it shrinks them."""
    lost_gradients: float = 0.0
    """Entries of the gradient, of those that a backward gave, that were 0 at the step; the median
    of the looks."""
    never_graded: tuple[str, ...] = ()
    """Trainable parameters that had no gradient at any step looked at."""
    zero_graded: tuple[str, ...] = ()
    """Trainable parameters whose gradient was exactly 0 at every step looked at."""
    not_held: tuple[str, ...] = ()
    """Trainable parameters of the model with a gradient, which no optimizer holds."""
    not_in_model: int = 0
    """Tensors an optimizer holds that are not in the model, and get no gradient."""
    held: int = 0
    """Tensors that the optimizers hold."""
    unregistered: int = 0
    """Leaves of the graph that get a gradient and are in no module."""
    unregistered_held: bool = False
    """Whether an optimizer holds those."""
    repeated_batches: int = 0
    """Batches that equal one seen before within the epoch."""
    distinct_batches: int = 0
    scaler_halvings: int = 0
    scaler_skips: int = 0
    clip_calls: int = 0
    clip_limit: float | None = None
    clipped: int = 0
    scheduler_steps: int = 0
    scheduler_before_optimizer: bool = False
    loss_held_bytes: int = 0
    graph_growth: float | None = None
    """Growth of resident memory, in bytes a step, over the later half of the steps."""
    resident_bytes: int = 0
    wait_share: float | None = None
    """Share of the time that was spent waiting for batches."""
    misread_looks: int = 0
    """Steps looked at with an argmax over the batch axis of the logits, compared with labels."""
    misread_sizes: tuple[int, int] = (0, 0)
    """How many predictions that gave, and how many labels there were."""
