"""Looks on while a script runs for a repair: seeds it, rests at marks, has it judged."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.core.languages import Phrase
from netwright.tasks.launching import Ending, Enough
from netwright.tasks.repair.jobs import Job, Mark

if TYPE_CHECKING:  # at run time they bring torch, which the script must import by itself
    from netwright.doctor.diagnosis import Diagnosis
    from netwright.doctor.watching.program import Program
    from netwright.records.findings import Finding
    from netwright.tasks.repair.judging import Bench


class Examiner:
    """Between one script and the parent of its process."""

    def __init__(self, job: Job, connection: Connection[Any, Any]) -> None:
        self._job, self._connection = job, connection
        self._marks = list(job.marks)
        self._bench: Bench | None = None
        self._program: Program | None = None
        self._process = os.getpid()
        self._steps = 0
        self._over = False

    def numpy_begins(self) -> None:
        if self._job.seed is not None:
            sys.modules["numpy"].random.seed(self._job.seed)

    def begins(self, program: Program) -> None:
        import torch

        from netwright.tasks.repair.judging import Bench

        if self._job.seed is not None:
            torch.manual_seed(self._job.seed)
        if self._job.trial:
            _save_aside(torch)
        self._program = program
        self._bench = Bench(program, self._backward)

    def stepped(self, step: int) -> None:
        if os.getpid() == self._process:
            self._steps = max(self._steps, step)
            self._reached(step)

    def _backward(self, count: int) -> None:
        """A backward pass is over. Where no optimizer ever steps, these are counted."""
        if not self._steps and os.getpid() == self._process and count > 2 * STILL:
            self._reached(count - STILL)

    def _reached(self, step: int) -> None:
        if not self._marks or step < self._marks[0] or self._over:
            return
        self._marks = [each for each in self._marks if each > step]
        if not self._goes_on_after(self._mark(step)):
            self._over = True
            raise Enough

    def _goes_on_after(self, mark: Mark) -> bool:
        """What the parent says to a mark; it needs the run no more where it has gone."""
        try:
            self._connection.send(mark)
            return bool(self._connection.recv() != "stop")
        except (EOFError, OSError):
            return False

    def _mark(self, step: int) -> Mark:
        from netwright.doctor.diagnosis import diagnosed

        assert self._bench is not None
        findings: tuple[Finding, ...] = ()
        unfit = None
        case = self._bench.case
        if not self._job.trial and case is not None and self._program is not None:
            record = case.record()
            findings, unfit = diagnosed(record).findings, _unfit(self._program, record)
        return self._bench.mark(step, findings=findings, unfit=unfit)

    def ended(self, ending: Ending, found: Diagnosis | None) -> None:
        """The script has ended by itself, or has been ended: the last mark."""
        if self._over or self._bench is None or ending.forked:
            return
        error = ""
        if ending.error is not None and ending.why == "error":
            error = f"{type(ending.error).__name__}: {ending.error}".partition("\n")[0][:200]
        unfit = None
        if found is not None and self._program is not None:
            unfit = _unfit(self._program, found.record)
        mark = self._bench.mark(
            self._steps,
            findings=found.findings if found is not None else (),
            unfit=unfit,
            last=True,
            error=error,
        )
        with contextlib.suppress(OSError):  # the parent has gone
            self._connection.send(mark)


STILL = 10
"""Backward passes without any step before they are counted as steps."""


def _unfit(program: Program, record: Any) -> Phrase | None:
    """Why a training is none that patches can be tried on."""
    from netwright.records.facts.setup import Setup

    stirred = [each for each in program.cases if each.stirred]
    setup = record.get(Setup)
    if len(stirred) > 1:
        return Phrase("the script trains several models")
    if setup is not None and len(setup.optimizers) > 1:
        return Phrase("the model has several optimizers")
    if setup is not None and setup.special:
        return Phrase("the loop makes no single loss smaller")
    return None


def _save_aside(torch: Any) -> None:
    """What a trial saves by `torch.save` goes to a folder that ends with it, and is loaded from
    there: a trial must not write over a checkpoint, nor go on from that of another trial."""
    folder = tempfile.TemporaryDirectory(prefix="netwright-trial-")
    saved: dict[str, str] = {}
    save, load = torch.save, torch.load

    def _place(file: Any) -> str | None:
        if isinstance(file, str | os.PathLike):
            return os.path.abspath(os.fspath(file))
        return None

    def save_aside(obj: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        place = _place(f)
        if place is not None and folder is not None:
            f = saved.setdefault(place, str(Path(folder.name) / f"{len(saved)}.pt"))
        return save(obj, f, *args, **kwargs)

    def load_aside(f: Any, *args: Any, **kwargs: Any) -> Any:
        place = _place(f)
        return load(saved.get(place, f) if place is not None else f, *args, **kwargs)

    torch.save, torch.load = save_aside, load_aside
