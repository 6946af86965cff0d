"""The outline of a network: its layers in the order they end, for one image.

It is read off the one pass of an inspection, which computes nothing: a network of a billion
weights is outlined in a moment and takes no memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from netwright.inspection.tracing import trace
from netwright.records.inspection import InspectedLayer, InspectionRecord
from netwright.records.layers import LayerRow


def outline(model: nn.Module, input_size: tuple[int, int, int]) -> list[LayerRow]:
    """One row for each layer of `model` in the order they run, for one image of (C, H, W).

    A layer is a module without parts that run, or one that computes or owns weights itself; the
    rows' parameters and multiply-adds add up to the model's. A weight used twice counts where it
    is used first. A layer that runs twice has two rows, `nn.Identity` has none. The model is left
    as it was.

    A model that branches on values is copied and run on zeros. Raises `SettingError` for one that
    cannot take the input; it names the layer.

    >>> for row in outline(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), (3, 2, 2)):
    ...     print(row.name, row.kind, row.output, row.params, row.macs)
    0 Flatten (12,) 0 0
    1 Linear (5,) 65 60
    """
    return rows_of(trace(model, (torch.zeros(1, *input_size, device=_place(model)),)))


def rows_of(record: InspectionRecord) -> list[LayerRow]:
    """The rows of `outline` from an inspection of one image (a batch of one)."""
    rows = []
    for layer, params, macs in _ended(record.layers):
        if (layer.leaf and layer.kind != "Identity") or params or macs:
            rows.append(
                LayerRow(
                    name=layer.name or "(model)",
                    kind=layer.kind,
                    output=layer.outputs[0][1:] if layer.outputs else (),
                    params=params,
                    macs=macs,
                )
            )
    return rows


def _ended(layers: tuple[InspectedLayer, ...]) -> Iterator[tuple[InspectedLayer, int, int]]:
    """Each call as it ends, with the parameters and multiply-adds that are in none of its parts.

    The record has a call before its parts, and each with all that ran within."""
    begun: list[tuple[InspectedLayer, int, int]] = []
    for layer in layers:
        while len(begun) > layer.depth:
            yield begun.pop()
        if begun:
            around, params, macs = begun[-1]
            begun[-1] = (around, params - layer.params, macs - layer.macs)
        begun.append((layer, layer.params, layer.macs))
    while begun:
        yield begun.pop()


def _place(model: nn.Module) -> torch.device:
    """Where the weights lie, for a pass that has to compute."""
    places = (each.device for each in model.parameters() if not each.is_meta)
    return next(places, torch.device("cpu"))
