"""No biases that a norm takes away again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._running import BATCH_NORMS, MAPS, calls
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("drop-bias", grade="safe", cures=("bias-before-batchnorm",))
def drop_bias(course: Course, finding: Finding) -> Iterator[Plan]:
    """Layers with a batch norm at once behind them lose their bias.

    The running mean of the norm is lowered by as much: the network gives the same as before.

    Source: Ioffe & Szegedy 2015, Batch normalization, section 3.2.
    """
    pairs = _pairs(course)
    if pairs:
        yield Plan(
            says=Phrase("no bias in {count} layers before a norm", count=len(pairs)), apply=_drop
        )


@torch.no_grad()
def _drop(course: Course) -> None:
    modules = dict(course.model.named_modules())
    for layer, norm in _pairs(course):
        bias, mean = modules[layer].bias, modules[norm].running_mean
        assert isinstance(bias, nn.Parameter)
        if isinstance(mean, torch.Tensor):
            mean -= bias
        modules[layer].bias = None
    course.sync_optimizer()


def _pairs(course: Course) -> list[tuple[str, str]]:
    """Layers with a bias, and the norm that is called next, where nobody else reads the layer."""
    run = calls(course)
    paths = [each.path for each in run]
    return [
        (one.path, other.path)
        for one, other in itertools.pairwise(run)
        if isinstance(one.module, MAPS)
        and isinstance(one.module.bias, nn.Parameter)
        and isinstance(other.module, BATCH_NORMS)
        and other.module.track_running_stats
        and other.given is one.made
        and paths.count(one.path) == paths.count(other.path) == 1
        and len(one.readers) <= 1
    ]
