"""Layers and parameters that a network uses and does not know."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("wiring")
@dataclass(frozen=True, kw_only=True)
class Wiring:
    """What the first losses depend on, besides the registered parameters of the model.

    `hidden` are places in the model, such as `blocks[0]`, where a plain list or dict holds modules
    or parameters; `hidden_numel` counts their weights with a gradient, `hidden_held` says whether
    an optimizer holds them. `made_anew` counts parameters that belong to nobody and were others
    at the loss before: they are made in the forward pass.
    """

    hidden: tuple[str, ...] = ()
    hidden_numel: int = 0
    hidden_held: bool = False
    made_anew: int = 0
    registered_numel: int = 0
