"""One line for each epoch: training and validation, as the loop itself saw them."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class EpochFact:
    """`train_loss` is the mean over the epoch's batches, `val_loss` that of the forwards without
    gradient that followed; scores are of classes, 0 to 1. None where nothing was seen."""

    epoch: int
    step: int
    train_loss: float | None = None
    train_score: float | None = None
    val_loss: float | None = None
    val_loss_error: float | None = None
    """The standard error of `val_loss`, over its batches."""
    val_score: float | None = None
    val_samples: int = 0
    val_least_score: float | None = None
    """The score that the loss itself proves at the least, where it is a plain cross-entropy of the
    samples that were scored: a wrong answer costs ln 2 or more."""
    val_labels: tuple[int, ...] = ()
    """Labels of each class that the evaluation came by, up to a hundred classes; () unknown."""
    val_hits: tuple[int, ...] = ()
    """Of those, how many were answered rightly."""
    used: bool = True
    """Whether anything was computed from what these forwards gave: a pass that gathers the running
    statistics of norms judges nothing."""
    val_across: bool = False
    """Whether predictions were taken along the axis of the samples."""
    val_broadcast: bool = False
    """Whether predictions (N,) were compared with labels (N, 1), or the reverse: each with all."""
    val_single: bool = False
    """Whether predictions are the place of the largest of one score, which is always 0."""
    val_sampled: bool = False
    """Whether the very same input was run through the model again, as to draw several answers."""


@fact("epochs")
@dataclass(frozen=True, kw_only=True)
class Epochs:
    epochs: tuple[EpochFact, ...] = ()
