"""Norms behind hidden layers that have none."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._running import MAPS, NORMS, Call, calls, head_of
from netwright.doctor.trials.course import Course

Kind = Literal["batch", "group", "layer"]

FEWEST = 8
"""Samples in a batch from which on batch normalisation knows enough (Wu & He 2018, figure 1)."""

GROUPS, SMALLEST = 8, 4


def norms_fit(course: Course, paths: list[str] | None = None) -> bool:
    """Whether there are hidden layers, among these, without a norm behind them."""
    return any(paths is None or each.path in paths for each in _bare(course))


def norm_behind(course: Course, kind: Kind | None = None, paths: list[str] | None = None) -> None:
    """A norm behind each hidden map that has none, or behind those at these paths. Of batches of
    fewer than 8 samples it is group normalisation, if none is asked for."""
    chosen: Kind = kind or ("batch" if _knows_enough(course) else "group")
    made: dict[str, nn.Module] = {}
    for each in _bare(course):
        if paths is None or each.path in paths:
            made[each.path] = nn.Sequential(each.module, _norm(each, chosen))
    course.replace_modules(made)


def _knows_enough(course: Course) -> bool:
    feed = course.train
    left = len(feed.rows) % feed.batch * feed.unit  # of one sample torch refuses the spread
    return feed.batch * feed.unit >= FEWEST and (feed.drop_last or left != 1)


def normed_start(course: Course) -> None:
    """Norms behind the hidden layers, and weights drawn anew: small ones would take steps that are
    large against them, for behind a norm their size is of no account."""
    norm_behind(course)
    draw(course)


def groups_for(channels: int) -> int:
    """At most 8 groups of at least 4 channels: one number less its own mean would be nothing.

    >>> groups_for(64), groups_for(12), groups_for(7)
    (8, 3, 1)
    """
    fit = [g for g in range(1, GROUPS + 1) if channels % g == 0 and channels // g >= SMALLEST]
    return max(fit, default=1)


def _norm(call: Call, kind: Kind) -> nn.Module:
    assert call.made is not None
    channels, axes = call.made.shape[1], call.made.ndim
    if isinstance(call.module, nn.Linear):
        channels = call.made.shape[-1]
        if kind == "layer" or axes > 2:  # of rows of tokens each is normed by itself
            return nn.LayerNorm(channels)
    if kind == "batch":
        return (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 2](channels)
    return nn.GroupNorm(1 if kind == "layer" else groups_for(channels), channels)


def _bare(course: Course) -> list[Call]:
    """Hidden maps with a result of numbers, no norm up to the next map."""
    run = calls(course)
    ends = head_of(run)
    found: list[Call] = []
    for place, each in enumerate(run):
        following = run[place + 1 : place + 2]
        if (
            isinstance(each.module, MAPS)
            and each.path not in ends
            and each.made is not None
            and isinstance(each.made, torch.Tensor)
            and not (following and isinstance(following[0].module, NORMS))
            and each.path not in [one.path for one in found]
        ):
            found.append(each)
    return found
