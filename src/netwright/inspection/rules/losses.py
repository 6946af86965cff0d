"""Losses that torch has as one operation: one other operation for each element judged."""

from __future__ import annotations

from math import prod
from typing import Any

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import aten, tensors_in


@aten("nll_loss_forward", "nll_loss2d_forward", "nll_loss", "nll_loss2d", "mse_loss", "l1_loss",
      "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "soft_margin_loss",
      "multi_margin_loss", "multilabel_margin_loss_forward", "_ctc_loss", "kl_div")  # fmt: skip
def loss(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    reads = list(tensors_in(args))
    results = list(tensors_in(out))
    fields = [ledger.everything(tuple(each.shape), reads) for each in results]
    ledger.note("loss", reads, results, fields=fields, other=prod(args[0].shape))
