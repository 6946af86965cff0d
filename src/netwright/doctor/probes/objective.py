"""What the loss is, what goes into it, what guessing would cost, and whether it has a floor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.doctor.graph import operations_between
from netwright.doctor.patient import LOSSES, OVER_CLASSES, Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.records.facts.objective import Objective

SQUARED = ("mse_loss", "smooth_l1_loss", "huber_loss")
BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")


@PROBES.register("objective", order=1, needs=("sample",), cost="0F")
def objective(patient: Patient) -> Iterator[Objective]:
    """The loss of the first batch, as it was called.

    Nothing is run: the call of the loss function is on the tape, and its input's history in the
    autograd graph.
    """
    sample = patient.sample
    assert sample is not None
    yield told(sample)


def told(sample: Sample) -> Objective:
    """The facts of one sample's loss."""
    call, loss = sample.loss_call, sample.objective.loss
    attached = loss.requires_grad
    terms = sum(each.name in LOSSES for each in sample.objective.calls)
    if call is None or sample.output is None:
        return Objective(attached=attached, terms=terms, losses=(sample.loss,))
    given = sample.output.detach()
    target = None if sample.target is None else sample.target.detach()
    kind = call.name
    options = {**call.kwargs}
    values = given.float()
    rows = values.movedim(1, -1) if kind in OVER_CLASSES and values.ndim > 1 else values
    sums, unsigned = rows.sum(-1), (rows >= 0).all(-1) if rows.ndim else rows >= 0
    ones = ((sums - 1).abs() < 1e-3) & unsigned
    logs = torch.logsumexp(rows, -1).abs() < 1e-3 if rows.ndim else torch.zeros(())
    classes = given.shape[1] if kind in OVER_CLASSES and given.ndim > 1 else None
    before = operations_between(sample.output)
    smoothing = float(options.get("label_smoothing", 0.0) or 0.0)
    weight = options.get("weight", call.args[2] if len(call.args) > 2 else None)
    floor, formula = _floor(kind, before, float(ones.float().mean()), classes, target)
    return Objective(
        kind=kind,
        terms=terms,
        input_shape=tuple(given.shape),
        target_shape=() if target is None else tuple(target.shape),
        target_dtype="" if target is None else str(target.dtype).removeprefix("torch."),
        classes=classes,
        before=before,
        attached=attached,
        losses=(sample.loss,),
        constant=None if target is None else best_constant(kind, target, classes, options),
        floor=floor,
        floor_formula=formula,
        input_min=float(values.min()) if values.numel() else 0.0,
        input_max=float(values.max()) if values.numel() else 0.0,
        rows_sum_to_one=float(ones.float().mean()) if rows.ndim > 1 else 0.0,
        rows_logsumexp_zero=float(logs.float().mean()) if rows.ndim > 1 else 0.0,
        broadcast=target is not None
        and kind in (*SQUARED, *BINARY, "l1_loss")
        and given.shape != target.shape,
        smoothing=smoothing,
        weighted=isinstance(weight, Tensor),
    )


def best_constant(
    kind: str, target: Tensor, classes: int | None, options: dict[str, Any] | None = None
) -> float | None:
    """The loss of the best prediction that is the same for every sample, on these targets.

    >>> round(best_constant("cross_entropy", torch.tensor([0, 1, 0, 1]), 2), 4)
    0.6931
    >>> best_constant("mse_loss", torch.tensor([[1.0], [3.0]]), None)
    1.0
    """
    if options and options.get("reduction", "mean") != "mean":
        return None
    if kind in OVER_CLASSES and not target.is_floating_point():
        flat = target.reshape(-1)
        ignored = int((options or {}).get("ignore_index", -100))
        flat = flat[flat != ignored]
        if not flat.numel() or int(flat.min()) < 0:
            return None
        shares = torch.bincount(flat).double() / flat.numel()
        return _smoothed_entropy(shares, classes, float((options or {}).get("label_smoothing", 0)))
    if kind == "cross_entropy":
        dims = [each for each in range(target.ndim) if each != 1]
        return _entropy(target.double().mean(dims)) if target.ndim > 1 else None
    if kind in BINARY:
        share = target.double().mean(0).clamp(0, 1)
        return float((F.binary_cross_entropy(share, share)).nan_to_num()) if share.numel() else None
    values = target.double()
    if kind == "mse_loss":
        return float(values.var(0, unbiased=False).mean()) if len(values) > 1 else None
    if kind == "l1_loss":
        return float((values - values.median(0, keepdim=True).values).abs().mean())
    return None


def _entropy(shares: Tensor) -> float:
    kept = shares[shares > 0]
    return float(-(kept * kept.log()).sum())


def _smoothed_entropy(shares: Tensor, classes: int | None, smoothing: float) -> float:
    """Of the class shares as smoothing sees them: (1 - s) p + s / C."""
    if smoothing <= 0 or not classes or classes < len(shares):
        return _entropy(shares)
    whole = torch.zeros(classes, dtype=torch.float64)
    whole[: len(shares)] = shares
    return _entropy((1 - smoothing) * whole + smoothing / classes)


def _floor(
    kind: str, before: tuple[str, ...], ones: float, classes: int | None, target: Tensor | None
) -> tuple[float | None, str]:
    """The least a loss can be on what goes into it now, where arithmetic knows."""
    if kind == "cross_entropy" and classes and classes > 1 and ones > 0.99 and "softmax" in before:
        return math.log(1 + (classes - 1) / math.e), "ln(1 + (C - 1) / e)"
    if kind == "binary_cross_entropy_with_logits" and before[:1] == ("sigmoid",):
        if target is None or not target.numel():
            return None, ""
        share = float(target.double().mean().clamp(0, 1))
        # p lies in (0.5, 0.731): a target of 0 costs at least ln 2, one of 1 at least ln(1 + 1/e).
        return (
            (1 - share) * math.log(2) + share * math.log(1 + 1 / math.e),
            "(1 - q) ln 2 + q ln(1 + 1/e), q the share of ones",
        )
    return None, ""
