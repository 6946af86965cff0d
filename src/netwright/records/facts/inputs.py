"""What the inputs of the training data are like, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("inputs")
@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The samples that were read: `samples` of `total`, in the order they are fed.

    `kind` is "image", "features", "series", "tokens" or "unknown"; `shape` is of one sample, and
    `numbers` how many values that is. Samples and features count from 0.
    """

    kind: str = "unknown"
    shape: tuple[int, ...] = ()
    dtype: str = ""
    samples: int = 0
    total: int | None = None
    numbers: int = 0
    low: float | None = None
    high: float | None = None
    distinct: int | None = None
    """How many of the samples differ; None where more were read than can be remembered."""
    same_on_all: bool = False
    """Whether every sample is the same."""
    classes: int | None = None
    """Distinct labels, None where targets are no classes."""
    label_entropy: float | None = None
    """Of the labels, in nats: the loss of guessing."""
    sparse: float = 0.0
    """Share of a typical feature that is its most frequent value."""
    sparse_distinct: float | None = None
    """The same among samples that differ; None where it is not known."""
    dead: int = 0
    """Numbers of a sample that are the same in all that were read."""
    dead_first: tuple[int, ...] = ()
    dead_channels: tuple[int, ...] = ()
    """Channels of images that are the same everywhere."""
    awake: int = 0
    """Dead features that have other values in the validation data."""
    awake_first: tuple[int, ...] = ()
    awake_share: float = 0.0
    """The share of validation samples with such a value."""
    bad_inputs: int = 0
    bad_first: tuple[int, ...] = ()
    """Samples with a value that is not finite."""
    bad_validation: int = 0
    bad_targets: int = 0
    bad_targets_first: tuple[int, ...] = ()
    bad_fed: bool = False
    """Whether the model itself got one in its first batches."""
    bad_output: bool | None = None
    """Whether the model's output is not finite on such a sample; None where not tried."""
    repeats: int = 0
    """Samples that equal an earlier one."""
    repeated_pairs: tuple[tuple[int, int], ...] = ()
    conflicts: int = 0
    """Of those, how many have another label than the earlier one."""
