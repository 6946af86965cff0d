"""Normalisation of feature maps by name: over what each one takes its mean and its spread.

Every one computes y = (x - mean) / sqrt(var + eps) * weight + bias, with a weight and a bias for
each channel, on maps (N, C, H, W). They differ in the values that share a mean:

    batch     one channel, all samples of the batch     Ioffe & Szegedy 2015
    layer     one sample, all channels                  Ba, Kiros & Hinton 2016
    group     one sample, an eighth of the channels     Wu & He 2018, Group normalization
    instance  one sample, one channel                   Ulyanov, Vedaldi & Lempitsky 2016
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from torch import nn

NormName: TypeAlias = Literal["batch", "layer", "instance", "group", "none"]


def normalisation(name: NormName | None, channels: int, *, eps: float = 1e-5) -> nn.Module:
    """A fresh norm over maps of `channels` channels; `nn.Identity` for "none" (or None).

    `layer` is one group of all channels, as Wu & He (section 3.1) describe it: it needs no
    fixed height and width. `group` makes 8 groups, fewer where 8 does not divide the channels;
    maps of 8 channels make it an instance norm.

    Not to be taken lightly: batch norm depends on the other samples of a batch and is poor below
    about 8 of them; instance norm needs maps of more than one pixel.

    >>> normalisation("group", 64).num_groups, normalisation("layer", 64).num_groups
    (8, 1)
    """
    if name == "batch":
        return nn.BatchNorm2d(channels, eps=eps)
    if name == "layer":
        return nn.GroupNorm(1, channels, eps=eps)
    if name == "group":
        return nn.GroupNorm(math.gcd(8, channels), channels, eps=eps)
    if name == "instance":
        return nn.InstanceNorm2d(channels, eps=eps, affine=True)
    return nn.Identity()


def normalises(name: NormName | None) -> bool:
    """Whether a norm of this name shifts what it gets, so that a bias before it is idle.

    YAML may say none or null: both mean no norm.
    """
    return name not in (None, "none")
