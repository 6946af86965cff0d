"""What a loss can come to: by the best constant guess, by a free prediction, by a bounded one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

OVER_CLASSES = ("cross_entropy", "nll_loss")
SQUARED = ("mse_loss", "smooth_l1_loss", "huber_loss")
DIFFERENCES = (*SQUARED, "l1_loss")
BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")

FEW = 8
"""Samples below which a column's own mean says too little: columns are pooled then."""


def best_constant(
    kind: str, target: Tensor, classes: int | None, options: Mapping[str, Any] | None = None
) -> float | None:
    """The mean loss of the best prediction that is the same for every sample, on these targets.

    >>> round(best_constant("cross_entropy", torch.tensor([0, 1, 0, 1]), 2), 4)
    0.6931
    >>> best_constant("mse_loss", torch.tensor([[1.0], [3.0]]), None)
    1.0
    """
    options = options or {}
    if not target.numel():
        return None
    if kind in OVER_CLASSES:
        amounts, whole = _amounts(target, classes, options)
        return None if amounts is None else _entropy(amounts) / whole
    if kind in BINARY:
        columns = _columns(target.double())
        weight = options.get("pos_weight")
        q = columns.mean(0)
        if bool((q < 0).any()) or bool((q > 1).any()) or isinstance(options.get("weight"), Tensor):
            return None
        a = q
        if isinstance(weight, Tensor):
            if weight.numel() not in (1, q.numel()):
                return None
            a = q * weight.double().reshape(-1)
        b = 1 - q
        return float((_xlogy(a, a + b) + _xlogy(b, a + b)).mean())
    columns = _columns(target.double())
    if kind == "mse_loss":
        return float(columns.var(0, unbiased=False).mean())
    if kind == "l1_loss":
        return float((columns - columns.median(0).values).abs().mean())
    if kind in ("smooth_l1_loss", "huber_loss"):
        word = "beta" if kind == "smooth_l1_loss" else "delta"
        bend = {word: float(options.get(word) or 1.0)}
        loss: Callable[..., Tensor] = getattr(F, kind)
        guesses = [columns.mean(0), *columns.quantile(torch.linspace(0, 1, 17).double(), 0)]
        each = [
            loss(g.expand_as(columns), columns, reduction="none", **bend).mean(0) for g in guesses
        ]
        return float(torch.stack(each).amin(0).mean())
    if kind == "poisson_nll_loss" and options.get("log_input", True) and not options.get("full"):
        mean = columns.mean(0).clamp_min(1e-12)
        return float((mean - mean * mean.log()).mean())
    return None


def least(
    kind: str, target: Tensor, classes: int | None, options: Mapping[str, Any]
) -> float | None:
    """What a prediction that is free for every sample could reach.

    >>> least("cross_entropy", torch.tensor([0, 1]), 2, {})
    0.0
    """
    if not target.numel():
        return None
    if kind == "cross_entropy":
        smoothing = float(options.get("label_smoothing", 0) or 0)
        if isinstance(options.get("weight"), Tensor):
            return 0.0 if not smoothing and not target.is_floating_point() else None
        if not target.is_floating_point():
            if not smoothing or not classes:
                return 0.0
            return _entropy(_smooth(F.one_hot(torch.tensor(0), classes).double(), smoothing))
        rows = _smooth(
            target.double().movedim(1, -1) if target.ndim > 1 else target.double(), smoothing
        )
        return float(_xlogy(rows, rows.sum(-1, keepdim=True)).sum(-1).mean())
    if kind in BINARY and not isinstance(options.get("pos_weight"), Tensor):
        q = target.double()
        return float((_xlogy(q, torch.ones_like(q)) + _xlogy(1 - q, torch.ones_like(q))).mean())
    return 0.0 if kind in ("nll_loss", *DIFFERENCES) else None


def floor_of(
    kind: str,
    target: Tensor,
    classes: int | None,
    options: Mapping[str, Any],
    low: float | None,
    high: float | None,
    *,
    simplex: bool = False,
) -> tuple[float | None, str]:
    """The least mean loss while the loss's input stays within `low` .. `high`, and its formula.

    `simplex`: the rows of the input are probabilities. Six tanh units cannot tell six classes well:

    >>> value, formula = floor_of("cross_entropy", torch.tensor([0, 3]), 6, {}, -1.0, 1.0)
    >>> round(value, 3), formula
    (0.517, 'ln(1 + (C - 1) exp(-width))')
    """
    if kind == "cross_entropy" and classes and classes > 1:
        return _over_classes(target, classes, options, low, high, simplex)
    if kind == "nll_loss" and high is not None and high < 0:
        return -high, "-(the largest log-probability that can come)"
    if kind == "binary_cross_entropy_with_logits" and not isinstance(options.get("weight"), Tensor):
        return _with_logits(target, options, low, high)
    if kind in DIFFERENCES and (low is not None or high is not None):
        y = target.double()
        nearest = y.clamp(
            low if low is not None else -math.inf, high if high is not None else math.inf
        )
        loss: Callable[..., Tensor] = getattr(F, kind)
        word = {"smooth_l1_loss": "beta", "huber_loss": "delta"}.get(kind)
        bend = {word: float(options.get(word) or 1.0)} if word else {}
        return float(loss(nearest, y, **bend)), "mean loss of the targets cut off at the range"
    return None, ""


