"""Weight norm (Salimans & Kingma 2016): w = g v / |v|, a function of weights alone.

Other operations: 3 for each weight (its square, the sum, the product) and 2 for each length (the
root, the quotient). It is the same operation by `torch.nn.utils.weight_norm`, whose hook makes
the weight before each call, and by `torch.nn.utils.parametrizations.weight_norm`.
"""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import aten


@aten("_weight_norm_interface", "_weight_norm")
def weight_norm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    v, g = args[:2]
    first = out if isinstance(out, Tensor) else out[0]
    # Of weights that another network made from the image, any number may move any other.
    field = ledger.everything(tuple(first.shape), (v, g))
    other = 3 * prod(v.shape) + 2 * prod(g.shape)
    ledger.note("weight_norm", (v, g), out, fields=(field, None), other=other)
