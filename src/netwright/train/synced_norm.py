"""Batch norm over the images of all ranks: two ranks with half a batch each train as one with all.

torch's own `SyncBatchNorm` is for CUDA only; this one works wherever ranks can talk. Each rank
sends count, mean and variance of its values, and on the way back two sums of gradients: two small
exchanges for each norm and pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.train.ranks import Alone, Ranks


class Together:
    """What the norms of one network share: within `computing` they ask all ranks, else they are
    plain batch norms (a look at the network is no business of the other ranks)."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self.ranks: Ranks | None = None
        """The ranks, while they are asked."""

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """The block of a step that all ranks take."""
        self.ranks = self._ranks
        try:
            yield
        finally:
            self.ranks = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Together:
        return Together(Alone())  # a copy of the network is no part of the training


class _Synced:
    """The forward pass of a batch norm whose batch lies in several ranks."""

    together: Together

    def forward(self, x: Tensor) -> Tensor:
        norm: Any = self
        ranks = self.together.ranks
        if ranks is None or not norm.training:
            out: Tensor = super().forward(x)  # type: ignore[misc]
            return out
        norm._check_input_dim(x)
        y, mean, var, count = _SyncedNorm.apply(x, norm.weight, norm.bias, norm.eps, ranks)
        if norm.track_running_stats and norm.running_mean is not None:
            norm.num_batches_tracked.add_(1)
            share = norm.momentum
            if share is None:
                share = 1 / float(norm.num_batches_tracked)
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
            unbiased = var * (count / (count - 1))
            norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), share)
        synced: Tensor = y
        return synced


class SyncedBatchNorm1d(_Synced, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over all ranks."""


class SyncedBatchNorm2d(_Synced, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all ranks."""


class SyncedBatchNorm3d(_Synced, nn.BatchNorm3d):
    """`nn.BatchNorm3d` over all ranks."""


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: SyncedBatchNorm1d,
    nn.BatchNorm2d: SyncedBatchNorm2d,
    nn.BatchNorm3d: SyncedBatchNorm3d,
}


def synchronise(model: nn.Module, ranks: Ranks) -> Together | None:
    """Make the batch norms of `model` norms over all ranks, in place; None where it has none.

    They stay the same objects with the same parameters, buffers and names. A class derived from
    torch's is left as it is.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    >>> _ = synchronise(model, Alone())
    >>> type(model[1]).__name__, isinstance(model[1], nn.BatchNorm2d)
    ('SyncedBatchNorm2d', True)
    """
    norms: list[Any] = [each for each in model.modules() if type(each) in _KINDS]
    together = Together(ranks)
    for each in norms:
        each.__class__ = _KINDS[type(each)]
        each.together = together
    return together if norms else None


class _SyncedNorm(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and var of the values of all ranks.

    Also returns mean, var (divided by the count) and the count. As everywhere here losses are
    shares of one whole, so gradients of all ranks add up; those of weight and bias are this rank's.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        values = x if x.dtype == torch.float64 else x.float()
        own = values.numel() / values.shape[1]
        # The kernel of batch norm itself: torch.var_mean takes 10 to 20 times as long on a CPU.
        mean, var = torch.ops.aten.batch_norm_update_stats(values, None, None, 0.0)
        table = torch.zeros(ranks.size, 2 * len(mean) + 1, dtype=torch.float64, device=x.device)
        table[ranks.rank] = torch.cat([mean, var, mean.new_tensor([own])])
        counts, means, variances = _columns(ranks.total(table))
        count = float(counts.sum())
        if count < 2:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {x.shape}"
            )
        shares = (counts / count)[:, None]
        whole = (shares * means).sum(0)
        spread = (shares * (variances + (means - whole).square())).sum(0)
        mean, var = whole.to(values.dtype), spread.to(values.dtype)
        y = F.batch_norm(values, mean, var, weight, bias, training=False, eps=eps).to(x.dtype)
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps, ctx.ranks, ctx.count = eps, ranks, count
        ctx.mark_non_differentiable(mean, var)
        ctx.set_materialize_grads(False)
        return y, mean, var, count

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        values = x.to(mean.dtype)
        given = torch.zeros_like(values) if gradients[0] is None else gradients[0].to(mean.dtype)
        # With fixed statistics the kernel gives what a fixed norm would, and both sums.
        through, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            given, values, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        sums = ctx.ranks.total(torch.stack([of_bias, of_weight]).double()) / ctx.count
        bias_mean, weight_mean = sums.to(mean.dtype)
        scale = (var + ctx.eps).rsqrt()
        factor = scale if weight is None else scale * weight
        slope = factor * weight_mean * scale
        shape = [1, -1] + [1] * (x.ndim - 2)
        offset = factor * bias_mean - slope * mean
        through = through.sub_(values * slope.view(shape)).sub_(offset.view(shape)).to(x.dtype)
        affine = weight is not None
        return through, of_weight if affine else None, of_bias if affine else None, None, None


def _columns(table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts (R,), means and variances (R, C) of the rows `mean, var, count`."""
    channels = (table.shape[1] - 1) // 2
    return table[:, -1], table[:, :channels], table[:, channels:-1]
