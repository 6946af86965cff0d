"""A script under the doctor's eyes: it runs as it always did, and what its training suffers from
is said while it runs.

Torch is imported by the script, not here: the watch begins when it has come. Whatever goes wrong
on our side ends the watch with one line; the script goes on.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from netwright.core.errors import NetwrightError, SettingError
from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.doctored import Doctored, came_of, of_loss
from netwright.tasks.launching import (
    Ending,
    Enough,
    Script,
    Target,
    find,
    launch,
    when_imported,
)
from netwright.tasks.watched_folder import WatchedFolder
from netwright.train.run_places import refuse_taken, refuse_unfit

if TYPE_CHECKING:  # at run time they bring torch, which the script must import by itself
    from netwright.doctor.diagnosis import Diagnosis
    from netwright.doctor.watching.program import Case, Program

Tell = Callable[[str, Phrase], None]
"""Shows a line: a word such as NOTE, and what is to be said."""

Show = Callable[[Finding, str], None]
"""Shows a finding; the text names its patient where there are several."""

SAVE_EVERY = 10.0
"""Seconds between two savings of the record at the least, while the script runs."""

GRACE = 2.0
"""Seconds that a script gets to come to the end of its step when its time is over."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How a script is to be watched."""

    budget: float = 0.02
    checkup: bool | float = True
    """Whether there are probes before the first step, or the seconds that they may take."""
    steps: int | None = None
    minutes: float | None = None
    run_dir: Path | None = None
    tensorboard: bool = False
    command: str = ""
    keep: bool = True
    """Whether what is seen is kept in a run folder."""

    def __post_init__(self) -> None:
        checkup = None if isinstance(self.checkup, bool) else self.checkup
        for name, value in (
            ("--steps", self.steps), ("--minutes", self.minutes), ("--checkup", checkup)
        ):  # fmt: skip
            if value is not None and not 0 < value < math.inf:
                raise SettingError("{name} must be above 0, not {value}.", name=name, value=value)
        if not 0 < self.budget <= 1:
            raise SettingError(
                "--budget is a share of the training's time, above 0 and at most 1, not {value}.",
                value=self.budget,
            )


class Beside(Protocol):
    """Who looks on while a script is watched, and may end it."""

    def begins(self, program: Program) -> None:
        """Torch has been imported and the watch has begun."""

    def stepped(self, step: int) -> None:
        """A step is over; may raise `Enough`."""

    def ended(self, ending: Ending, found: Diagnosis | None) -> None:
        """The script has ended; `found` is the diagnosis of its first patient."""


def doctor_script(
    target: Target,
    wish: Wish,
    *,
    tell: Tell,
    show: Show,
    leave: bool = False,
    script: Script | None = None,
    beside: Beside | None = None,
) -> Doctored:
    """Run `target` and watch what it trains; `tell` and `show` are called while it runs.

    With `leave` the process ends after this, and stays as the script left it. `script` is what
    is run in the place of what `target` names: the same one, changed. Raises `SettingError` where
    there is no such script or the run folder is taken.
    """
    script = script or find(target)
    if wish.run_dir is not None:
        refuse_unfit(wish.run_dir)
        refuse_taken(wish.run_dir)
    if int(os.environ.get("RANK", "0") or 0) > 0:  # one of several ranks: the first is watched
        return Doctored(ending=launch(script, leave=leave), alone=True)
    visit = Visit(target, wish, tell, show, beside)
    with when_imported("torch", visit.begin), visit.timed():
        ending = launch(script, leave=leave)
    if ending.forked:
        return Doctored(ending=ending)
    return visit.end(ending)


@dataclass
class _Seen:
    """What has been written and told of one patient."""

    place: Path
    saved: float = 0.0
    told: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)


