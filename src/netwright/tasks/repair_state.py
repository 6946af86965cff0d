"""What interventions have changed of a run: a part of its state, saved in every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.doctor.interventions.history import History
from netwright.records.interventions import Intervention, intervention_in


class RepairState:
    """`rate` multiplies every learning rate, `clip` bounds the norm of the gradients, the batches
    of the steps `skipped` are left out; `history` is what the steps so far have told."""

    def __init__(self) -> None:
        self.rate = 1.0
        self.clip: float | None = None
        self.skipped: list[int] = []
        self.interventions: list[Intervention] = []
        self.history = History()

    def take_over(self, other: Mapping[str, Any]) -> None:
        """What was changed, from another state; the history stays."""
        self.rate = float(other["rate"])
        self.clip = None if other["clip"] is None else float(other["clip"])
        self.skipped = [int(each) for each in other["skipped"]]
        found = [intervention_in(each) for each in other["interventions"]]
        self.interventions = [each for each in found if each is not None]

    def changed(self) -> dict[str, Any]:
        """What `take_over` takes."""
        return {
            "rate": self.rate,
            "clip": self.clip,
            "skipped": list(self.skipped),
            "interventions": [each.to_json() for each in self.interventions],
        }

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {**self.changed(), "history": self.history.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.take_over(state)
        self.history.load_state_dict(state["history"])
