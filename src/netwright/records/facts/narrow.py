"""The narrowest place of a network: what all that it knows passes through."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("narrow")
@dataclass(frozen=True, kw_only=True)
class Narrow:
    """`layer` puts out `width` numbers for a sample, fewer than any other; with these replaced by
    their mean over the batch all outputs are equal to `spread` of their size, so that nothing goes
    round it. `inputs` and `outputs` are the numbers of a sample that go in and come out."""

    layer: str
    width: int
    inputs: int
    outputs: int
    spread: float
    classes: bool
    """Whether the outputs are scores of classes that exclude each other."""
    copies: bool = False
    """Whether the target is what goes in, as for an autoencoder."""
