"""Parameters and multiply-adds of single layers.

A multiply-add (MAC) is one product added to a sum, counted in contractions alone; taps on padding
count, biases, norms and softmax do not. FLOPs are twice that. Everything is for one sample: a
batch of B costs B times the multiply-adds and no more parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.core.errors import SettingError

CONVENTION = "FLOPs = 2 * multiply-adds; biases, norms, activations and pools are not counted"


def conv_params(
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int],
    *,
    groups: int = 1,
    bias: bool = True,
) -> int:
    """k_h k_w (C_in / G) C_out weights and C_out biases; dilation changes nothing, and a
    transposed convolution has as many.

    >>> conv_params(3, 64, (7, 7), bias=False), conv_params(32, 32, (3, 3), groups=32)
    (9408, 320)
    """
    check_groups(in_channels, out_channels, groups)
    weights = math.prod(kernel_size) * in_channels // groups * out_channels
    return weights + (out_channels if bias else 0)


def conv_macs(
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int],
    positions: Sequence[int],
    *,
    groups: int = 1,
) -> int:
    """Positions times weights. The positions are those of the output, and of the *input* for a
    transposed convolution.

    >>> conv_macs(3, 64, (7, 7), (112, 112))
    118013952
    """
    weights = conv_params(in_channels, out_channels, kernel_size, groups=groups, bias=False)
    return math.prod(positions) * weights


def check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Raise `SettingError` where the channels cannot be split in so many groups."""
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            near = (
                [n for n in range(1, channels + 1) if channels % n == 0] if channels < 9999 else []
            )
            raise SettingError(
                "{name}={channels} cannot be split into groups={groups}.",
                hint="It must divide both channel counts. {channels} is divided by {near}."
                if near
                else "",
                name=name,
                channels=channels,
                groups=groups,
                near=", ".join(map(str, near)),
            )


def linear_params(in_features: int, out_features: int, *, bias: bool = True) -> int:
    """n_in n_out weights and n_out biases.

    >>> linear_params(512, 1000)
    513000
    """
    return in_features * out_features + (out_features if bias else 0)


def linear_macs(in_features: int, out_features: int, *, positions: int = 1) -> int:
    """n_in n_out for each position it is applied to."""
    return positions * in_features * out_features


def embedding_params(num_embeddings: int, embedding_dim: int) -> int:
    """V D. Looking a row up multiplies nothing."""
    return num_embeddings * embedding_dim


def attention_params(
    embed_dim: int, *, kdim: int | None = None, vdim: int | None = None, bias: bool = True
) -> int:
    """The four projections of `torch.nn.MultiheadAttention`; the number of heads plays no part.

    Queries and the result E E each, keys E kdim, values E vdim, and four biases of E.

    >>> attention_params(512)
    1050624
    """
    kdim = embed_dim if kdim is None else kdim
    vdim = embed_dim if vdim is None else vdim
    weights = embed_dim * (embed_dim + kdim + vdim + embed_dim)
    return weights + (4 * embed_dim if bias else 0)


def attention_macs(
    embed_dim: int,
    length: int,
    *,
    source: int | None = None,
    kdim: int | None = None,
    vdim: int | None = None,
) -> int:
    """Projections of L queries, S keys and S values, both products of L S E, and the projection
    of the result. A causal mask does not halve them: they are computed and thrown away.

    >>> attention_macs(512, 10)
    10588160
    """
    source = length if source is None else source
    kdim = embed_dim if kdim is None else kdim
    vdim = embed_dim if vdim is None else vdim
    projections = embed_dim * (length * embed_dim + source * (kdim + vdim) + length * embed_dim)
    return projections + 2 * length * source * embed_dim
