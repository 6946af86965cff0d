"""Which parameters the loss of the first batch depends on, and where the way to others is cut."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A call that took what has a gradient and gave what has none: torch's word (`detach`,
    `no_grad`, `item`, `argmax`), and the line of the loop it stands in."""

    operation: str
    place: str = ""


@fact("reach")
@dataclass(frozen=True, kw_only=True)
class Reach:
    """`held` counts the trainable parameters the optimizers hold, `reached` those the autograd
    graph of the loss leads to; `missing` are paths of the others whose module ran all the same.
    """

    attached: bool = True
    """Whether the loss has a gradient at all."""
    leaf: bool = False
    """Whether the loss is a tensor made anew, with a gradient of its own and no history."""
    held: int = 0
    reached: int = 0
    missing: tuple[str, ...] = ()
    missing_numel: int = 0
    cuts: tuple[Cut, ...] = ()
    """Those on the way from missing parameters, or from the model, to the loss, in order."""
    flat: tuple[str, ...] = ()
    """Paths of parameters that every way to the loss leads from through a function whose slope is 0
    everywhere."""
    steps: tuple[str, ...] = ()
    """Torch's words for those functions: `round`, `sign`."""
    besides: bool = False
    """Whether the loss has a gradient from elsewhere, as of a penalty on the weights, and none of
    the model's output: it counts as not attached."""
    opaque: bool = False
    """Whether functions of somebody's own hide a part of the graph."""
