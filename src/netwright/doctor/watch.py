"""`nw.watch`: look at any loop while it trains, without touching it.

with nw.watch(model, optimizer) as doctor:
    for x, y in loader:
        ...                      # as it was
print(doctor.diagnosis())
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.diagnosis import Diagnosis, diagnosed
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.watching.roots import guarded
from netwright.doctor.watching.taps import BACKWARD
from netwright.doctor.watching.watcher import Watcher
from netwright.records.record import Record


class Doctor:
    """The handle of a watch: what has been seen so far, any time."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        *,
        budget: float = 0.02,
        every: int | None = None,
        checkup: bool = True,
        on_step: Callable[[int], None] | None = None,
        on_fault: Callable[[str], None] | None = None,
    ) -> None:
        self.patient = Patient(
            model=model, optimizers=tuple(optimizers), setup=setup_of(model, optimizers)
        )
        self._checkup = checkup
        self._checked: list[object] = []
        self._ends: list[Callable[[], None]] = []
        self.watcher = Watcher(
            model,
            optimizers,
            budget=budget,
            every=every,
            on_sample=self._sampled,
            on_step=on_step,
            on_fault=on_fault,
        )

    def __enter__(self) -> Doctor:
        watcher = self.watcher
        watcher.attach()
        self._ends.append(
            BACKWARD.listen(
                guarded(
                    lambda tensors, *_, **__: watcher.backward_begins(tensors), watcher._failed
                ),
                guarded(lambda *_, **__: watcher.backward_ended(), watcher._failed),
            )
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for end in self._ends:
            end()
        self._ends.clear()
        self.watcher.detach()

    def _sampled(self, sample: Sample) -> None:
        """One of the first batches came by, before the step on it."""
        self.patient.samples.append(sample)
        if self._checkup and len(self.patient.samples) == 1:
            from netwright.doctor.checkup import examine

            self._checked = list(examine(self.patient))

    def record(self) -> Record:
        """The facts so far."""
        return Record([self.patient.setup, *self._checked, *self.watcher.facts()])

    def diagnosis(self) -> Diagnosis:
        return diagnosed(self.record())

    @property
    def findings(self) -> Any:
        """What is wrong, the worst first."""
        return self.diagnosis().findings


def watch(
    model: nn.Module,
    optimizer: Optimizer | Iterable[Optimizer],
    loss_fn: Callable[..., Tensor] | None = None,
    *,
    budget: float = 0.02,
    every: int | None = None,
    checkup: bool = True,
) -> Doctor:
    """Watch whatever loop trains `model` with `optimizer`, inside a `with` block.

    Nothing of the loop changes: its numbers are bit for bit those without the watch. `budget` is
    the share of the training's own time that watching may take; `every` looks closely at each
    such step instead. `loss_fn` is not needed; it is accepted for loops that compute their loss
    where it cannot be seen.
    """
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
    return Doctor(model, optimizers, budget=budget, every=every, checkup=checkup)
