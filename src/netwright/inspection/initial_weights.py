"""Weights that start at zero, or alike in all units, and whether their gradients change that."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def all_zero(tensors: list[Tensor]) -> bool:
    """Whether there are `tensors`, and no number in them but 0."""
    return bool(tensors) and not any(_any(each) for each in tensors)


def alike(
    own: tuple[str, ...], weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor | None]
) -> bool:
    """Whether all units have the same weights and the same gradient, so that no step parts them.

    A residual branch whose last weights start at 0 is not meant: its units get gradients of
    their own.
    """
    for name in own:
        weight, gradient = weights.get(name), gradients.get(name)
        if weight is None or gradient is None or len(weight) < 2:
            return False
        # The gates of a recurrent layer lie one below the other, and each is a layer of its own.
        units = _units(name, weights) or len(weight)
        if units < 2:
            return False
        for part in (2, len(weight)):  # mostly the first two already differ
            for rows in (weight.detach()[:part], gradient[:part]):
                for gate in rows.split(units):
                    if not float((gate - gate[:1]).abs().max()) <= 1e-4 * float(rows.abs().max()):
                        return False
    return bool(own)


def _units(name: str, weights: Mapping[str, Tensor]) -> int | None:
    """The units of the recurrent layer that a weight belongs to, None for any other."""
    path, _, last = name.rpartition(".")
    kind, _, rest = last.partition("_")
    hidden = weights.get(f"{path}.{kind}_hh{rest[2:]}" if path else f"{kind}_hh{rest[2:]}")
    if not rest.startswith(("ih", "hh")) or kind != "weight" or hidden is None:
        return None
    return hidden.shape[1]


def learn_from_zero(weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor | None]) -> bool:
    """Whether a weight or scale that is all 0 gets a gradient: what lies before it waits one step.

    Biases start at 0 everywhere, and open no way back to earlier layers.
    """
    return any(
        "bias" not in name.rpartition(".")[2]
        and not _any(weight)
        and (gradient := gradients.get(name)) is not None
        and _any(gradient)
        for name, weight in weights.items()
    )


def _any(tensor: Tensor) -> bool:
    """Whether a number is not 0: mostly the first row tells, and millions need no look."""
    values = tensor.detach()
    return bool(values.ndim and values[:1].any()) or bool(values.any())
