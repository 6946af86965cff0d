"""What the labels have to do with the inputs, told by a simple model of the data alone."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("neighbourhood")
@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """Neighbours are counted on at most 32 principal components; `chance` is what the same count
    gives with the labels dealt out anew, `z` the distance to it in standard deviations."""

    classes: int
    samples: int
    neighbours: int = 0
    tokens: bool = False
    """Whether samples are rows of tokens, compared by how often they have each: the order that
    they stand in is not seen."""
    agreement: float | None = None
    chance: float | None = None
    z: float | None = None
    single_z: float | None = None
    """The same for the one feature that differs most between the classes, by its variance."""
    val_samples: int = 0
    val_score: float | None = None
    """Share of validation samples whose label is the one most of their training neighbours have."""
    val_assigned: float | None = None
    """The same under the one-to-one mapping of labels that fits best."""
    val_chance: float | None = None
    mapping: tuple[tuple[int, int], ...] = ()
    """(label in the validation data, the one it has in the training data), where they differ."""
    val_agreement: float | None = None
    """Agreement within the validation data alone."""
    val_z: float | None = None
    noise: float | None = None
    """Share of labels that contradict, in the quarter of the samples in the purest surroundings."""
    noise_least: float | None = None
    """The lower end of its 95 % interval."""
    noise_samples: int = 0
    noise_spread: float | None = None
    """How evenly the contradicting labels are spread over the other classes, by their shares:
    chi-square over its degrees of freedom, about 1 for labels that were drawn at random, far above
    where one class borders on another. None for fewer than four classes or few contradictions."""
    noise_spread_bound: float | None = None
    """What that stays under by chance where they are spread evenly."""
    purity: float | None = None
    """How far the neighbours there are of one class."""
    suspects: tuple[tuple[int, int, int], ...] = ()
    """(sample, its label, the label of nearly all its neighbours)"""
    alone: int | None = None
    """The feature that tells the classes best on its own."""
    alone_score: float | None = None
    alone_close: int = 0
    """How many features are about as good, itself among them."""
    alone_group: tuple[int, ...] = ()
    """Which these are, the first sixteen."""
    overall: str = ""
    """The number of a whole sample ("mean", "spread", "largest" value) that tells the classes best
    on its own, where it explains nearly all labels and no single feature does."""
    overall_score: float | None = None
    alone_rest: float | None = None
    """The best score of the others."""
    rest_score: float | None = None
    """Share of samples that their neighbours name rightly without that feature, or with that number
    made equal, each left out in turn; where it explains nearly all labels."""
    majority: float | None = None
    """The share of the largest class."""
    features: int = 0
    fed_samples: int = 0
    """Samples of the first batch as the model got them, which are not those of the data set."""
    fed_score: float | None = None
    """Share of those whose label most of their neighbours among the samples as read have."""
    read_score: float | None = None
    """The same of the samples as read, each left out in turn."""
    plain_agreement: float | None = None
    """Agreement of the same samples without random augmentation, where they can be had."""
    plain_z: float | None = None
