"""`nw.watch`: look at any loop while it trains, without touching it.

with nw.watch(model, optimizer) as doctor:
    for x, y in loader:
        ...                      # as it was
print(doctor.diagnosis())
"""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from netwright.core.errors import SettingError
from netwright.core.unheard import unwarned
from netwright.doctor.diagnosis import Diagnosis, diagnosed
from netwright.doctor.failing import failure_of
from netwright.doctor.interventions.mending import Mending, several_processes
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.quiet import as_written
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.stopping import FindingError
from netwright.doctor.watching.company import Company, shown_by
from netwright.doctor.watching.reliance import Relying
from netwright.doctor.watching.roots import guarded
from netwright.doctor.watching.rounds import FIRST, Rounds
from netwright.doctor.watching.taps import BACKWARD
from netwright.doctor.watching.watcher import Watcher
from netwright.doctor.watching.wrapped import bare_model, bare_optimizer
from netwright.records.facts.cost import Cost
from netwright.records.facts.loop import Loop
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.setup import Setup
from netwright.records.findings import Finding
from netwright.records.interventions import Intervention
from netwright.records.record import Record

logger = logging.getLogger("netwright.doctor")

EARLY = 400
"""Steps after which no player of a game and no copy that teaches is looked for any more."""

ROUNDS = 0.3
"""The part of the budget that asking the conditions may take, after the first steps."""

_HOMES: Counter[int] = Counter()
"""How many watches began in a thread."""

Heard = Callable[["Doctor", Diagnosis], None]


