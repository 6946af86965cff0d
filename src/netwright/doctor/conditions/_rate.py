"""What the facts of a run say of its rate, before anything is judged by it.

The conditions of the rate tell one story a run: `_too_high`, `_too_low`, `_too_much_regularised`
and `_clipped_away` ask whether a deeper one of them holds, and are silent then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netwright.doctor.conditions._course import Array, steps_of
from netwright.doctor.conditions._roots import PROVED
from netwright.doctor.conditions._scale import growing, shrinking
from netwright.doctor.conditions._start import harm_of_start, judgement
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import GroupFact, Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence
from netwright.records.initial_state import Verdict
from netwright.records.record import Record

DEEPER = PROVED
"""What may lie behind a rate that does not work: data, loss, wiring and start come first."""

STILL = 2e-5
"""Update over weights, median: at the rates 1e-6 to 1e-4 of plain SGD that do not train, 1e-8 to
7e-6 was measured; at those that do, 3e-5 and more, but for runs that were done."""

GONE = 0.01
"""Share of its peak below which a rate is as good as 0."""

INWARD = -0.7
"""Cosine between what is done to the weights and the weights themselves: it shrinks them."""

FEW = 3
"""Looks that do for steps that are too short: each of them says the same."""

ASIDE = 0.5
"""Of the length of a step: what else moves the weights, if that is as much."""

SHRINKING = 0.2
"""The same of what shrinks them: steps a fifth of the weights long, that lead nowhere, are held in
balance by a tenth."""


@dataclass(frozen=True)
class Case:
    """What speaks for a finding: evidence of the cause first, then of the harm."""

    causes: tuple[Evidence, ...]
    harms: tuple[Evidence, ...]
    factor: str = ""


def true_rho(steps: Steps) -> Array:
    """Step efficacy against the whole gradient: what was clipped promises more than it says."""
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = np.where(steps.raw_grad_norm > 0, steps.grad_norm / steps.raw_grad_norm, 1.0)
    cut = np.where(np.isfinite(cut), np.minimum(cut, 1.0), 1.0)
    rho: Array = steps.rho * cut
    return rho[np.isfinite(rho)]


def groups(record: Record) -> tuple[GroupFact, ...]:
    setup = record.get(Setup)
    return () if setup is None else tuple(g for o in setup.optimizers for g in o.groups)


def warming(steps: Steps) -> bool:
    """Whether the rate is on its way up."""
    lr = steps.lr[np.isfinite(steps.lr)]
    if len(lr) < 2:
        return False
    before = lr[max(0, len(lr) - 1 - max(5, len(lr) // 5))]
    return bool(lr[-1] > 1.02 * before and lr[-1] >= 0.98 * lr.max())


def bad_start(record: Record) -> bool:
    """Whether the state at the start explains what goes wrong."""
    bad: tuple[Verdict, ...] = ("alike", "dead", "saturated", "growing", "shrinking")
    if any(judgement(record, each) for each in bad):
        return bool(harm_of_start(record))
    return bool((growing(record) or shrinking(record)) and harm_of_start(record))


def moved_aside(record: Record) -> bool:
    """Whether somebody else moves the weights between the steps, as far as these do or farther:
    then no rate explains what becomes of them."""
    loop = record.get(Loop)
    if loop is None or loop.kept_looks < FEW:
        return False
    return loop.aside >= ASIDE or (loop.aside >= SHRINKING and loop.aside_along < INWARD)


def unclipped(record: Record) -> bool:
    """Whether the loop leaves the gradients as they are, as far as was seen: the trials of the
    check-up do not clip."""
    loop, steps = record.get(Loop), steps_of(record)
    if loop is not None and loop.clip_calls:
        return False
    return steps is None or clipped_share(steps)[0] < 0.1


def clipped_share(steps: Steps) -> tuple[float, float]:
    """The share of looks at which the gradient was made shorter, and by how much in the median."""
    both = np.isfinite(steps.grad_norm) & np.isfinite(steps.raw_grad_norm) & (steps.grad_norm > 0)
    if not both.any():
        return 0.0, 1.0
    ratio = steps.raw_grad_norm[both] / steps.grad_norm[both]
    cut = ratio > 1.01
    return float(cut.mean()), float(np.median(ratio[cut])) if cut.any() else 1.0


def rate_gone(steps: Steps) -> tuple[int, float] | None:
    """Since which step the rate is under 1 % of its peak, and for what share of the steps."""
    lr = steps.lr
    if len(lr) < 2 or not np.isfinite(lr).all() or lr.max() <= 0:
        return None
    alive = np.flatnonzero(lr >= GONE * lr.max())
    if alive[-1] == len(lr) - 1:
        return None
    since = int(steps.step[alive[-1] + 1])
    return since, (steps.total - since + 1) / max(1, steps.total)
