"""Small programs for one of several ranks, run in forked children."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor

from netwright.cli import main
from netwright.core import events as e
from netwright.tasks.batch_gradients import BatchGradients
from netwright.tasks.preparing import prepare
from netwright.tasks.settings import resolve
from netwright.train.joining import Place, joined


def evaluate(argv: Sequence[str]) -> int:
    """Print what this rank has seen of validation, what all found together, and what it finds
    alone."""
    place = Place.of()
    resolved = resolve(data="digits", model="mlp", settings={"batch": 60}, environ={})
    with joined(place, torch.device("cpu"), backend="gloo", timeout=20) as ranks:
        task = prepare(resolved, e.Events(), ranks=ranks).task
        for feed in task.evaluations.values():
            feed.batch = 60
        seen = [int(i) for batch in task.evaluations["val"].once() for i in batch.index]
        together = task.judge(lambda network: task.splits.score(network, "val"))
    alone = prepare(resolved, e.Events()).task
    alone.evaluations["val"].batch = 60
    expected = alone.judge(lambda network: alone.splits.score(network, "val"))
    print(json.dumps({"index": seen, "together": together, "alone": expected}))
    return 0


def starved(argv: Sequence[str]) -> int:
    """`netwright ARGV` in which rank 1 has memory for passes of 8 images only, or as many as the
    first word says."""
    most, *words = argv
    forward = BatchGradients._forward

    def scarce(gradients: BatchGradients, batch: Any, *args: Any, **kwargs: Any) -> Tensor:
        if gradients.ranks.rank == 1 and len(batch.target) > int(most):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return forward(gradients, batch, *args, **kwargs)

    BatchGradients._forward = scarce  # type: ignore[method-assign]
    return main(words)


def count_exchanges(argv: Sequence[str]) -> int:
    """Print how often the ranks exchange anything in a step of one pass, and of four."""
    found = []
    everything = ("all_reduce", "all_gather", "broadcast", "gather", "barrier")
    with joined(Place.of(), torch.device("cpu"), backend="gloo", timeout=20) as ranks:
        for passes in (1, 4):
            settings = {"batch": 32 // passes, "optim.accumulate": passes}
            resolved = resolve(data="digits", model="mlp", settings=settings, environ={})
            task = prepare(resolved, e.Events(), ranks=ranks).task
            batch = next(task.feed(0))
            with contextlib.ExitStack() as stack:
                spies = [
                    stack.enter_context(mock.patch.object(dist, name, wraps=getattr(dist, name)))
                    for name in everything
                ]
                task.step(batch, 0)
            found.append(sum(each.call_count for each in spies))
    print(json.dumps(found))
    return 0


def measure(argv: Sequence[str]) -> int:
    """Print the bytes of weights, gradients and optimizer state that this rank holds after a step,
    cut and whole."""
    found = []
    with joined(Place.of(), torch.device("cpu"), backend="gloo", timeout=20) as ranks:
        for shard in (True, False):
            settings = {"run.shard": shard, "model.norm": "group"}
            resolved = resolve(data="digits", model="resnet20", settings=settings, environ={})
            prepared = prepare(resolved, e.Events(), ranks=ranks)
            prepared.cut()
            task = prepared.task
            held: dict[str, int] = {}

            def look(optimizer: Any, *_: Any, held: dict[str, int] = held) -> None:
                tensors = [each for group in optimizer.param_groups for each in group["params"]]
                held["weights"] = sum(each.nbytes for each in tensors)
                held["gradients"] = sum(each.grad.nbytes for each in tensors)

            task.optimizer.register_step_pre_hook(look)
            task.step(next(task.feed(0)), 0)
            states = task.optimizer.state.values()
            held["state"] = sum(
                each.nbytes for state in states for each in state.values() if each.ndim
            )
            held["model"] = sum(_held_bytes(each) for each in task.model.parameters())
            found.append(held)
    print(json.dumps(found))
    return 0


def _held_bytes(parameter: Tensor) -> int:
    local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return local.untyped_storage().nbytes()
