"""What a watch has measured so far, as facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netwright.records.facts.cost import Cost
from netwright.records.facts.reach import Cut, Reach
from netwright.records.facts.steps import Steps

if TYPE_CHECKING:
    from netwright.doctor.watching.watcher import Watcher


def facts_of(watcher: Watcher) -> list[object]:
    """The facts of the watch so far."""
    steps = Steps(**watcher.rows.columns(), total=watcher.steps)
    found: list[object] = [steps, watcher.table.facts(), watcher.order.facts(), cost_of(watcher)]
    if watcher.evaluation.facts().epochs:
        found.append(watcher.evaluation.facts())
    found += watcher.tally.facts()
    found.append(watcher.passing.facts())
    if watcher.nonfinite is not None:
        found.append(watcher.nonfinite)
    if watcher.ungraded and not watcher.steps:
        held = sum(len(each["params"]) for e in watcher.optimizers for each in e.param_groups)
        found.append(Reach(attached=False, held=held, cuts=(Cut(operation="no_grad"),)))
    found += [watcher.memory.facts(), watcher.hidden.fact, watcher.restarts.facts()]
    found += watcher.norms.facts(watcher.steps)
    found += watcher.efficacy.facts()
    if watcher.steps:
        ours, watcher.ours = watcher.ours, True  # a weight that is computed runs modules
        try:
            found.append(watcher.filters.now(watcher.steps, over=watcher.over))
        finally:
            watcher.ours = ours
    return found


def cost_of(watcher: Watcher) -> Cost:
    """What the watch has cost the loop."""
    pace = watcher.pace
    return Cost(
        steps=watcher.steps,
        seconds=pace.seconds,
        hooks=pace.hooks,
        looks=pace.looks,
        looked=pace.looked,
        interval=pace.interval,
        budget=pace.budget,
        fault=watcher.fault,
    )
