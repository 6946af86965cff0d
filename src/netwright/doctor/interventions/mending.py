"""`nw.watch(..., on_stop="repair")`: somebody else's loop goes on with earlier weights.

The loop is not told: its weights, buffers and the memory of its optimizers are put back in place,
and from then on each step is made at a lower rate, or with clipped gradients. What the loop sets
as its rate stays as it set it outside the steps, so its schedulers go on as they were.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.interventions.asking import Asking
from netwright.doctor.interventions.history import History
from netwright.doctor.interventions.remedies import Remedy, remedies_for, rung
from netwright.doctor.interventions.snapshots import Snapshots
from netwright.doctor.interventions.treatable import treatable
from netwright.records.findings import Finding
from netwright.records.interventions import Intervention, Outcome

if TYPE_CHECKING:
    from netwright.doctor.watch import Doctor

logger = logging.getLogger("netwright.doctor")


class Mending:
    """Belongs to one watch, and hears each step of it."""

    def __init__(self, doctor: Doctor, *, most: int) -> None:
        self._doctor, self._most = doctor, most
        self._history = History()
        self._snapshots: Snapshots | None = None
        self._rate = 1.0
        self._clip: float | None = None
        self._rates: dict[int, list[Any]] = {}
        self._asking = Asking()
        self._wanted: Finding | None = None
        self._silent = False
        self.interventions: list[Intervention] = []

    # The hooks of each optimizer

    def hook(self, optimizer: Optimizer) -> list[Callable[[], None]]:
        """Hear its steps; what is returned takes the hooks away."""
        before = optimizer.register_step_pre_hook(self._step_begins)
        after = optimizer.register_step_post_hook(self._step_ended)
        return [before.remove, after.remove]

    def _step_begins(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        watcher = self._doctor.watcher
        if watcher.ours or watcher.fault:
            return
        if self._snapshots is None:  # the weights are there now, of lazy layers as well
            self._snapshots = Snapshots(watcher.model, watcher.optimizers)
            if self._snapshots.most < 2:
                self._say_too_large(self._snapshots.bytes)
        if watcher.steps == 0 and self._snapshots.due(0):
            self._snapshots.take(0)
        if self._rate != 1.0:
            self._rates[id(optimizer)] = [each.get("lr") for each in optimizer.param_groups]
            for group in optimizer.param_groups:
                if group.get("lr") is not None:
                    group["lr"] = group["lr"] * self._rate
        if self._clip is not None:
            held = [each for group in optimizer.param_groups for each in group["params"]]
            torch.nn.utils.clip_grad_norm_(
                [each for each in held if isinstance(each, Tensor)], self._clip
            )

    def _step_ended(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        rates = self._rates.pop(id(optimizer), None)
        if rates is not None:
            for group, rate in zip(optimizer.param_groups, rates, strict=False):
                group["lr"] = rate

    # Between two steps

    def heard(self, diagnosis: Diagnosis) -> bool:
        """The conditions were asked: whether anything of it will be treated."""
        if not self._silent:
            self._wanted = treatable(diagnosis, steps=self._doctor.watcher.steps)
        return self._wanted is not None

    def stepped(self, steps: int) -> None:
        """A step was taken, and all is told of it."""
        watcher = self._doctor.watcher
        if self._snapshots is None or self._silent:
            return
        loss = watcher.latest_loss
        if steps == self._history.step + 1 and loss is not None:
            self._history.add(loss)
        elif steps != self._history.step:  # losses are not heard of, or several optimizers step
            self._history.step = steps
        broken = watcher.nonfinite is not None and watcher.nonfinite.stepped
        if broken or self._asking.due(steps, risen=self._history.risen):
            self._doctor.ask()
        finding, self._wanted = self._wanted, None
        if finding is not None:
            self._treat(finding, steps)
        elif not broken and self._snapshots.due(steps):
            self._snapshots.take(steps)

    def _treat(self, finding: Finding, seen: int) -> None:
        if len(self.interventions) >= self._most:
            self._silent = True
            logger.warning("%s: %s; %d repairs are used up", finding.name, finding.what, self._most)
            return
        if several_processes():
            self._silent = True
            logger.warning("%s: %s; several processes are not repaired", finding.name, finding.what)
            return
        assert self._snapshots is not None
        sound = self._history.sound_until
        again = [each for each in self.interventions if each.finding == finding.name]
        if again and self.interventions[-1].back_to <= sound:
            sound = min(sound, max(0, self.interventions[-1].back_to - 1))
        snapshot = self._snapshots.before(sound)
        while snapshot is not None and not snapshot.finite and snapshot.step > 0:
            snapshot = self._snapshots.before(snapshot.step - 1)
        if snapshot is None:
            return
        watcher = self._doctor.watcher
        rows = watcher.rows
        norms = rows.column("raw_grad_norm")[rows.column("step") <= sound].tolist()
        bad = watcher.nonfinite
        if bad is not None and bad.where in ("input", "target"):
            remedy = Remedy()  # it was the batch, and that has gone by
        else:
            remedies = remedies_for(finding.name, norms)
            remedy = rung(remedies, number=len(again), learned=self._history.learned)
        snapshot.put_back(watcher.model, watcher.optimizers)
        for optimizer in watcher.optimizers:
            for group in optimizer.param_groups:
                for each in group["params"]:
                    if each.grad is not None:
                        each.grad.zero_()
        self._rate *= remedy.rate
        self._clip = remedy.clip if remedy.clip is not None else self._clip
        self.interventions = [
            *(_judged(each, "came-back") for each in self.interventions),
            Intervention(
                number=len(self.interventions) + 1,
                finding=finding.name,
                step=sound,
                seen=seen,
                back_to=snapshot.step,
                rate=remedy.rate,
                clip=remedy.clip,
                known=finding.to_json(),
            ),
        ]
        self._history.cut(snapshot.step)
        self._snapshots.forget_after(snapshot.step)
        self._asking.gone_back(snapshot.step)
        self._doctor.go_back(snapshot.step)
        logger.warning(
            "%s: %s; back to the weights of step %d, %s",
            finding.name, finding.what, snapshot.step, self.interventions[-1].changes,
        )  # fmt: skip

    def ended(self, diagnosis: Diagnosis) -> None:
        """The watch is over: what did not come back has held."""
        alarms = {each.name for each in diagnosis.findings if each.severity != "note"}
        self.interventions = [
            _judged(each, "came-back" if each.finding in alarms else "held")
            for each in self.interventions
        ]

    def _say_too_large(self, size: int) -> None:
        self._silent = True
        logger.warning(
            "two snapshots of %d bytes are more than may be kept: nothing can be repaired", size
        )


def several_processes() -> bool:
    """Whether other processes train the same network: they would have to go back too."""
    distributed = torch.distributed
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _judged(done: Intervention, outcome: Outcome) -> Intervention:
    """With its outcome, if it has none yet."""
    return dataclasses.replace(done, outcome=outcome) if done.outcome == "open" else done