def _over_classes(
    target: Tensor,
    classes: int,
    options: Mapping[str, Any],
    low: float | None,
    high: float | None,
    simplex: bool,
) -> tuple[float | None, str]:
    if low is None or high is None:
        return None, ""
    smoothing = float(options.get("label_smoothing", 0) or 0)
    width = high - low
    if target.is_floating_point():
        if not simplex or isinstance(options.get("weight"), Tensor):
            return None, ""
        # logsumexp is convex: at least ln C + 1 / C for rows that sum to 1; q . p is at most max q.
        rows = _smooth(
            target.double().movedim(1, -1) if target.ndim > 1 else target.double(), smoothing
        )
        most = float((rows.amax(-1)).mean())
        return (
            float(rows.sum(-1).mean()) * (math.log(classes) + 1 / classes) - most,
            "ln C + 1 / C - mean max q",
        )
    if isinstance(options.get("weight"), Tensor) and smoothing:
        return None, ""
    hard = math.log1p((classes - 1) * math.exp(-width))
    if simplex:
        if smoothing > 0.5:
            return None, ""
        # With smoothing s the target (1 - s, s / C, ...) pulls s (1 - 1 / C) of its own away.
        return hard + smoothing * (1 - 1 / classes), "ln(1 + (C - 1) / e)"
    if smoothing:
        return None, ""
    return hard, "ln(1 + (C - 1) exp(-width))"


def _with_logits(
    target: Tensor, options: Mapping[str, Any], low: float | None, high: float | None
) -> tuple[float | None, str]:
    if low is None and high is None:
        return None, ""
    y = target.double()
    if bool((y < 0).any()) or bool((y > 1).any()):
        return None, ""
    share = y.mean()
    weight = options.get("pos_weight")
    ones = float((y * weight.double()).mean()) if isinstance(weight, Tensor) else float(share)
    up = _softplus(-high) if high is not None else 0.0
    down = _softplus(low) if low is not None else 0.0
    return (1 - float(share)) * down + ones * up, "(1 - q) ln(1 + exp(low)) + q ln(1 + exp(-high))"


def _softplus(value: float) -> float:
    return math.log1p(math.exp(value)) if value < 30 else value


def _amounts(
    target: Tensor, classes: int | None, options: Mapping[str, Any]
) -> tuple[Tensor | None, float]:
    """What each class weighs in the loss of a constant prediction, and what torch divides by."""
    weight = options.get("weight")
    smoothing = float(options.get("label_smoothing", 0) or 0)
    if target.is_floating_point():
        if target.ndim < 2:
            return None, 1.0
        rows = target.double().movedim(1, -1).reshape(-1, target.shape[1])
        rows = _smooth(rows, smoothing)
        if bool((rows < 0).any()):
            return None, 1.0
        amounts = rows.sum(0)
        if isinstance(weight, Tensor):
            amounts = amounts * weight.double()
        return amounts, float(len(rows))
    flat = target.reshape(-1).long()
    ignored = options.get("ignore_index")
    if ignored is not None:
        flat = flat[flat != int(ignored)]
    if not flat.numel() or int(flat.min()) < 0 or (classes and int(flat.max()) >= classes):
        return None, 1.0
    counts = torch.bincount(flat, minlength=classes or 0).double()
    each = weight.double() if isinstance(weight, Tensor) else torch.ones_like(counts)
    if len(each) != len(counts):
        return None, 1.0
    amounts = (1 - smoothing) * counts * each
    if smoothing and classes:
        amounts = amounts + smoothing / classes * each * counts.sum()
    whole = float((counts * each).sum())
    return (amounts, whole) if whole > 0 else (None, 1.0)


def _smooth(rows: Tensor, smoothing: float) -> Tensor:
    return (1 - smoothing) * rows + smoothing / rows.shape[-1] if smoothing else rows


def _entropy(amounts: Tensor) -> float:
    """Of unnormalised amounts: what the best constant pays in all."""
    return float(_xlogy(amounts, amounts.sum()).sum())


def _xlogy(x: Tensor, whole: Tensor) -> Tensor:
    """-x ln(x / whole), 0 at 0."""
    return torch.xlogy(x, whole) - torch.xlogy(x, x)


def _columns(values: Tensor) -> Tensor:
    """Samples x columns: a constant may differ between outputs, or channels, not between places."""
    if values.ndim < 2:
        return values.reshape(-1, 1)
    if values.ndim > 2:
        values = values.movedim(1, -1).reshape(-1, values.shape[1])
    return values if len(values) >= FEW else values.reshape(-1, 1)
