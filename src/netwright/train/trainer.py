"""The training loop: steps, events, checkpoints and time, for any `Task`.

The loop takes a step, tells the listeners, and acts only at the boundary between two steps:
there it evaluates, saves, carries out the requests of listeners, and obeys signals. All that
it must remember is `Progress`, which every checkpoint holds; so a run goes on from any of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from netwright.core import events as e
from netwright.core.atomic import make_folder, write_json
from netwright.core.errors import (
    CheckpointError,
    DivergedError,
    InterruptedRunError,
    NetwrightError,
)
from netwright.core.languages import Phrase, Series
from netwright.train.checkpoints import Checkpoint
from netwright.train.environment import differences
from netwright.train.memory import MEMORY_ERRORS, exhausted, is_out_of_memory
from netwright.train.ranks import Alone, Ranks
from netwright.train.signals import SignalFlag
from netwright.train.silent import Folder, Saves
from netwright.train.task import NonFiniteError, Task


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When the loop saves and when it stops of itself.

    `save_steps` or `save_seconds` between two checkpoints (each new best is saved besides);
    `patience` evaluations without a better value end the run, None never does.
    """

    save_steps: int | None = None
    save_seconds: float | None = 60.0
    anchor_steps: int | None = None
    """Steps between two checkpoints that are made besides, at multiples of it: places to go back
    to that hang on no clock."""
    patience: int | None = None
    select: Literal["best", "last"] = "best"
    """Whether the best evaluation counts, or simply the newest."""


@dataclass(kw_only=True)
class Progress:
    """Everything the loop remembers between two steps; plain numbers, saved whole."""

    step: int = 0
    best: dict[str, Any] | None = None
    waited: int = 0
    """Evaluations since the best one."""
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    """What steps told since the last line of metrics: the sum of each name, and over how many."""
    stopped: str = ""
    """Why the run ended before its last step, "" while it has not."""


