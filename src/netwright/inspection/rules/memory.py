"""Tensors made, filled and copied: data is written, nothing is calculated."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import aten, tensors_in


@aten("clone", "_to_copy", "contiguous", "to", "_conj_physical", "resolve_conj", "resolve_neg",
      "_pin_memory", "lift_fresh_copy", "detach_copy", "alias_copy")  # fmt: skip
def copied(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    if out is not args[0]:
        ledger.note("copy", args[:1], out, ledger.field(args[0]))


@aten("copy_", "copy", "_copy_from", "set_data")
def written(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    target, source = args[:2]
    field = ledger.field(source)
    if field is not None and field.shape != tuple(target.shape):
        field = field.expanded(tuple(target.shape))
    ledger.note("copy", (source,), target, field, inplace=True)


@aten("zero_", "fill_", "normal_", "uniform_", "bernoulli_", "random_", "exponential_",
      "log_normal_", "cauchy_", "geometric_", "resize_", "set_", "resize_as_")  # fmt: skip
def filled(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    ledger.note("fill", (), args[0], None, inplace=True)


_MADE = (
    "empty", "zeros", "ones", "full", "arange", "linspace", "logspace", "eye", "scalar_tensor",
    "rand", "randn", "randint", "randperm", "normal", "empty_strided", "tril_indices",
    "triu_indices", "hann_window", "hamming_window", "kaiser_window", "blackman_window",
    "empty_permuted",
)  # fmt: skip
_LIKE = (
    "empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like",
    "randint_like", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided",
    "bernoulli", "multinomial",
)  # fmt: skip


def _register(name: str) -> None:
    @aten(name)
    def made(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
        for each in tensors_in(out):
            ledger.note(name, (), each, None)


for _name in (*_MADE, *_LIKE):
    _register(_name)

FACTORIES = frozenset(
    getattr(torch.ops.aten, name) for name in (*_MADE, *_LIKE) if hasattr(torch.ops.aten, name)
)
"""Operations that take a device for what they make."""
