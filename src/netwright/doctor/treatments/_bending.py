"""What a module does to single numbers: whether it is an activation, whatever it is called."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from netwright.doctor.quiet import RandomState

NOT = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Flatten, nn.Unflatten,
)  # fmt: skip

STRAIGHT = 1e-3
"""What is nearer to a straight line than this, of its range over -3 to 3, does not bend."""


def acts_alone(module: nn.Module) -> bool:
    """Whether a module without weights changes each number by itself, by one and the same rule.

    >>> acts_alone(nn.Tanh()), acts_alone(nn.Softmax(1)), acts_alone(nn.MaxPool2d(1))
    (True, False, False)
    """
    if isinstance(module, nn.PReLU):
        return True
    if isinstance(module, NOT) or any(True for _ in module.parameters()):
        return False
    values = _values()
    other = values.clone()
    other[-1, -1] = 7.0
    made, changed, turned = (_made(module, each) for each in (values, other, values.flip(0, 1)))
    if made is None or changed is None or turned is None:
        return False
    others = (made.flatten()[:-1], changed.flatten()[:-1])
    return _equal(*others) and _equal(turned.flip(0, 1), made)


def bends(module: nn.Module) -> bool:
    """Whether it is no straight line between -3 and 3.

    >>> bends(nn.ReLU()), bends(nn.Identity()), bends(nn.LeakyReLU(1.0))
    (True, False, False)
    """
    values = _values()
    made = _made(module, values)
    if made is None:
        return False
    x, y = values.flatten(), made.flatten()
    chord = y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0])
    reach = float(y.max() - y.min())
    if not math.isfinite(reach):
        return True
    return reach == 0 or float((y - chord).abs().max()) > STRAIGHT * reach


def _equal(made: Tensor, other: Tensor) -> bool:
    """A root gives no number of what is below 0, each time."""
    return torch.equal(made.nan_to_num(), other.nan_to_num())


def _values() -> Tensor:
    return torch.linspace(-3, 3, 26).reshape(2, 13)


def _made(module: nn.Module, given: Tensor) -> Tensor | None:
    """What comes of the numbers; None of what takes no such table or gives another."""
    parts = [each for each in module.modules() if each is not module]
    if any(each._forward_hooks or each._forward_pre_hooks for each in parts):
        return None  # somebody listens who is not to hear of this
    state, training = RandomState(), [(each, each.training) for each in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            made = module.forward(given.clone())
    except Exception:  # somebody's module
        return None
    finally:
        for each, mode in training:
            each.training = mode
        state.restore()
    right = isinstance(made, Tensor) and made.shape == given.shape and made.is_floating_point()
    return made if right else None
