"""What stands beside an optimizer: schedulers, a scaler of the loss, a clip of the gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from netwright.doctor.watching.living import living
from netwright.doctor.watching.owners import parameters_of
from netwright.doctor.watching.roots import guarded
from netwright.doctor.watching.taps import CLIP_NORM, SCALE_UPDATED, SCALED
from netwright.doctor.watching.watcher import Watcher
from netwright.doctor.watching.wrapped import bare_optimizer


@dataclass
class Counts:
    """What was heard for the optimizers of one watcher."""

    halvings: int = 0
    skips: int = 0
    clips: int = 0
    limit: float | None = None
    bites: Any = 0
    """Clips that cut; a tensor on the device, read when it is asked for."""
    early_schedule: bool = False
    schedulers: dict[int, LRScheduler] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    """Ids of the optimizers that had taken no step when the watch began."""


class Regulators:
    """Hears them for all watchers of a process; a fault is told to the watcher it belongs to."""

    def __init__(self) -> None:
        self._counts: dict[int, Counts] = {}
        self._watchers: list[Watcher] = []
        self._holder: dict[int, Watcher] = {}
        self._ends: list[Callable[[], None]] = []
        self._scale = 1.0

    def attach(self) -> None:
        self._ends = [
            SCALED.listen(guarded(self._scaled, self._failed)),
            SCALE_UPDATED.listen(
                guarded(self._update_begins, self._failed), guarded(self._updated, self._failed)
            ),
            CLIP_NORM.listen(guarded(self._clipped, self._failed)),
        ]

    def detach(self) -> None:
        for end in self._ends:
            end()
        self._ends.clear()

    def attend(self, watcher: Watcher) -> None:
        """`watcher` is to be told of what it trains with."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
            self._counts[id(watcher)] = Counts()
        for optimizer in watcher.optimizers:
            if watcher.steps == 0 and _unused(optimizer):
                self._counts[id(watcher)].fresh.add(id(optimizer))
            for each in parameters_of(optimizer):
                self._holder[id(each)] = watcher
        self.look_for_schedulers(watcher)

    def leave(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            self._holder = {k: each for k, each in self._holder.items() if each is not watcher}

    def _failed(self, error: BaseException) -> None:
        for each in self._watchers:
            each.failed(error)

    def look_for_schedulers(self, watcher: Watcher) -> None:
        """Find the schedulers that turn the rates of `watcher`'s optimizers, by who is alive."""
        counts = self._counts[id(watcher)]
        for each in living(LRScheduler):
            if _of(each, watcher.optimizers):
                counts.schedulers[id(each)] = each

    def schedulers(self, watcher: Watcher) -> tuple[LRScheduler, ...]:
        return tuple(self._known(watcher).schedulers.values())

    def _known(self, watcher: Watcher) -> Counts:
        """Nothing yet, of one whose watch has not begun."""
        return self._counts.get(id(watcher)) or Counts()

    def step_begins(self, watcher: Watcher) -> None:
        """The first step is about to be taken: no scheduler should have turned yet."""
        counts = self._counts[id(watcher)]
        if watcher.steps == 0 and any(
            # Turned once: a run that is taken up again has turned it more often.
            _turned(each) == 1 and id(bare_optimizer(each.optimizer)) in counts.fresh
            for each in counts.schedulers.values()
        ):
            counts.early_schedule = True

    def loop_facts(self, watcher: Watcher) -> dict[str, Any]:
        """Fields of `Loop`."""
        counts = self._known(watcher)
        return {
            "scaler_halvings": counts.halvings,
            "scaler_skips": counts.skips,
            "clip_calls": counts.clips,
            "clip_limit": counts.limit,
            "clipped": int(counts.bites),
            "scheduler_steps": max(map(_turned, counts.schedulers.values()), default=0),
            "scheduler_before_optimizer": counts.early_schedule,
        }

    # Loss scaling

    def _scaled(self, scaler: torch.amp.GradScaler, *args: Any, **kwargs: Any) -> None:
        if not scaler.is_enabled():
            return
        if scaler._scale is None or self._scale == 1.0:  # read once, not every step: it may wait
            self._scale = float(scaler.get_scale())
        for each in self._watchers:
            if each.order.began:
                each.scale = self._scale

    def _update_begins(self, scaler: torch.amp.GradScaler, *args: Any, **kwargs: Any) -> None:
        """A step that was left out is heard of here only: the optimizer was not called."""
        if not scaler.is_enabled():
            return
        for optimizer, state in scaler._per_optimizer_states.items():
            bad = sum(float(each) for each in state["found_inf_per_device"].values())
            for each in self._watchers:
                if bad and any(id(one) == optimizer for one in each.optimizers):
                    self._counts[id(each)].skips += 1
                    each.step_left_out()

    def _updated(
        self, result: Any, scaler: torch.amp.GradScaler, *args: Any, **kwargs: Any
    ) -> None:
        if not scaler.is_enabled():
            return
        before, self._scale = self._scale, float(scaler.get_scale())
        for each in self._watchers:
            if each.scale != 1.0:
                each.scale = self._scale
                self._counts[id(each)].halvings += self._scale < before

    # Clipping

    def _clipped(self, parameters: Any, max_norm: float, total_norm: Any, *rest: Any) -> None:
        if isinstance(parameters, torch.Tensor):
            parameters = [parameters]
        if not isinstance(parameters, Sequence):  # a generator would be used up
            return
        watcher = next(
            (self._holder[id(each)] for each in parameters if id(each) in self._holder), None
        )
        if watcher is None or watcher.ours:
            return
        counts = self._counts[id(watcher)]
        counts.clips += 1
        counts.limit = float(max_norm)
        counts.bites = counts.bites + (total_norm.detach() > max_norm).long()


def _of(scheduler: LRScheduler, optimizers: Sequence[Optimizer]) -> bool:
    own = bare_optimizer(vars(scheduler).get("optimizer"))
    return any(each is own for each in optimizers)


def _turned(scheduler: LRScheduler) -> int:
    """How often it was stepped, besides the one of its own when it was made."""
    return max(0, int(vars(scheduler).get("last_epoch") or 0))


def _unused(optimizer: Optimizer) -> bool:
    """Whether it has taken no step yet, as far as can be told."""
    return not optimizer.state and not getattr(optimizer, "_opt_called", False)
