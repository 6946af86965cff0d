"""What arrives at the first layer with weights, and what it makes of it at the start."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class ScaleTrial:
    """Steps on the first batch as it is, and as often on the same batch standardised; loss at the
    start of each and the least of the last steps, infinite where it was not finite."""

    steps: int
    raw_start: float
    raw_end: float
    scaled_start: float
    scaled_end: float


@fact("first-layer")
@dataclass(frozen=True, kw_only=True)
class FirstLayer:
    """`layer` is its path, `operation` torch's word; `normaliser` the norm before it, and
    `normalised_after` the one that comes before any activation, "" where there is none."""

    layer: str
    operation: str
    normaliser: str = ""
    normalised_after: str = ""
    low: float = 0.0
    high: float = 0.0
    input_rms: float = 0.0
    value_rms: float = 0.0
    """Of those of its values that are not 0: one-hot rows have 1."""
    output_rms: float = 0.0
    """Without the bias."""
    design: float = 0.0
    """What that is expected to be on inputs of mean 0 and variance 1: the root of the mean of
    |w|^2 over the units."""
    features: int = 0
    """Channels of a convolution, numbers of a linear layer."""
    sparse: float = 0.0
    """Share of the values that are the most frequent one of their feature, over a typical one."""
    std_least: float | None = None
    std_most: float | None = None
    """The least and the largest standard deviation of features that are not mostly one value."""
    least: int | None = None
    most: int | None = None
    condition: float | None = None
    """Condition number of E[x x^T] over those features."""
    condition_scaled: float | None = None
    """The same once every feature has mean 0 and variance 1."""
    trial: ScaleTrial | None = None

    @property
    def ratio(self) -> float | None:
        """Of the output to what it is designed for."""
        return self.output_rms / self.design if self.design > 0 else None

    @property
    def std_ratio(self) -> float | None:
        if self.std_least is None or self.std_most is None or self.std_least <= 0:
            return None
        return self.std_most / self.std_least
