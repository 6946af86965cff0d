"""What the callbacks of all frameworks have in common: a watch that begins with the training, and
ends with it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from typing import Any, Literal

from torch import nn

from netwright.core.errors import SettingError
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.stopping import FindingError
from netwright.doctor.watch import Doctor
from netwright.doctor.watching.wrapped import bare_model, bare_optimizer
from netwright.records.facts.setup import Loop
from netwright.records.findings import Finding
from netwright.records.record import Record

logger = logging.getLogger("netwright.doctor")

OnStop = Literal["warn", "raise"]


class Visits:
    """One watch for each training; what the last one found can be asked at any time."""

    def __init__(
        self,
        loop: Loop,
        *,
        budget: float,
        every: int | None,
        checkup: bool | float,
        on_stop: OnStop,
    ) -> None:
        """`loop` is whose training it is; the options are those of `nw.watch`."""
        if on_stop not in ("warn", "raise"):
            raise SettingError('on_stop is "warn" or "raise", not {value}.', value=repr(on_stop))
        self._options: dict[str, Any] = {"budget": budget, "every": every, "checkup": checkup}
        self._loop, self._on_stop = loop, on_stop
        self._doctor: Doctor | None = None
        self._watching = False
        self._told: set[tuple[str, tuple[str, ...]]] = set()
        self._stop: tuple[Finding, Diagnosis] | None = None

    def begin(self, model: nn.Module, optimizers: Iterable[Any]) -> None:
        """Watch from here on. A training that was broken off before is over."""
        self.end()
        self._told.clear()
        network, held = bare_model(model), [bare_optimizer(each) for each in optimizers]
        known = dataclasses.replace(setup_of(network, held), loop=self._loop)
        self._doctor = Doctor(network, held, known=known, on_round=self._heard, **self._options)
        self._doctor.__enter__()
        self._watching = True

    def end(self, error: BaseException | None = None) -> None:
        """The training is over, perhaps by `error`."""
        if self._doctor is not None and self._watching:
            self._watching = False
            self._doctor.__exit__(type(error) if error is not None else None, error, None)

    def between_steps(self) -> None:
        """Raises `FindingError` for a new stop, if that was asked for."""
        found, self._stop = self._stop, None
        if found is not None:
            error = FindingError(*found)
            self.end(error)
            raise error

    def _heard(self, _: Doctor, diagnosis: Diagnosis) -> None:
        new = [e for e in diagnosis.at_least("stop") if (e.name, e.layers) not in self._told]
        self._told.update((each.name, each.layers) for each in new)
        if not new:
            return
        if self._on_stop == "raise":
            self._stop = (new[0], diagnosis)
        else:
            logger.warning("%s: %s", new[0].name, new[0].what)

    @property
    def doctor(self) -> Doctor:
        """The watch itself; `SettingError` before the training has begun."""
        if self._doctor is None:
            raise SettingError(
                "No training has begun that this callback could have watched.",
                hint="Hand it to the trainer: Trainer(..., callbacks=[doctor])",
            )
        return self._doctor


class Told:
    """What a callback of ours can be asked, during the training and after it."""

    _visits: Visits

    def record(self) -> Record:
        """The facts so far."""
        return self._visits.doctor.record()

    def diagnosis(self) -> Diagnosis:
        """What is wrong, as one story."""
        return self._visits.doctor.diagnosis()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, the worst first."""
        return self.diagnosis().findings
