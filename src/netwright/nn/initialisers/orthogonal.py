"""Orthogonal initialisation: a rotation, which lengthens and shortens nothing."""

from __future__ import annotations

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.initialisers import INITIALISERS, Fans, Gain


@config
class OrthogonalOptions:
    """The length that every direction is given."""

    gain: Gain = setting("auto", help="factor of the rotation; auto: matched to the activation")


@INITIALISERS.register(
    "orthogonal",
    options=OrthogonalOptions,
    paper="Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning",
)
def orthogonal(weight: Tensor, fans: Fans, gain: float, options: OrthogonalOptions) -> None:
    """Orthogonal: gain Q, where Q has orthonormal rows, or columns where rows are more.

    Q is of the QR decomposition of a normal matrix (out, fan_in): uniform over all rotations. A
    convolution (out, in / groups, k, k) is taken as its matrix, which is not the rotation of an
    image that Xiao et al. 2018 construct.

    When to use it: deep networks without norm, recurrent ones; all singular values are alike, where
    those of a normal matrix reach from 0 to twice their root mean square.

    What goes wrong: where outputs are more than inputs it is lengths that are kept, so that the
    variance of a unit falls by inputs / outputs. QR of a large layer takes seconds. The activation
    between the layers undoes the rotation's promise all the same: it holds exactly for linear
    networks.

    >>> import torch
    >>> weight = torch.empty(2, 3)
    >>> orthogonal(weight, Fans(3, 2), 1.0, OrthogonalOptions())
    >>> bool(torch.allclose(weight @ weight.T, torch.eye(2), atol=1e-6))
    True
    """
    nn.init.orthogonal_(weight, gain=gain)