class Doctor:
    """The handle of a watch: what has been seen so far, any time."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        *,
        budget: float = 0.02,
        every: int | None = None,
        checkup: bool | float = True,
        on_stop: Literal["warn", "raise", "repair"] = "warn",
        repairs: int = 3,
        on_step: Callable[[int], None] | None = None,
        on_round: Heard | None = None,
        on_fault: Callable[[str], None] | None = None,
        company: Company | None = None,
        known: Setup | None = None,
        after_step: Callable[[int], None] | None = None,
        rounds: bool = True,
    ) -> None:
        """`on_step` is told of each step by the watcher, `after_step` when all is done for it: it
        may raise to end the loop. `on_round` is called each time the conditions were asked, and
        a `stop` is not logged then; `company` is shared by several watches; `known` is a set-up
        of which more is known than the model and its optimizers tell. Without `rounds` they are
        asked when the diagnosis is asked for, and not before."""
        self.patient = Patient(
            model=model, optimizers=tuple(optimizers), setup=known or setup_of(model, optimizers)
        )
        self._checkup = checkup
        self._checked: list[object] = []
        self._checkup_seconds = 0.0
        self._round_seconds = 0.0
        self._on_stop, self._on_round = on_stop, on_round
        self._mending = Mending(self, most=repairs) if on_stop == "repair" else None
        self._after_step = after_step
        self._told: set[tuple[str, tuple[str, ...]]] = set()
        self._asks, self._rounds = rounds, Rounds()
        self._relying = Relying()
        self._company = company or Company()
        self._owns_company = company is None
        self._crash: list[object] = []
        self.ended = False
        """Whether the loop came to its own end: it did not crash, and nobody cut it short."""
        self._ends: list[Callable[[], None]] = []
        self._first: list[RemovableHandle] = []
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
        try:
            self._attach()
        except Exception as error:
            # A model or an optimizer of another make: it trains all the same.
            self.watcher.failed(error)
        return self

    def _attach(self) -> None:
        watcher = self.watcher
        watcher.attach()
        self._ends.append(
            BACKWARD.listen(
                self._of_this_thread(watcher.doze.backward_begins),
                self._of_this_thread(watcher.doze.backward_ended),
            )
        )
        if self._owns_company:
            self._company.attach()
            self._ends.append(self._company.detach)
        self._company.attend(watcher)
        for each in watcher.optimizers:
            self._hook(each)

    def _of_this_thread(self, heard: Callable[..., None]) -> Callable[..., None]:
        """`heard`, but not of a backward pass in a thread that has a watch of its own: to read
        gradients of this model while its own thread clears them ends the process."""
        home, homes = threading.get_ident(), _HOMES
        homes[home] += 1
        self._ends.append(lambda: homes.subtract([home]))

        def told(*args: Any, **kwargs: Any) -> None:
            here = threading.get_ident()
            if here == home or homes[here] <= 0:
                heard(*args, **kwargs)

        return told

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self.crashed(error)
        for end in self._ends:
            end()
        self._ends.clear()
        self._company.feeding.settle()
        self._company.specials.leave(self.watcher)
        self.watcher.detach()
        self.ended = self._owns_company and error is None
        if self._mending is not None and self._mending.interventions:
            self._mending.ended(self.diagnosis())

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """What was done to the training, with `on_stop="repair"`."""
        return tuple(self._mending.interventions) if self._mending is not None else ()

    def add(self, optimizer: Optimizer) -> None:
        """Another optimizer of the same model."""
        self.watcher.add(optimizer)
        self._hook(optimizer)
        self._company.attend(self.watcher)
        optimizers = (*self.patient.optimizers, optimizer)
        self.patient.optimizers = optimizers
        self.patient.setup = dataclasses.replace(
            self.patient.setup, optimizers=setup_of(self.patient.model, optimizers).optimizers
        )

    def _hook(self, optimizer: Optimizer) -> None:
        """After the hooks of the watcher: when a step is counted, it may be time for a round."""
        begins = guarded(
            lambda *_: self._company.regulators.step_begins(self.watcher), self.watcher.failed
        )
        if self._mending is not None:
            self._ends += self._mending.hook(optimizer)
        before = optimizer.register_step_pre_hook(begins)
        after = optimizer.register_step_post_hook(self._stepped)
        self._first.append(before)  # wanted before the first step alone
        self._ends += [before.remove, after.remove]

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.watcher.ours or self.watcher.fault or self.watcher.in_step:
            return
        steps = self.watcher.steps
        if steps <= EARLY or steps >= self._rounds.next:
            self._now_and_then(optimizer)
        if self._mending is not None:
            self._mended(steps)
        if self._after_step is not None:
            self._after_step(steps)

    def _mended(self, steps: int) -> None:
        assert self._mending is not None
        try:
            self._mending.stepped(steps)
        except Exception as error:
            self.watcher.failed(error)

    def _now_and_then(self, optimizer: Optimizer) -> None:
        self._company.specials.stepped(self.watcher, optimizer)
        while self._first:
            self._first.pop().remove()
        steps, pace = self.watcher.steps, self.watcher.pace
        if (
            self._asks
            and self._rounds.due(steps)
            and (steps <= FIRST[-1] or self._round_seconds < ROUNDS * pace.budget * pace.seconds)
        ):
            self._round()

    def ask(self) -> None:
        """Ask the conditions now, between two steps."""
        self._round()

    def _round(self) -> None:
        """Ask the conditions, and tell what they found."""
        watcher = self.watcher
        began = time.perf_counter()
        try:
            found = self.diagnosis()
            stop = self._new_stop(found)
            if self._on_round is not None:
                self._on_round(self, found)
            if self._mending is not None and self._mending.heard(found):
                stop = None  # it is told when it is treated
        except Exception as error:
            watcher.failed(error)
            return
        spent = time.perf_counter() - began
        if watcher.steps == FIRST[0]:  # on what the check-up has found: it counts with that
            self._checkup_seconds += spent
            watcher.pace.leave_out(spent)
            watcher.pace.hooks += spent  # this hook is not one that counts its own time
        else:
            self._round_seconds += spent
            watcher.pace.hooks += spent
        if stop is None or self._on_round is not None:
            return
        if self._on_stop == "raise":
            raise FindingError(stop, found)
        logger.warning("%s: %s", stop.name, stop.what)

    def go_back(self, step: int, *, replayed: bool = False) -> None:
        """The loop has the weights of step `step` again: forget what was seen since. `replayed`
        says that its batches come by again as well."""
        self.watcher.go_back(step, replayed=replayed)
        self._rounds = Rounds(after=step)
        self._told.clear()
        self._crash.clear()

    def _new_stop(self, diagnosis: Diagnosis) -> Finding | None:
        """The first finding of severity stop that was not told yet."""
        for each in diagnosis.findings:
            if each.severity == "stop" and (each.name, each.layers) not in self._told:
                self._told.add((each.name, each.layers))
                return each
        return None

    def crashed(self, error: Exception) -> None:
        """The loop ends by `error`: if a loss raised it, what that was given is kept."""
        try:
            found = failure_of(error, self.watcher.tape, step=self.watcher.steps + 1)
        except Exception:
            return
        if found is not None:
            self._crash = [found]

    @property
    def stirred(self) -> bool:
        """Whether the loop has done anything worth a record: a backward pass, a crash, or a pass
        over a loader without a batch."""
        empty = self._company.feeding.empty() is not None
        return bool(self._crash) or self.watcher.order.backwards > 0 or empty

    def _sampled(self, sample: Sample) -> None:
        """One of the first batches came by, before the step on it. It is kept no longer than the
        check-up needs it."""
        if self.patient.samples:
            sample.let_go()
            return
        self.patient.samples.append(sample)
        began = time.perf_counter()
        try:
            self._company.introduce(self.patient, self.watcher)
            if self._checkup:
                from netwright.doctor.checkup import SECONDS, examine

                seconds = SECONDS if self._checkup is True else float(self._checkup)
                with as_written, unwarned():
                    self._checked = list(examine(self.patient, seconds=seconds))
            else:
                from netwright.doctor.checkup import glance

                with unwarned():
                    self._checked = list(glance(self.patient, sample))
            self.patient.setup = shown_by(self.patient.setup, sample)
            self._relying.keep(sample, self._neighbourhood)
        finally:
            sample.let_go()
        self._checkup_seconds = time.perf_counter() - began

    def _seen(self) -> list[object]:
        """What the watcher knows. A fault of ours ends the watch here as well: whoever asks may be
        in the middle of the loop."""
        watcher = self.watcher
        try:
            with unwarned():
                return watcher.facts()
        except Exception as error:
            watcher.failed(error)
            return [watcher.cost()]

    @property
    def _neighbourhood(self) -> Neighbourhood | None:
        return next((each for each in self._checked if isinstance(each, Neighbourhood)), None)

    def record(self) -> Record:
        """The facts so far."""
        facts = [self.patient.setup, *self._checked, *self._seen(), *self._crash]
        timed = [
            dataclasses.replace(each, checkup=self._checkup_seconds)
            if isinstance(each, Cost)
            else dataclasses.replace(each, ended=self.ended)
            if isinstance(each, Loop)
            else each
            for each in facts
        ]
        relies = self._relying.fact(self.patient, self.watcher, self._neighbourhood)
        known = self._company.facts(self.patient, self.watcher, timed)
        return Record(known if relies is None else [*known, relies])

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
    checkup: bool | float = True,
    on_stop: Literal["warn", "raise", "repair"] = "warn",
    repairs: int = 3,
) -> Doctor:
    """Watch whatever loop trains `model` with `optimizer`, inside a `with` block.

    Nothing of the loop changes: its numbers are bit for bit those without the watch. `budget` is
    the share of the training's own time that watching may take; `every` looks closely at each
    such step instead. `checkup` says whether the first batch is examined before the step on it, or
    how many seconds that may take (10 unless said). `loss_fn` is not needed; it is accepted for
    loops that compute their loss where it cannot be seen. Models and optimizers that accelerate or
    Fabric have wrapped may be given wrapped or bare. A finding of severity `stop` is logged as a
    warning when it first stands; with `on_stop="raise"` it ends the loop between two steps, by a
    `FindingError` that carries it.

    With `on_stop="repair"` a training that fails by its rate or its gradients goes on: weights,
    buffers and the memory of the optimizers are put back, in place, to what they were before, and
    from then on the rate is lowered or the gradients are clipped, at most `repairs` times. The
    loop is not told; `Doctor.interventions` says what was done. Until then nothing is changed. For
    it up to four copies of that state are kept where it lies (4 GiB at most), made so rarely that
    they take about 1 % of the time. Not for a network that several processes train.
    """
    if on_stop == "repair" and several_processes():
        raise SettingError(
            'on_stop="repair" is for one process: here several train the same network.',
            hint='Take on_stop="warn" or "raise".',
        )
    if isinstance(repairs, bool) or not isinstance(repairs, int) or repairs < 1:
        raise SettingError(
            "repairs is a number of times, from 1 on, not {value}.", value=repr(repairs)
        )
    _refuse_unfit(model, optimizer, budget, on_stop)
    if not isinstance(checkup, bool | int | float) or not 0 <= checkup < math.inf:
        raise SettingError(
            "checkup is True, False, or how many seconds a check-up may take, not {value}.",
            value=repr(checkup),
        )
    given = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
    optimizers = [bare_optimizer(each) for each in given]
    return Doctor(
        bare_model(model),
        optimizers,
        budget=budget,
        every=every,
        checkup=checkup,
        on_stop=on_stop,
        repairs=repairs,
    )


def _refuse_unfit(model: object, optimizer: object, budget: object, on_stop: object) -> None:
    """`SettingError` for what cannot be watched, before anything is touched."""
    if not isinstance(model, nn.Module):
        raise SettingError(
            "nw.watch takes a model first, an instance of torch.nn.Module, not {given}.",
            hint="Try: with nw.watch(model, optimizer) as doctor:",
            given=named(model),
        )
    several = list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]
    wrong = [
        each
        for each in several
        if not isinstance(bare_optimizer(each), Optimizer)
        and not isinstance(each, Iterator)  # of optimizers; it can be walked through once only
    ]
    if wrong:
        raise SettingError(
            "nw.watch takes the optimizer of the model second, or a list of several, not {given}.",
            hint="Try: with nw.watch(model, optimizer) as doctor:",
            given=named(wrong[0]),
        )
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget <= 1:
        raise SettingError(
            "budget is a share of the training's time, above 0 and at most 1, not {value}.",
            value=repr(budget),
        )
    if on_stop not in ("warn", "raise", "repair"):
        raise SettingError(
            'on_stop is "warn", "raise" or "repair", not {value}.',
            value=repr(on_stop),
        )


def named(given: object) -> str:
    """What was handed over, for a message.

    >>> named(nn.Linear), named(3)
    ('the class Linear', 'int')
    """
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
