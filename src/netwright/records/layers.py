"""One row of a network's table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """What one layer puts out and costs.

    `name` is its place in the network ("layer1.0.conv1"), `kind` its class, `output` the shape
    for one image, `params` what it is the first to use, `macs` its multiply-accumulates for
    one image.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    params: int
    macs: int
