"""Parity: whether a file computes what the network does, on real images.

The images go through both in batches of 1, 2 and 7 by turns, so that a batch size that was baked
into the file is found out. The bound is relative to the size of the logits: float32 sums come out
in another order in another program, and differ in about the sixth digit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from netwright.export.formats import Runner

BATCHES = (1, 2, 7)
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a file and its network are apart on `images` images.

    `max_abs_logits` and `max_abs_probability` are the largest differences of any output,
    `largest_logit` the largest logit of the network in absolute value, `agree` the images for
    which both name the same class first.
    """

    images: int
    batches: tuple[int, ...]
    max_abs_logits: float
    max_abs_probability: float
    largest_logit: float
    agree: int

    @property
    def bound(self) -> float:
        """What `max_abs_logits` may be: 1e-4 of the largest logit."""
        return TOLERANCE * self.largest_logit

    @property
    def holds(self) -> bool:
        """Whether the file computes what the network does; never where a number is NaN."""
        return self.max_abs_logits <= self.bound and self.max_abs_probability <= TOLERANCE

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "batches": list(self.batches),
            "max_abs_logits": self.max_abs_logits,
            "max_abs_probability": self.max_abs_probability,
            "largest_logit": self.largest_logit,
            "bound": self.bound,
            "agree": self.agree,
            "holds": self.holds,
        }


def compare(network: Runner, file: Runner, images: Tensor) -> Parity:
    """Both on all `images` (N, C, H, W), batch by batch.

    >>> def logits(images):
    ...     found = images.flatten(1).float()
    ...     return found, found.softmax(1)
    >>> parity = compare(logits, logits, torch.arange(24).view(6, 1, 2, 2))
    >>> parity.max_abs_logits, parity.agree, parity.batches, parity.holds
    (0.0, 6, (1, 2, 3), True)
    """
    sizes, parts = [], []
    for batch in _batches(images):
        sizes.append(len(batch))
        parts.append((*network(batch), *file(batch)))
    logits, probabilities, their_logits, their_probabilities = (
        torch.cat(each).double() for each in zip(*parts, strict=True)
    )
    return Parity(
        images=len(images),
        batches=tuple(sorted(set(sizes))),
        max_abs_logits=_largest(their_logits - logits),
        max_abs_probability=_largest(their_probabilities - probabilities),
        largest_logit=_largest(logits),
        agree=int((their_logits.argmax(1) == logits.argmax(1)).sum()),
    )


def _batches(images: Tensor) -> Iterator[Tensor]:
    start = 0
    for size in itertools.cycle(BATCHES):
        if start >= len(images):
            return
        yield images[start : start + size]
        start += size


def _largest(values: Tensor) -> float:
    return float(values.abs().max())  # NaN if one is
