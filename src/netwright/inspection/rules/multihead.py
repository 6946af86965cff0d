"""Multi-head attention as torch's module runs it: three projections, attention, one projection.

Only the usual forms are taken: no additional key, no key or value kept from before. The others
go down into torch part by part, and count the same.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.attention import note_attention
from netwright.inspection.rules.contraction import note_linear
from netwright.inspection.rules.registry import DECLINE, function


@function(F.multi_head_attention_forward)
def multi_head_attention(
    ledger: Ledger,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """query (L, N, E) or (L, E), key and value (S, N, E) -> (L, N, E) and the weights (N, L, S)."""
    tensors = (query, key, value)
    q, k, v = (tuple(each.shape) for each in tensors)
    width = embed_dim_to_check
    masks = tuple(each for each in (attn_mask, key_padding_mask) if each is not None)
    if (
        ledger.compute is not None
        or any(each is not None for each in (bias_k, bias_v, static_k, static_v))
        or add_zero_attn
        or len(q) not in (2, 3)
        or len(k) != len(q)
        or q[-1] != width
        or k[:-1] != v[:-1]
        or (len(q) == 3 and q[1] != k[1])
        or width % num_heads
        or any(each.dtype != query.dtype for each in (key, value, out_proj_weight))
        or not query.dtype.is_floating_point
        or tuple(out_proj_weight.shape) != (width, width)
        or (is_causal and (attn_mask is None or need_weights))
        or 0 in q
        or 0 in k
        or (training and dropout_p > 0)
    ):
        return DECLINE
    if use_separate_proj_weight:
        parts: tuple[Any, ...] = (q_proj_weight, k_proj_weight, v_proj_weight)
        if any(w is None or tuple(w.shape) != (width, x.shape[-1])
               for w, x in zip(parts, tensors, strict=True)):  # fmt: skip
            return DECLINE
    else:
        if in_proj_weight is None or tuple(in_proj_weight.shape) != (3 * width, width) or k != v:
            return DECLINE
        parts = (in_proj_weight,) * 3
    length, positions = q[0], k[0]
    batch = q[1] if len(q) == 3 else 1
    if key_padding_mask is not None and tuple(key_padding_mask.shape) != (
        (batch, positions) if len(q) == 3 else (positions,)
    ):
        return DECLINE
    if attn_mask is not None and tuple(attn_mask.shape) not in (
        (length, positions),
        (batch * num_heads, length, positions),
    ):
        return DECLINE
    if any(each.dtype.is_floating_point and each.dtype != query.dtype for each in masks):
        return DECLINE
    if query is key is value and not use_separate_proj_weight:
        together = (*q[:-1], 3 * width)  # one product for all three
        projected = ledger.fresh(together, query.dtype)
        note_linear(ledger, query, parts[0], in_proj_bias, projected, together)
        whole = [projected] * 3
    else:
        whole = []
        for x, weight in zip(tensors, parts, strict=True):
            shape = (*x.shape[:-1], width)
            projected = ledger.fresh(shape, query.dtype)
            note_linear(ledger, x, weight, in_proj_bias, projected, shape)
            whole.append(projected)
    q_heads, k_heads, v_heads = (_split(ledger, each, num_heads, width) for each in whole)
    del whole, projected
    out = ledger.fresh((batch, num_heads, length, width // num_heads), query.dtype)
    note_attention(ledger, q_heads, k_heads, v_heads, out, attn_mask, causal=is_causal)
    del q_heads, k_heads, v_heads
    joined = _join(ledger, out, q)
    del out
    result = ledger.fresh(q, query.dtype)
    note_linear(ledger, joined, out_proj_weight, out_proj_bias, result, q)
    if not need_weights:
        return result, None
    scores = (length, positions) if average_attn_weights else (num_heads, length, positions)
    if len(q) == 3:
        scores = (batch, *scores)
    weights = ledger.fresh(scores, query.dtype)
    field = ledger.everything(scores, (query, key))
    other = batch * num_heads * length * positions if average_attn_weights else 0
    ledger.note("attention_weights", (query, key), weights, field, other=other)
    del masks
    return result, weights


def _split(ledger: Ledger, x: Tensor, heads: int, width: int) -> Tensor:
    """(L, N, E) -> (N, heads, L, E / heads); of (L, N, 3 E) a third, which all see alike."""
    shape = tuple(x.shape)
    length, batch = shape[0], prod(shape[1:-1])
    field = ledger.field(x)
    if field is not None:
        if shape[-1] != width:
            third = (*shape[:-1], width)
            field = field.sliced(third, len(shape) - 1, 0, 1)
        field = field.reshaped((length, batch, heads, width // heads)).permuted((1, 2, 0, 3))
    out = ledger.fresh((batch, heads, length, width // heads), x.dtype)
    return _view(ledger, x, out, field)


def _join(ledger: Ledger, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(N, heads, L, E / heads) -> (L, N, E), copied together."""
    field = ledger.field(x)
    if field is not None:
        field = field.permuted((2, 0, 1, 3)).reshaped(shape)
    out = ledger.fresh(shape, x.dtype)
    ledger.note("copy", (x,), out, field)
    return out


def _view(ledger: Ledger, x: Tensor, out: Tensor, field: Any) -> Tensor:
    ledger.note("view", (x,), out, field, of=x)
    return out
