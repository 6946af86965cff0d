"""A network that was named and can be inspected: how it is made, and the input it is made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from netwright.core.languages import Phrase
from netwright.optim.untouched import untouched
from netwright.records.inspection import Shape


@dataclass(frozen=True, kw_only=True)
class Inspectable:
    """A network that was named: `make` builds it with weights, `outline` on the meta device where
    that is known to work, `sample` is the shape of one sample that it is made for, if known."""

    name: str
    make: Callable[[], nn.Module]
    sample: Shape | None = None
    outline: Callable[[], nn.Module] | None = None
    notes: tuple[Phrase, ...] = ()


def drawn(make: Callable[[], nn.Module]) -> nn.Module:
    """The network with weights drawn from seed 0; the random states of the caller stay."""
    with untouched():
        torch.manual_seed(0)
        return make()


def on_meta(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The same network without numbers in it: nothing is drawn and nothing is allocated."""

    def outline() -> nn.Module:
        with untouched(), torch.device("meta"):
            return make()

    return outline
