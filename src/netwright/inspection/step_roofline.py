"""What a whole training step should take on a machine, by the roofline of its forward pass.

The gradient of a contraction is two contractions of its size, one by its weight and one by its
input, each where it is asked for; any other operation is gone back through once. The optimizer
reads and writes every weight, its gradient and its state. No torch, as in `roofline`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from netwright.inspection.roofline import Cost, cost
from netwright.records.inspection import InspectionRecord
from netwright.records.timing import Bound, Machine


@dataclass(frozen=True, kw_only=True)
class StepEstimate:
    """Seconds of a step, and what most of them are spent waiting for."""

    seconds: float
    bound: Bound


def step_estimate(
    record: InspectionRecord,
    machine: Machine,
    *,
    trained: Collection[str] | None = None,
    state_bytes: int = 0,
) -> StepEstimate:
    """The estimate of a training step in float32: forward, backward and the optimizer.

    `trained` are the paths of the parameters that are updated, by default all; those of the
    optimizer's own tensors are `state_bytes`. The loss is left out.

    >>> from torch import empty, nn
    >>> from netwright.inspection.tracing import trace
    >>> from netwright.records.timing import OVERHEADS, RATES, Rate
    >>> slow, fast = Rate(points=((1.0, 1e6),)), Rate(points=((1.0, 1e12),))
    >>> machine = Machine(
    ...     processor="", device="cpu", threads=1, torch="",
    ...     rates=dict.fromkeys(RATES, slow) | {"copy": fast, "read": fast},
    ...     overheads=dict.fromkeys(OVERHEADS, 0.0))
    >>> record = trace(nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10)), (empty(100, 10),))
    >>> found = step_estimate(record, machine)  # 10,000 products a layer, at 1e6 a second:
    >>> round(found.seconds, 3), found.bound  # 2 times the first, 3 times the second
    (0.05, 'compute')
    """
    sizes = {path: each.bytes for each in record.parameters for path in each.paths}
    wanted = set(sizes) if trained is None else set(trained)
    parts: dict[Bound, float] = {"compute": 0.0, "memory": 0.0, "overhead": 0.0}
    asked: dict[int, bool] = {}  # whether the gradient of what an operation made is asked for
    for each in record.operations:
        by_input = any(asked.get(number, False) for number in each.inputs)
        by_weight = any(path in wanted for path in each.weights)
        asked[each.number] = by_input or by_weight
        once = cost(each, machine, sizes)
        backward = by_input + by_weight if each.macs else int(by_input or by_weight)
        taken = Cost(
            compute=(1 + backward) * once.compute,
            memory=(1 + backward) * once.memory,
            overhead=(1 + min(backward, 1)) * once.overhead,
        )
        parts[taken.bound] += taken.seconds
    updated = sum(each.bytes for each in record.parameters if wanted & set(each.paths))
    if updated:  # weight and gradient are read, the weight written; the state is read and written
        moved = 3 * updated + 2 * state_bytes
        parts["memory"] += moved / machine.rate("copy", moved)
    return StepEstimate(
        seconds=sum(parts.values()), bound=max(parts, key=lambda bound: parts[bound])
    )
