"""Small programs for one of several ranks, run in forked children."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch

from netwright.core import events as e
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
        together = task.judge(lambda network: task._score(network, "val"))
    alone = prepare(resolved, e.Events()).task
    alone.evaluations["val"].batch = 60
    expected = alone.judge(lambda network: alone._score(network, "val"))
    print(json.dumps({"index": seen, "together": together, "alone": expected}))
    return 0
