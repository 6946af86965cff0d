"""Which filters of a model are 0, and which are copies of each other: read from the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from netwright.doctor.quiet import weight_of
from netwright.records.facts.filters import FilterFact, Filters

FIRST = 128
"""Steps after which the filters are compared for the first time."""

MOST = 256
"""Filters of a layer that are compared with each other."""

LAYERS = 64
"""Layers that are looked at, evenly over the network."""

LARGEST = 2_000_000
"""Weights of a layer up to which it is looked at."""

WIDEST = 512
"""Weights of a filter that are compared, evenly over it."""

COSINE = 0.99

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)


class FiltersRead:
    """The filters of a model, read when the steps have doubled since the last time, and when the
    watch is over."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._last: Filters | None = None

    def now(self, step: int, *, over: bool) -> Filters:
        """Those of step `step`, or of not long before."""
        last = self._last
        if last is None or (over and last.step < step) or step >= 2 * last.step:
            early = last is None and not over and step < FIRST
            last = Filters() if early else filters_of(self._model, step)
            self._last = None if early else last
        return last

    def forget(self) -> None:
        """What was read is of weights that are gone."""
        self._last = None


@torch.no_grad()
def filters_of(model: nn.Module, step: int) -> Filters:
    """The filters of the convolutions and the units of the linear layers, but for the last layer.

    Two random directions in few dimensions may well be alike; `FilterFact.fan_in` says how many.
    """
    known = [
        (name, weight_of(each), each)
        for name, each in model.named_modules()
        if isinstance(each, WEIGHTED)
    ]
    layers = [
        (name, weight.detach(), each)
        for name, weight, each in known
        if weight is not None and not is_lazy(weight) and 0 < weight.numel() <= LARGEST
    ]
    found = []
    stride = max(1, -(-len(layers) // LAYERS))
    for name, weight, each in layers[:-1:stride]:
        if not weight.is_floating_point() or weight.layout is not torch.strided:
            continue
        transposed = getattr(each, "transposed", False) and getattr(each, "groups", 1) == 1
        rows = (weight.transpose(0, 1) if transposed else weight).flatten(1)[:MOST].float()
        found.append(_fact(name, rows))
    return Filters(layers=tuple(found), step=step, cosine=COSINE)


def _fact(name: str, rows: Tensor) -> FilterFact:
    fan_in = rows.shape[1]
    norms = rows.norm(dim=1)
    rows = rows[:, :: -(-fan_in // WIDEST)]
    dead = norms <= 1e-3 * norms.median().clamp_min(1e-30)
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-30)
    cosine = (unit @ unit.T).abs().fill_diagonal_(0)
    cosine[dead] = 0
    cosine[:, dead] = 0
    return FilterFact(
        name=name,
        filters=len(rows),
        fan_in=fan_in,
        dead=int(dead.sum()),
        alike=int((cosine > COSINE).any(1).sum()),
    )