@dataclass
class _Stopwatch:
    """Seconds since the last line of metrics. Not saved: what a checkpoint holds must not depend
    on the clock, so after a resume a line tells of the steps since then."""

    whole: float = 0.0
    data: float = 0.0
    steps: int = 0

    def take(self, *, data: float, whole: float) -> None:
        self.whole += whole
        self.data += data
        self.steps += 1

    def read(self) -> dict[str, float]:
        """The line's `time/*`, and back to zero."""
        steps, found = max(self.steps, 1), (self.whole, self.data)
        self.whole, self.data, self.steps = 0.0, 0.0, 0
        whole, data = found
        return {
            "time/data_s": data / steps,
            "time/step_s": (whole - data) / steps,
            "time/epoch_s": whole,
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: str
    why: str
    progress: Progress


class Trainer:
    """Runs one task in one run folder."""

    def __init__(
        self,
        task: Task,
        folder: Folder,
        checkpoints: Saves,
        *,
        plan: Plan,
        events: e.Events,
        environment: Mapping[str, Any],
        settings: Mapping[str, Any],
        changes: Sequence[Phrase] = (),
        ranks: Ranks | None = None,
    ) -> None:
        """`environment` and `settings` go into each checkpoint; `changes` are reasons, besides
        another environment, why going on from one is not exact. With several `ranks` each has a
        trainer, and only that of the first a folder and checkpoints that write."""
        self.task = task
        self.folder = folder
        self.checkpoints = checkpoints
        self.plan = plan
        self.events = events
        self.environment = dict(environment)
        self.settings = dict(settings)
        self.changes = changes
        self.ranks = ranks or Alone()
        self.progress = Progress()
        self._stopwatch = _Stopwatch()
        self._clock = time.perf_counter()
        self._saved_at = time.monotonic()
        self._saved_step = -1
        self._save_asked = False

    def fit(self, resume: Checkpoint | None = None) -> Outcome:
        """Train to the end, from the start or from `resume`.

        Returns when the run is done. Raises `InterruptedRunError` after a signal (the last step
        is saved), `DivergedError` at the first value that is not finite, `ExhaustedError` when
        memory or disk run out; the newest checkpoint stays good in every case.
        """
        with self.explained(), SignalFlag() as signals:
            self.begin(resume)
            while not self.finished:
                self._advance(signals)
            return self.end()

    def begin(self, resume: Checkpoint | None) -> None:
        """Take up `resume`, or the untrained state, and announce the run."""
        rhythm = self.task.rhythm
        how = self.restore(resume) if resume is not None else ""
        if resume is not None and resume.best is None:
            self.progress.best = None  # its weights are lost: the next evaluation is the best
        self.events.emit(
            e.RunStarted(
                task=self.task,
                step=self.progress.step,
                steps=rhythm.steps,
                steps_per_epoch=rhythm.steps_per_epoch,
                resumed=how,
            )
        )
        if resume is None:
            self.folder.cut_metrics(0)
            self.save()  # the untrained state: there is always one to come back to
            self.checkpoints.wait()  # and no step is taken before it lies on the disk

    def end(self) -> Outcome:
        """The last state on the disk; what came of the run."""
        if self._saved_step != self.progress.step:
            self.save()
        self.checkpoints.wait()
        return Outcome(
            status="done", why=self.progress.stopped or "all steps taken", progress=self.progress
        )

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Numbers that are not finite and memory that ran out, as errors a user understands."""
        try:
            yield
        except InterruptedRunError:
            raise
        except NonFiniteError as error:
            raise self.diverged(error) from error
        except MEMORY_ERRORS as error:
            if not is_out_of_memory(error):
                raise
            raise exhausted(error) from error

    def restore(self, checkpoint: Checkpoint) -> str | Phrase:
        """Take up the state of a checkpoint; "exact", or "approximate because ..."."""
        state = checkpoint.state
        facts = self.task.facts()
        others = [name for name in facts if state.get(name) != facts[name]]
        if others:
            raise CheckpointError(
                "The checkpoint {name} belongs to another run: its {facts} differ.",
                hint="Data, seed or batch are not those it was made with; start a new run.",
                name=checkpoint.path.name,
                facts=", ".join(others),
            )
        with _of_another_network(checkpoint.path.name):
            self.task.load_weights(checkpoint.weights)
            self.task.load_state(state)
        known = {each.name for each in dataclasses.fields(Progress)}
        saved = {name: value for name, value in state["progress"].items() if name in known}
        self.progress = Progress(**saved)
        missing = self.folder.cut_metrics(int(state["progress"]["metrics_bytes"]))
        if missing:
            self.events.emit(
                e.Noted(
                    word="WARN",
                    template="metrics.jsonl has lost its last {count} bytes; training is not "
                    "affected, but its curves have a gap.",
                    values={"count": missing},
                )
            )
        self._saved_step = self.progress.step
        environment = {**self.environment, **self.task.adapted()}
        why = [*differences(state["environment"], environment), *self.changes]
        if self.task.inexact:
            why.append(Phrase(self.task.inexact))
        return (
            Phrase("approximate because {why}", why=Series(why, between="; ")) if why else "exact"
        )

    @property
    def finished(self) -> bool:
        """Whether there is no step left to take."""
        return bool(self.progress.stopped) or self.progress.step >= self.task.rhythm.steps

    def _advance(self, signals: SignalFlag) -> None:
        """Take steps until the run ends or a request makes the feed start anew."""
        feed = self.task.feed(self.progress.step)
        try:
            self._clock = time.perf_counter()
            while not self.finished:
                if self._step(feed) or self._boundary(signals):
                    return
        finally:
            close = getattr(feed, "close", None)
            if close is not None:
                close()  # ends data workers now, not when the collector comes by

    def _step(self, feed: Iterator[Any]) -> bool:
        """Take one step; true when it failed and a request has led back to an earlier one."""
        progress = self.progress
        started = time.perf_counter()
        batch = next(feed)
        fed = time.perf_counter()
        try:
            values = self.task.step(batch, progress.step)
        except NonFiniteError as error:
            self.keep_bundle(error, batch)
            if self._rescued(error, batch):
                return True
            raise
        ended = time.perf_counter()
        self.record(batch, values, seconds=(fed - started, ended - fed), whole=ended - self._clock)
        self._clock = ended
        return False

    def _rescued(self, error: NonFiniteError, batch: Any) -> bool:
        """Whether a listener asks to go back from the step that failed, and that can be done."""
        self.events.take_requests()  # of steps before; nothing else is done in a half taken one
        self.events.emit(
            e.StepFailed(step=self.progress.step, batch=batch, what=error.what, value=error.value)
        )
        return self.obey_requests(saving=False)

    def record(
        self,
        batch: Any,
        values: Mapping[str, Tensor | float],
        *,
        seconds: tuple[float, float],
        whole: float,
    ) -> None:
        """Remember and announce a step that was taken: what it told, and the seconds it waited
        for its batch and computed, of `whole` since the one before."""
        progress = self.progress
        for name, value in values.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + float(value)
            progress.counts[name] = progress.counts.get(name, 0) + 1
        progress.step += 1
        self._stopwatch.take(data=seconds[0], whole=whole)
        self.events.emit(
            e.StepEnded(
                step=progress.step,
                epoch=self.task.rhythm.epoch(progress.step),
                batch=batch,
                values=values,
                data_seconds=seconds[0],
                step_seconds=seconds[1],
            )
        )

    @property
    def evaluation_due(self) -> bool:
        """Whether this is a step after which the task is evaluated."""
        step, rhythm = self.progress.step, self.task.rhythm
        return step % rhythm.evaluate_every == 0 or step == rhythm.steps

    def _boundary(self, signals: SignalFlag) -> bool:
        """What is due between two steps; true when the feed must start anew."""
        best = self.evaluate() if self.evaluation_due else False
        rewound = self.obey_requests()
        if rewound:
            if signals.pending is not None and not self.finished:
                self.interrupt(signals.pending)
            return True
        pending, saving = self._agreed(signals.pending)
        if best or saving:
            self.save(best=best)
        if pending is not None and not self.finished:
            self.interrupt(pending)
        return False

    def _agreed(self, pending: int | None) -> tuple[int | None, bool]:
        """The signal that all ranks obey after this step, and whether a checkpoint is due: a
        signal and the time come to each at another moment, and a listener is heard by the first
        alone. A state that is cut among the ranks is saved by all together."""
        if not self.ranks.several:
            return pending, self.save_due
        due, self._save_asked = self.save_due or self._save_asked, False
        said = [pending or 0, int(bool(self.progress.stopped)), int(due)]
        number, stopped, saving = self.ranks.most(said)
        if stopped and not self.progress.stopped:
            self.progress.stopped = "stopped by the first rank"
        return number or None, bool(saving)

    def evaluate(self) -> bool:
        """Measure, write one line, judge; true when this is the best state so far."""
        progress, goal = self.progress, self.task.goal
        epoch = self.task.rhythm.epoch(progress.step)
        found = self.task.evaluate(progress.step)
        metrics: dict[str, float | None] = {}
        for name, total in progress.sums.items():
            metrics[name if "/" in name else f"train/{name}"] = _finite(
                total / progress.counts[name]
            )
        metrics |= {name: _finite(value) for name, value in found.items()}
        metrics |= self._stopwatch.read()
        best = False
        if goal is not None:
            value = metrics.get(goal.metric)
            standing = progress.best["value"] if progress.best else None
            newest_counts = self.plan.select == "last"
            best = value is not None and (newest_counts or goal.better(value, standing))
            if best:
                progress.best = {
                    "metric": goal.metric, "value": value, "epoch": epoch, "step": progress.step,
                }  # fmt: skip
            progress.waited = 0 if best else progress.waited + 1
            if self.plan.patience is not None and progress.waited >= self.plan.patience:
                progress.stopped = f"no better {goal.metric} in {progress.waited} evaluations"
        told = best and self.plan.select == "best"  # the newest is kept, not found to be best
        line = {"step": progress.step, "epoch": epoch, **metrics, "best": told}
        self.folder.append_metrics(line)
        progress.sums, progress.counts = {}, {}
        if self.ranks.first:
            self.task.show(self.folder.path, progress.step)
        self.events.emit(e.Measured(step=progress.step, epoch=epoch, metrics=metrics, best=told))
        self._clock = time.perf_counter()
        return best

    def obey_requests(self, *, saving: bool = True) -> bool:
        """Carry out what listeners asked for; true when that led back to an earlier step. Without
        `saving`, in a step that is half taken, no request to save or to end well is heard."""
        rewound = False
        for request in self.events.take_requests():
            if not saving and not rewound and isinstance(request, e.Save | e.Stop):
                continue
            alone = isinstance(request, e.Save | e.Stop)  # what the first rank can do by itself
            if not self.task.allows(request) or (self.ranks.several and not alone):
                self.events.emit(
                    e.Noted(
                        word="NOTE",
                        template="This task cannot carry out the request {request}.",
                        values={"request": str(request)},
                    )
                )
            elif isinstance(request, e.Save) and self.ranks.several:
                self._save_asked = True
            elif isinstance(request, e.Save):
                self.save()
            elif isinstance(request, e.Stop):
                self.progress.stopped = request.why
            elif isinstance(request, e.Call):
                request.action(self.task)
            else:
                rewound = self._rewind(request) or rewound
        return rewound

    def _rewind(self, request: e.Rewind) -> bool:
        checkpoint = self.checkpoints.newest(at_most=request.step)
        if checkpoint is None:
            return False
        self.restore(checkpoint)
        self.checkpoints.forget_after(self.progress.step)
        if request.then is not None:
            request.then(self.task, self.progress.step)
            self.save()
        return True

    @property
    def save_due(self) -> bool:
        """Whether the plan asks for a checkpoint, best or not."""
        plan, step = self.plan, self.progress.step
        if plan.anchor_steps is not None and step % plan.anchor_steps == 0:
            return True
        if plan.save_steps is not None:
            return step % plan.save_steps == 0
        if plan.save_seconds is not None:
            return time.monotonic() - self._saved_at >= plan.save_seconds
        return False

    def save(self, *, best: bool = False) -> None:
        """Write a checkpoint of the present state; `best` makes it the one that is shipped."""
        progress = dataclasses.asdict(self.progress)
        progress["epoch"] = self.task.rhythm.epoch(self.progress.step)
        progress["position"] = self.progress.step % (self.task.rhythm.steps_per_epoch or 1)
        progress["metrics_bytes"] = self.folder.metrics_length()
        state = {
            **self.task.state(),
            **self.task.facts(),
            "progress": progress,
            "config": self.settings,
            "environment": {**self.environment, **self.task.adapted()},
        }
        path = self.checkpoints.save(self.progress.step, self.task.weights(), state, best=best)
        self._saved_at, self._saved_step = time.monotonic(), self.progress.step
        self.events.emit(e.CheckpointSaved(step=self.progress.step, path=str(path)))
        self._clock = time.perf_counter()

    def interrupt(self, number: int) -> None:
        """Save, and end the run as a signal asks."""
        self.save()
        self.checkpoints.wait()
        raise InterruptedRunError(
            "Stopped by {signal} after step {step}; the run is saved.",
            hint="Go on with:  netwright train --resume {run}",
            exit_code=130 if number == 2 else 143,
            signal={1: "SIGHUP", 2: "Ctrl-C", 10: "SIGUSR1", 15: "SIGTERM"}.get(
                number, f"signal {number}"
            ),
            step=self.progress.step,
            run=shlex.quote(str(self.folder.path)),
        )

    def keep_bundle(self, error: NonFiniteError, batch: Any) -> None:
        """What is needed to take the step that went wrong again."""
        if not self.ranks.first:
            return
        evidence = self.folder.path / "evidence"
        make_folder(evidence)
        write_json(
            evidence / f"nonfinite-step-{self.progress.step:09d}.json",
            {
                "format": 1,
                "step": self.progress.step,
                "what": error.what,
                "value": str(error.value),
                "batch": dict(self.task.identify(batch)),
                "checkpoint": self._saved_step,
            },
        )

    def diverged(self, error: NonFiniteError) -> NetwrightError:
        """The end of a run whose numbers are not finite."""
        self.checkpoints.wait()
        return DivergedError(
            "Training diverged: {what} is {value} at step {step}.",
            hint="No update was made with it; the last checkpoint is of step {saved}. "
            "A smaller optim.lr, optim.clip=1 or a warm-up (sched.warmup=1) often cures it. "
            "Which layer and which images it began in:  netwright doctor {run} --replay",
            what=error.what,
            value=error.value,
            step=self.progress.step,
            saved=self._saved_step,
            run=shlex.quote(str(self.folder.path)),
        )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@contextlib.contextmanager
def _of_another_network(name: str) -> Iterator[None]:
    """What torch says of weights and states that do not fit, as an error a user understands."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError) as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        raise CheckpointError(
            "The checkpoint {name} is of another network: {reason}",
            hint="Move it out of ckpt/ to go on from the one before it; or start a new run.",
            name=name,
            reason=reason[:200],
        ) from error
