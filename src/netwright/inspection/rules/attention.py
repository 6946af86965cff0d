"""Attention: scores and weighted values are matrix products; a causal mask halves nothing."""

from __future__ import annotations

from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.contraction import contracted
from netwright.inspection.rules.elementwise import broadcast
from netwright.inspection.rules.registry import DECLINE, aten, function

_SOFTMAX = 5


@function(F.scaled_dot_product_attention)
def attention(
    ledger: Ledger,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    q, k, v = query.shape, key.shape, value.shape
    if (
        not len(q) == len(k) == len(v)
        or len(q) < 3
        or enable_gqa
        or q[:-2] != k[:-2]
        or q[:-2] != v[:-2]
        or q[-1] != k[-1]
        or k[-2] != v[-2]
        or 0 in q
        or 0 in k
        or not query.dtype == key.dtype == value.dtype
        or not query.dtype.is_floating_point
        or (is_causal and attn_mask is not None)
    ):
        return DECLINE
    if attn_mask is not None:
        scores = (*q[:-2], q[-2], k[-2])
        if broadcast(attn_mask.shape, scores) != scores:
            raise RuntimeError(
                f"a mask of {list(attn_mask.shape)} does not fit scores of {list(scores)}"
            )
        if attn_mask.ndim < 2:
            return DECLINE
    out = ledger.fresh((*q[:-1], v[-1]), query.dtype)
    note_attention(ledger, query, key, value, out, attn_mask, causal=is_causal)
    return out


def note_attention(
    ledger: Ledger, query: Tensor, key: Tensor, value: Tensor, out: Any, mask: Any, *, causal: bool
) -> None:
    """Shapes (..., L, E), (..., S, E), (..., S, E_v) -> (..., L, E_v)."""
    first = out if isinstance(out, Tensor) else out[0]
    shape = tuple(first.shape)
    rank = len(shape)
    *batch, length, width = query.shape
    positions = key.shape[-2]
    rows: list[int | None] = [*range(rank - 1), None]
    over: list[int | None] = [*range(rank - 2), None, None]
    last: list[int | None] = [*range(rank - 2), None, rank - 1]
    field = contracted(ledger, shape, (query, rows), (key, over), (value, last))
    scores = prod(batch) * length * positions
    others = (None,) * 12
    ledger.note(
        "scaled_dot_product_attention",
        (query, key, value, mask),
        out,
        fields=(field, *others),
        macs=scores * (width + value.shape[-1]),
        other=(_SOFTMAX + 1 + (mask is not None)) * scores,
        options=(("heads", batch[-1] if len(batch) > 1 else 1), ("is_causal", causal)),
    )


@aten(
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_attention_math_for_mps",
    "_scaled_dot_product_attention_math",
    "scaled_dot_product_attention",
)
def fused(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    mask = next((each for each in args[3:5] if isinstance(each, Tensor)), kwargs.get("attn_mask"))
    causal = any(each is True for each in args[4:7]) or bool(kwargs.get("is_causal"))
    note_attention(ledger, args[0], args[1], args[2], out, mask, causal=causal)
