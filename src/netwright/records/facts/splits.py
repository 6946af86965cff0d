"""Training held against validation: the same kind of samples, none of them the same ones?"""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("splits")
@dataclass(frozen=True, kw_only=True)
class Splits:
    """Samples of both splits as they are fed. `source` is "data" where they were read, "passing"
    where batches of the loop were kept as they went by (then nothing is known of labels)."""

    source: str = "data"
    kind: str = "unknown"
    train_samples: int = 0
    val_samples: int = 0
    train_total: int | None = None
    val_total: int | None = None
    complete: bool = False
    """Whether all of both was read."""
    train_range: tuple[float, float] = (0.0, 0.0)
    val_range: tuple[float, float] = (0.0, 0.0)
    train_dtype: str = ""
    val_dtype: str = ""
    auc: float | None = None
    """How well a linear classifier tells a validation sample from a training one, held out."""
    mean_gaps: tuple[float, ...] = ()
    """By channel (images) or feature: difference of the means, in standard deviations of the
    training data. Features that are mostly one value are left out."""
    spread_ratios: tuple[float, ...] = ()
    """Standard deviation of the validation data over that of the training data."""
    mean_correlation: float | None = None
    """Between the mean images of the two."""
    halves_correlation: float | None = None
    """Between the mean images of two halves of the training data."""
    channel_order: tuple[int, ...] = ()
    """The channel of the training data that each channel of the validation data is most like,
    where that is not itself."""
    order_gain: float = 0.0
    """How far off the mean images are as they stand, over how far in that order."""
    aligned_by: str = ""
    """What brings the two together best: "scale", "inverted", "channel order", "" for nothing."""
    aligned_auc: float | None = None
    turned: str = ""
    """Images and series: the flip or turn that validation needs for its nearest training samples
    to name it best; "" where it lies well."""
    score_turned: float | None = None
    """`score` after that."""
    additive_within: float | None = None
    """Tables: share of the variance of the targets (or of the classes) that a sum of functions of
    one feature each foretells in the half of training that it was not fitted on."""
    additive_score: float | None = None
    """The same, fitted on training, in validation."""
    additive_aligned: float | None = None
    """The same with the columns of validation in the order that fits best."""
    feature_order: tuple[int, ...] = ()
    """That order, by training feature the column of validation; () where they stand well."""
    beyond_feature: int | None = None
    beyond_share: float = 0.0
    """Tables: the largest share of validation samples that lie outside of all that training has of
    one feature, and the feature."""
    scale: float | None = None
    offset: float | None = None
    """training = scale x validation + offset, roughly."""
    score: float | None = None
    """Share of validation samples that their nearest training samples name rightly."""
    score_aligned: float | None = None
    score_within: float | None = None
    """The same within the training data, each sample left out in turn."""
    linear_score: float | None = None
    linear_aligned: float | None = None
    """The same as `score` and `score_aligned` by a linear classifier fitted on training."""
    score_error: float | None = None
    output_ratio: float | None = None
    """Root mean square of the network's outputs on a batch of validation over one of training, in
    evaluation mode, as the batches come."""
    leaked: int = 0
    """Validation samples that are training samples, bit for bit."""
    leaked_pairs: tuple[tuple[int, int], ...] = ()
    """(validation sample, training sample)"""
    leaked_score: float | None = None
    fresh_score: float | None = None
    """Share named rightly by the nearest training sample: of the leaked ones, and of the others."""
    near_score: float | None = None
    near_within: float | None = None
    """Share of the variance of numbers that the nearest training sample foretells: in validation,
    and within training, each left out in turn."""
    repeats_within: float = 0.0
    """Share of the training data that equals other training data."""
    neighbour_ratio: float | None = None
    """Median distance of validation samples to the nearest training sample, over that between
    training samples."""
    shifted: int = 0
    """Features (components of images) whose distributions differ."""
    compared: int = 0
    worst_feature: int | None = None
    worst_distance: float = 0.0
    """Largest Kolmogorov-Smirnov distance of a feature."""
    distance_bound: float = 0.0
    """What it would stay under by chance, all features taken together."""
    label_distance: float | None = None
    """Half the sum of the differences between the class shares."""
    label_bound: float | None = None
    unseen_classes: tuple[int, ...] = ()
    """Classes of the validation data that the training data do not have."""
    unseen_share: float = 0.0
