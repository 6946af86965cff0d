"""What a registered loss owes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from netwright.core.registry import Entry
from netwright.nn.losses import Loss
from netwright.testing.options import check_options


def check_loss(entry: Entry[Callable[[Any, Sequence[int]], Loss]]) -> None:
    """Hold a leaf of `netwright.nn.losses.LOSSES` against its contract.

    - it is one finite number with a finite gradient, also when a class has no sample;
    - it is a mean: a batch that holds everything twice has the same loss, unless it says that it
      is of the batch as a whole (the fact `batchwise`);
    - logits that are right cost less than logits that are wrong;
    - with huge logits, right or wrong, value and gradient stay finite;
    - it does not write to what it is given.
    """
    assert entry.options is not None, f"{entry.name} has no options class"
    check_options(entry.options, prefix="loss.")
    loss = entry.target(entry.options(), [4, 2, 0])
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([0, 0, 1, 0, 1, 0])
    value = loss(logits, target)
    assert value.shape == (), f"{entry.name} is not one number: {tuple(value.shape)}"
    assert bool(torch.isfinite(value)), f"{entry.name} is not finite: {value}"
    value.backward()
    assert logits.grad is not None, f"{entry.name} has no gradient"
    assert bool(torch.isfinite(logits.grad).all()), f"{entry.name} has no finite gradient"
    given = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(logits, given), f"{entry.name} writes to the logits"
    twice = loss(torch.cat([logits, logits]), torch.cat([target, target]))
    same = torch.allclose(value, twice, atol=1e-5)
    assert same or entry.facts.get("batchwise"), f"{entry.name} is not a mean over the batch"
    right = torch.nn.functional.one_hot(target, 3).float() * 4
    assert loss(right, target) < loss(-right, target), (
        f"{entry.name} does not prefer right logits to wrong ones"
    )
    for huge in (right * 1e4, -right * 1e4):
        huge.requires_grad_()
        value = loss(huge, target)
        value.backward()
        assert huge.grad is not None
        finite = bool(torch.isfinite(value)) and bool(torch.isfinite(huge.grad).all())
        assert finite, f"{entry.name} is not finite at huge logits: {value}"
