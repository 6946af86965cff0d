"""Normalisation layers: what is averaged over, what is learned, what is only remembered.

For x of shape (N, C, H, W) the mean and the variance are taken over (N, H, W) for each channel in
batch norm, (C, H, W) for each sample in layer norm, (H, W) for each sample and channel in instance
norm, and (H, W) and C/G channels in group norm (Ba et al. 2016; Ulyanov et al. 2016; Wu & He 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netwright.core.errors import SettingError

KINDS = ("batch", "layer", "group", "instance")


@dataclass(frozen=True, kw_only=True)
class NormFacts:
    """`params` are learned, `buffers` remembered; each mean is over `averaged` values, which lie
    along `axes`, and there are `means` of them."""

    params: int
    buffers: int
    averaged: int
    means: int
    axes: str


def norm_facts(
    kind: str,
    channels: int,
    positions: Sequence[int] = (),
    *,
    batch: int = 1,
    groups: int = 1,
    affine: bool = True,
    track: bool | None = None,
) -> NormFacts:
    """What a norm of `kind` is over (batch, channels, *positions).

    Layer norm is over the last axis of a sequence when there are no positions, and learns a scale
    and a shift for each value it is over; the others for each channel. `track` (running
    statistics and a counter) is torch's default: on in batch norm alone.

    >>> norm_facts("batch", 64, (8, 8), batch=32)
    NormFacts(params=128, buffers=129, averaged=2048, means=64, axes='(N, H, W)')
    """
    if channels % groups:
        raise SettingError(
            "{name}={channels} cannot be split into groups={groups}.",
            name="channels",
            channels=channels,
            groups=groups,
        )
    spatial = math.prod(positions)
    letters = ", ".join("DHW"[-len(positions) :]) if positions else ""
    within = {
        "batch": (batch * spatial, channels, f"(N, {letters})"),
        "layer": (channels * spatial, batch, f"(C, {letters})"),
        "group": (channels // groups * spatial, batch * groups, f"(C/G, {letters})"),
        "instance": (spatial, batch * channels, f"({letters})"),
    }
    averaged, means, axes = within[kind]
    learned = channels * spatial if kind == "layer" else channels
    remembers = kind == "batch" if track is None else track
    return NormFacts(
        params=2 * learned if affine else 0,
        buffers=2 * channels + 1 if remembers else 0,
        averaged=averaged,
        means=means,
        axes=axes.replace(", )", ")"),
    )