class Visit:
    """The doctor's visit to one script."""

    def __init__(
        self,
        target: Target,
        wish: Wish,
        tell: Tell,
        show: Show,
        beside: Beside | None = None,
    ) -> None:
        self.target, self.wish, self._beside = target, wish, beside
        self._tell, self._show = tell, show
        self._folder = WatchedFolder(wish.run_dir, label=target.label, command=wish.command)
        self._clock = time.monotonic()
        self._process = os.getpid()
        self._program: Program | None = None
        self._seen: dict[int, _Seen] = {}
        self._found: dict[int, Diagnosis] = {}
        self._shared: dict[tuple[int, str], int] = {}
        """Of which of several patients with one loss a finding was told."""
        self.fault = ""

    # What happens while the script runs

    def begin(self) -> None:
        """Torch has been imported: from here on models are watched."""
        with self._guard():
            from netwright.doctor.watching.program import Program

            self._program = Program(
                budget=self.wish.budget,
                checkup=self.wish.checkup,
                on_begin=self._patient,
                on_round=self._round,
                on_step=self._stepped,
                on_strays=self._strays,
                on_fault=self._fault_told,
            )
            self._program.__enter__()
            if self._beside is not None:
                self._beside.begins(self._program)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """`--minutes`: the script is ended between two steps; if it takes none, anywhere."""
        minutes = self.wish.minutes
        main = threading.current_thread() is threading.main_thread()
        if minutes is None or not main or signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
            yield
            return

        def enough(number: int, frame: object) -> None:
            raise Enough

        signal.signal(signal.SIGALRM, enough)
        signal.setitimer(signal.ITIMER_REAL, 60 * minutes + GRACE, GRACE)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGALRM) is enough:  # else the script has its own
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _stepped(self, step: int) -> None:
        """A step is over: the script may have been run for long enough."""
        wish = self.wish
        if os.getpid() != self._process:  # a forked worker ends with the script that made it
            return
        if wish.steps is not None and step >= wish.steps:
            raise Enough
        if wish.minutes is not None and time.monotonic() - self._clock >= 60 * wish.minutes:
            raise Enough
        if self._beside is not None:
            self._beside.stepped(step)

    def _patient(self, case: Case) -> None:
        if os.getpid() != self._process:
            return
        assert case.doctor is not None
        first, place = self.wish.keep and self._folder.path is None, Path()
        if self.wish.keep:
            place = self._folder.place(case.number, case.doctor.patient.setup)
        self._seen[case.number] = _Seen(place)
        self._tell(
            "watching",
            Phrase("{script}: {patient}", script=self._label(case), patient=in_words(case)),
        )
        if first:  # said now, for who kills the script never sees the end
            again = "latest" if self.wish.run_dir is None else typed(place)
            self._tell(
                "run",
                Phrase(
                    "{path}   (if it is killed: netwright doctor {again})",
                    path=typed(place),
                    again=again,
                ),
            )

    def _round(self, case: Case, diagnosis: Diagnosis) -> None:
        if os.getpid() != self._process:
            return
        seen = self._seen[case.number]
        self._found[case.number] = diagnosis
        for finding in diagnosis.findings:
            key = (finding.name, finding.layers)
            if finding.severity != "note" and key not in seen.told:
                seen.told.add(key)
                shared = of_loss(diagnosis, finding)
                if shared and self._shared.setdefault(shared, case.number) != case.number:
                    continue
                self._show(finding, self._label(case) if self._several else "")
        if time.monotonic() - seen.saved > SAVE_EVERY:
            self._write(case, diagnosis)

    def _write(self, case: Case, diagnosis: Diagnosis) -> None:
        seen = self._seen[case.number]
        if not self.wish.keep:
            return
        diagnosis.record.save(seen.place)
        self._folder.write_findings(self._found)
        seen.saved = time.monotonic()

    def _strays(self, optimizer: Any, count: int) -> None:
        self._tell(
            "NOTE",
            Phrase(
                "{optimizer} holds tensors that belong to no module, and they are not watched: "
                "{count}",
                optimizer=type(optimizer).__name__,
                count=count,
            ),
        )

    def _fault_told(self, reason: str) -> None:
        """Something of ours went wrong: said once, and the script goes on."""
        if not self.fault:
            self.fault = reason
            self._tell("NOTE", Phrase("Watching has ended by a fault of ours: {why}", why=reason))

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except NetwrightError as error:
            self._fault_told(str(error).partition("\n")[0])
        except Exception as error:
            self._fault_told(f"{type(error).__name__}: {error}".partition("\n")[0])

    @property
    def _several(self) -> bool:
        return self._program is not None and len(self._program.cases) > 1

    def _label(self, case: Case) -> str:
        return f"{self.target.label} [{case.number}]" if self._several else self.target.label

    # What comes when it has ended

    def end(self, ending: Ending) -> Doctored:
        cases: list[Case] = []
        with self._guard():
            cases = self._close(ending)
        if self._beside is not None:
            with self._guard():
                self._beside.ended(ending, next(iter(self._found.values()), None))
        return came_of(
            ending, self._found, patients=len(cases), run=self._folder.path, fault=self.fault
        )

    def _close(self, ending: Ending) -> list[Case]:
        """Judge for the last time, and write all down."""
        program = self._program
        if program is None:
            return []
        from netwright.doctor.diagnosis import diagnosed

        if ending.error is not None:
            program.crashed(ending.error)
        program.__exit__()
        for case in program.cases:
            if case.doctor is not None:
                case.doctor.ended = ending.why == "done"
        for case in program.cases:  # one that never took a step is told of now
            if case.number not in self._seen and case.doctor is not None and case.doctor.stirred:
                self._patient(case)
        cases = [each for each in program.cases if each.number in self._seen]
        for case in cases:
            self._found[case.number] = diagnosed(case.record())
        for case in cases:
            self._write(case, self._found[case.number])
        if self._folder.path is not None:
            if self.wish.tensorboard:
                with self._guard():
                    from netwright.tasks.doctored_again import write_boards

                    write_boards(self._folder.path, self._found)
            self._folder.write_ending(ending, self._found)
        return cases


def in_words(case: Case) -> Phrase:
    """`SGD lr 0.1, Sequential 3 layers, cross_entropy`."""
    assert case.doctor is not None
    patient = case.doctor.patient
    optimizers = ", ".join(f"{each.kind} lr {each.lr:g}" for each in patient.setup.optimizers)
    layers = sum(bool(each._parameters) for each in patient.model.modules())
    sample = patient.sample
    call = sample.loss_call if sample is not None else None
    return Phrase(
        "{optimizers}, {model} with {layers} layers of weights, {loss}"
        if layers != 1
        else "{optimizers}, {model} with {layers} layer of weights, {loss}",
        optimizers=optimizers,
        model=patient.setup.model,
        layers=layers,
        loss=call.name if call is not None else Phrase("a loss of its own"),
    )


def typed(path: Path) -> str:
    """A path as it is typed from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)
