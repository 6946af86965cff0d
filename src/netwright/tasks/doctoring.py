"""A script under the doctor's eyes: it runs as it always did, and what its training suffers from
is said while it runs and when it has ended.

Torch is imported by the script, not here: the watch begins when it has come. Whatever goes wrong
on our side ends the watch with one line; the script goes on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.core.atomic import write_bytes
from netwright.core.errors import NetwrightError, SettingError
from netwright.core.extras import refuse_absent_extra
from netwright.core.languages import Phrase
from netwright.records.findings import SEVERITIES, Finding
from netwright.records.severity import FailOn, reaches
from netwright.tasks.launching import Ending, Enough, Target, find, launch, when_imported
from netwright.tasks.provenance import git_state, now, versions
from netwright.train.run_folder import RunFolder
from netwright.train.run_places import refuse_taken, refuse_unfit

if TYPE_CHECKING:  # at run time they bring torch, which the script must import by itself
    from netwright.doctor.diagnosis import Diagnosis
    from netwright.doctor.watching.program import Case, Program
    from netwright.records.facts.left_out import LeftOut

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
    checkup: bool = True
    steps: int | None = None
    minutes: float | None = None
    run_dir: Path | None = None
    tensorboard: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        for name, value in (("--steps", self.steps), ("--minutes", self.minutes)):
            if value is not None and not value > 0:
                raise SettingError("{name} must be above 0, not {value}.", name=name, value=value)
        if not 0 < self.budget <= 1:
            raise SettingError(
                "--budget is a share of the training's time, above 0 and at most 1, not {value}.",
                value=self.budget,
            )


@dataclass(frozen=True, kw_only=True)
class Doctored:
    """What came of it: how the script ended, what was found, and where it is written."""

    ending: Ending
    findings: tuple[tuple[int, Finding], ...] = ()
    """Each with the number of its patient, roots before symptoms."""
    patients: int = 0
    steps: int = 0
    run: Path | None = None
    costs: Sequence[Mapping[str, Any]] = ()
    left_out: Sequence[tuple[int, LeftOut]] = ()
    """What the check-ups did not look at, by the number of the patient."""
    fault: str = ""
    alone: bool = False
    """Whether nobody watched it, for it is one of several ranks of one training."""

    def exit_code(self, fail_on: FailOn) -> int:
        """4 if a finding stands at or above `fail_on`, else that of the script."""
        return 4 if reaches([each for _, each in self.findings], fail_on) else self.ending.status

    def to_json(self, command: str) -> dict[str, Any]:
        return {
            "command": command,
            "status": self.ending.status,
            "why": self.ending.why,
            "findings": [{**each.to_json(), "patient": number} for number, each in self.findings],
            "run": str(self.run) if self.run is not None else None,
            "steps": self.steps,
            "patients": self.patients,
            "cost": list(self.costs),
            "left_out": [{**each.to_json(), "patient": number} for number, each in self.left_out],
            "fault": self.fault or None,
        }


def doctor_script(
    target: Target, wish: Wish, *, tell: Tell, show: Show, leave: bool = False
) -> Doctored:
    """Run `target` and watch what it trains; `tell` and `show` are called while it runs.

    With `leave` the process ends after this, and stays as the script left it. Raises
    `SettingError` where there is no such script or the run folder is taken.
    """
    script = find(target)
    if wish.run_dir is not None:
        refuse_unfit(wish.run_dir)
        refuse_taken(wish.run_dir)
    if int(os.environ.get("RANK", "0") or 0) > 0:  # one of several ranks: the first is watched
        return Doctored(ending=launch(script, leave=leave), alone=True)
    visit = Visit(target, wish, tell, show)
    with when_imported("torch", visit.begin), visit.timed():
        ending = launch(script, leave=leave)
    if ending.forked:
        return Doctored(ending=ending)
    return visit.end(ending)


@dataclass
class _Written:
    """One patient as it stands in the run folder."""

    place: Path
    saved: float = 0.0
    told: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)


class Visit:
    """The doctor's visit to one script."""

    def __init__(self, target: Target, wish: Wish, tell: Tell, show: Show) -> None:
        self.target, self.wish = target, wish
        self._tell, self._show = tell, show
        # Where the command was started: the script may change its folder.
        self._root = Path(os.environ.get("NETWRIGHT_RUNS") or "runs").absolute()
        self._run_dir = wish.run_dir.absolute() if wish.run_dir is not None else None
        self._git = git_state()
        self._started = now()
        self._clock = time.monotonic()
        self._process = os.getpid()
        self._program: Program | None = None
        self._folder: RunFolder | None = None
        self._written: dict[int, _Written] = {}
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

    def _patient(self, case: Case) -> None:
        if os.getpid() != self._process:
            return
        folder = self._opened(case)
        place = folder.path if case.number == 1 else folder.path / f"patient-{case.number}"
        place.mkdir(exist_ok=True)
        self._written[case.number] = _Written(place)
        self._tell(
            "watching",
            Phrase("{script}: {patient}", script=self._label(case), patient=in_words(case)),
        )

    def _opened(self, case: Case) -> RunFolder:
        """The run folder; made when there is a first patient."""
        if self._folder is None:
            assert case.doctor is not None
            setup = case.doctor.patient.setup
            names = [Path(self.target.label).stem, setup.model]
            folder = RunFolder.create(self._run_dir, name_parts=names, root=self._root)
            folder.write_info(
                kind="doctor",
                why="",
                command=self.wish.command,
                versions=versions(),
                git=self._git,
                device=setup.device,
                seed=None,
                started=self._started,
                ended=None,
                best=None,
                epochs=0,
                steps=0,
            )
            folder.write_model(
                {
                    "format": 1,
                    "task": "watched",
                    "architecture": {"name": setup.model},
                    "params": setup.params,
                    "data": {"name": self.target.label},
                }
            )
            write_bytes(folder.path / "findings.jsonl", b"")
            folder.point_latest()
            self._folder = folder
        return self._folder

    def _round(self, case: Case, diagnosis: Diagnosis) -> None:
        if os.getpid() != self._process:
            return
        written = self._written[case.number]
        self._found[case.number] = diagnosis
        for finding in diagnosis.findings:
            key = (finding.name, finding.layers)
            if finding.severity != "note" and key not in written.told:
                written.told.add(key)
                shared = _of_loss(diagnosis, finding)
                if shared and self._shared.setdefault(shared, case.number) != case.number:
                    continue
                self._show(finding, self._label(case) if self._several else "")
        if time.monotonic() - written.saved > SAVE_EVERY:
            self._write(case, diagnosis)

    def _write(self, case: Case, diagnosis: Diagnosis) -> None:
        assert self._folder is not None
        written = self._written[case.number]
        diagnosis.record.save(written.place)
        lines = [
            json.dumps({**finding.to_json(), "patient": number}, ensure_ascii=False)
            for number, finding in _in_order(self._found)
        ]
        write_bytes(
            self._folder.path / "findings.jsonl",
            "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"),
        )
        written.saved = time.monotonic()

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
        return Doctored(
            ending=ending,
            findings=tuple(_in_order(self._found)),
            patients=len(cases),
            steps=max((_steps(each.record) for each in self._found.values()), default=0),
            run=self._folder.path if self._folder is not None else None,
            costs=[_cost(each.record) for each in self._found.values()],
            left_out=_left_out(self._found),
            fault=self.fault,
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
            if case.number not in self._written and case.doctor is not None and case.doctor.stirred:
                self._patient(case)
        cases = [each for each in program.cases if each.number in self._written]
        for case in cases:
            self._found[case.number] = diagnosed(case.record())
        for case in cases:
            self._write(case, self._found[case.number])
        if self.wish.tensorboard and self._folder is not None:
            with self._guard():
                _write_boards(self._folder.path, self._found)
        if self._folder is not None:
            self._write_ending(self._folder, ending)
        return cases

    def _write_ending(self, folder: RunFolder, ending: Ending) -> None:
        from netwright.records.run import Run
        from netwright.report.page import write_report
        from netwright.tasks.watched_metrics import metrics_of

        first = next(iter(self._found.values())).record
        for line in metrics_of(first):
            folder.append_metrics(line)
        folder.write_info(
            status={"error": "failed", "interrupted": "interrupted"}.get(ending.why, "done"),
            why=ending.why,
            exit=ending.status,
            ended=now(),
            seconds=round(time.monotonic() - self._clock, 3),
            steps=max(_steps(each.record) for each in self._found.values()),
        )
        write_report(Run(folder.path))
        folder.close()


def _write_boards(run: Path, found: Mapping[int, Diagnosis]) -> None:
    from netwright.tasks.doctor_board import write_board  # needs an extra

    for number, each in found.items():
        write_board(run, each, patient=number)


def refuse_absent_board() -> None:
    """`SettingError` where TensorBoard is not installed. It is looked for and not imported: that
    is the script's affair, and so is torch."""
    if importlib.util.find_spec("tensorboard") is None:
        refuse_absent_extra("track", "tensorboard", "--tensorboard")


def doctor_run(spec: str, *, tensorboard: bool = False) -> Doctored:
    """The findings of a record that was saved, without training anything; with `tensorboard` the
    curves of it are written into the run as well.

    Raises `SettingError` or `DataError` where there is no record that can be read.
    """
    from netwright.doctor.diagnosis import diagnosed
    from netwright.records.record import DOCUMENT, Record
    from netwright.records.run import find_run

    folder = Path(spec)
    if not (folder / DOCUMENT).is_file():
        folder = find_run(spec).path
        if not (folder / DOCUMENT).is_file():
            raise SettingError(
                "The run {run} holds no record of the doctor.",
                hint="netwright doctor SCRIPT.py makes one, and so does "
                "netwright train ... doctor.mode=watch",
                run=str(folder),
            )
    places = [folder, *sorted(folder.glob(f"patient-*/{DOCUMENT}"))]
    found = {
        number: diagnosed(Record.load(place if place.is_dir() else place.parent))
        for number, place in enumerate(places, 1)
    }
    if tensorboard:
        _write_boards(folder, found)
    return Doctored(
        ending=Ending(status=0, why="done"),
        findings=tuple(_in_order(found)),
        patients=len(found),
        steps=max(_steps(each.record) for each in found.values()),
        run=folder,
        costs=[_cost(each.record) for each in found.values()],
        left_out=_left_out(found),
    )


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


def _in_order(found: Mapping[int, Diagnosis]) -> list[tuple[int, Finding]]:
    """All findings: patients by the worst of theirs, and each one's as its diagnosis ranks them, a
    root before its symptoms."""
    worst = {
        number: min((SEVERITIES.index(each.severity) for each in one.findings), default=0)
        for number, one in found.items()
    }
    told: dict[tuple[int, str], int] = {}
    kept = []
    for number in sorted(found, key=lambda each: (worst[each], each)):
        for each in found[number].findings:
            key = _of_loss(found[number], each)
            if key is None or told.setdefault(key, number) == number:
                kept.append((number, each))
    return kept


def _of_loss(diagnosis: Diagnosis, finding: Finding) -> tuple[int, str] | None:
    """What a finding is called that patients of one loss have in common: it is told once."""
    from netwright.records.facts.setup import Setup

    setup = diagnosis.record.get(Setup)
    if setup is None or not setup.loss_group or finding.layers:
        return None
    return setup.loss_group, finding.name


def _left_out(found: Mapping[int, Diagnosis]) -> list[tuple[int, LeftOut]]:
    return [(n, each.left_out) for n, each in found.items() if each.left_out is not None]


def _steps(record: Any) -> int:
    from netwright.records.facts.steps import Steps

    steps = record.get(Steps)
    return steps.total if steps is not None else 0


def _cost(record: Any) -> dict[str, Any]:
    from netwright.records.facts.cost import Cost

    cost = record.get(Cost) or Cost()
    return {
        "share": cost.share,
        "seconds": cost.seconds,
        "hooks": cost.hooks,
        "looks": cost.looks,
        "looked": cost.looked,
        "checkup": cost.checkup,
        "budget": cost.budget,
    }
