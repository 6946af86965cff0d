"""One run in its folder: the loop, and what must be on the disk however it ends."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.core import events as e
from netwright.core.config import show
from netwright.core.errors import (
    DataError,
    DivergedError,
    InterruptedRunError,
    NetwrightError,
)
from netwright.core.languages import Phrase
from netwright.records.run import Run
from netwright.report.page import write_report
from netwright.tasks.computing import memory_kept, reproducible
from netwright.tasks.feature_evidence import write_features
from netwright.tasks.passes import SmallerPasses
from netwright.tasks.preparing import Prepared
from netwright.tasks.provenance import now
from netwright.tasks.recipe import Recipe, save_interval
from netwright.tasks.repaired_run import RunRepair, anchor_steps
from netwright.tasks.run_facts import plain_values
from netwright.tasks.spent import Spent
from netwright.tasks.step_times import StepTimes
from netwright.tasks.watched_run import RunWatch
from netwright.train.checkpoints import Checkpoint, Checkpoints
from netwright.train.environment import Environment, environment_line
from netwright.train.run_folder import RunFolder
from netwright.train.trainer import Outcome, Plan, Trainer


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of a call to `train`."""

    run: Run
    status: str
    epochs: int
    steps: int
    best: Mapping[str, Any] | None
    seeds: Sequence[Mapping[str, Any]] = ()
    """With `seeds=N`: one row for each seed, and `best` is their median."""
    start: Mapping[str, Any] | None = None
    """What was loaded of the weights it began with, as `model.json` keeps it."""
    transfer: Mapping[str, Any] | None = None
    """Its stages and when each is trained, where some are held back or slowed."""
    spoken: bool = False
    """Whether another process, the first of several, has told the user of it."""

    @property
    def report(self) -> Path:
        """The page that tells how the run went."""
        return self.run.path / "report.html"

    def to_json(self) -> dict[str, Any]:
        document = {
            "format": 1,
            "run": str(self.run.path),
            "status": self.status,
            "epochs": self.epochs,
            "steps": self.steps,
            "best": dict(self.best) if self.best else None,
            "step_times": self.run.info.get("step_times"),
            "start": _plain(self.start),
            "transfer": _plain(self.transfer),
        }
        if not self.seeds:
            return document
        rows = [{**row, "run": str(self.run.path / str(row.get("run")))} for row in self.seeds]
        return {**document, "seeds": rows}


def carry_out(
    folder: RunFolder,
    prepared: Prepared,
    events: e.Events,
    *,
    checkpoint: Checkpoint | None = None,
    changes: Sequence[Phrase] = (),
) -> Trained:
    """Train in `folder`, from the start or from `checkpoint`, to the end and its evidence.

    `changes` are reasons, besides the environment, why a resume is not exact.
    """
    prepared.cut()
    course = Course(folder, prepared, events, changes=changes)
    kept = memory_kept(prepared.device)
    with reproducible(), kept, contextlib.closing(course.checkpoints):
        try:
            course.finish(course.trainer.fit(checkpoint))
        except BaseException as error:
            course.fail(error)
            raise
    return course.done()


class Course:
    """One run on its course: its trainer, and what its folder says however it ends.

    `share` is the part of the time that is its own, where several are trained at once.
    """

    def __init__(
        self,
        folder: RunFolder,
        prepared: Prepared,
        events: e.Events,
        *,
        changes: Sequence[Phrase] = (),
        share: float = 1.0,
    ) -> None:
        recipe = prepared.recipe
        self.folder, self.prepared, self.events = folder, prepared, events
        repairing = recipe.doctor.mode == "repair"
        anchors = anchor_steps(prepared.task.rhythm.steps) if repairing else None
        self.checkpoints = Checkpoints(
            folder.path / "ckpt", keep=recipe.run.keep, anchor_steps=anchors
        )
        self._spent = Spent(Run(folder.path), share)
        self._why = ""
        events.listen(self._spent)
        self._steps = StepTimes(prepared, alone=share == 1.0)
        events.listen(self._steps)
        task = prepared.task
        task.passes.tell = SmallerPasses(folder, task.model, task.train.batch, events)
        if recipe.run.tensorboard:
            events.listen(_tensorboard(folder, prepared, events))
        self._watch: RunWatch | RunRepair | None = None
        if recipe.doctor.mode != "off":
            listens = RunRepair if repairing else RunWatch
            self._watch = listens(folder, prepared, events)
            events.listen(self._watch)
        self.trainer = Trainer(
            prepared.task,
            folder,
            self.checkpoints,
            plan=plan_of(recipe, anchors),
            events=events,
            environment=environment_of(prepared),
            settings=prepared.resolved.plain(),
            changes=changes,
            ranks=prepared.ranks,
        )

    def finish(self, outcome: Outcome) -> None:
        """The last step is taken: the best weights, and what they are worth."""
        self._why = outcome.why
        if self._watch is not None:
            self._watch.close()
        if outcome.progress.stopped:
            self.events.emit(_ended_early(self.prepared, outcome))
        _finish(self.folder, self.prepared, self.checkpoints, outcome, self.events)

    def fail(self, error: BaseException) -> None:
        """The run did not come to its end; `error` says why."""
        if self._watch is not None:
            self._watch.close(ended=False)
        status, why, message = _ending(error)
        facts = {**self._spent.facts(), **self._steps.facts()}
        _close(self.folder, self.trainer, facts, status=status, why=why, message=message)
        self.events.emit(e.RunEnded(step=self.trainer.progress.step, status=status, why=why))
        with contextlib.suppress(NetwrightError):  # a full disk is told once, by the run
            write_report(Run(self.folder.path))

    def done(self) -> Trained:
        """The run has come to its end, and its checkpoints are closed."""
        facts = {**self._spent.facts(), **self._steps.facts()}
        _close(self.folder, self.trainer, facts, status="done", why=self._why)
        write_report(Run(self.folder.path))
        step = self.trainer.progress.step
        self.events.emit(e.RunEnded(step=step, status="done", why=self._why))
        return trained(self.folder.path)


def plan_of(recipe: Recipe, anchors: int | None = None) -> Plan:
    """When a run saves and stops, by its recipe."""
    save_steps, save_seconds = save_interval(recipe.run.checkpoint_every)
    return Plan(
        save_steps=save_steps,
        save_seconds=save_seconds,
        anchor_steps=anchors,
        patience=recipe.run.early_stop,
        select=recipe.run.select,
    )


def environment_of(prepared: Prepared) -> Environment:
    """What decides the bits of this run besides its seed."""
    speed, ranks = prepared.task.gradients.speed, prepared.ranks
    return environment_line(
        device=prepared.device,
        world_size=ranks.size,
        micro_batch=prepared.recipe.general.batch // ranks.size,
        amp=speed.precision if speed.is_mixed else None,
        channels_last=speed.channels_last,
        compiled=speed.compile,
        synced_norms=prepared.task.gradients.norms is not None,
        sharded=prepared.task.to_be_cut,
    )


def trained(path: Path) -> Trained:
    """What the run in `path` has come to."""
    run = Run(path)
    told = run.info.get("seeds")
    rows = [each for each in told if _is_row(each)] if isinstance(told, list) else []
    begun = run if not rows else Run(path / str(rows[0].get("run")))  # all seeds begin alike
    return Trained(
        run=run,
        status=run.status,
        epochs=int(run.number("epochs")),
        steps=int(run.number("steps")),
        best=run.best,
        seeds=rows,
        start=_facts(begun, "start"),
        transfer=_facts(begun, "transfer"),
    )


def _facts(run: Run, name: str) -> Mapping[str, Any] | None:
    """An entry of `model.json`; None where there is none, or nobody can read it any more."""
    with contextlib.suppress(DataError):
        facts = run.model.get(name)
        return facts if isinstance(facts, Mapping) else None
    return None


def _plain(facts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if facts is None else dict(facts)


def _is_row(each: Any) -> bool:
    return isinstance(each, dict) and isinstance(each.get("seed"), int)


def announce(prepared: Prepared, events: e.Events, *, rehearsal: bool = False) -> None:
    """Say what is about to be trained, on what, and how; a rehearsal is too short for any
    schedule."""
    dataset, task, recipe = prepared.dataset, prepared.task, prepared.recipe
    resolved = prepared.resolved
    sizes = " / ".join(f"{len(images)} {split}" for split, images in dataset.splits.items())
    events.emit(
        note(
            "data",
            "{layout}: {sizes}, {classes} classes      seed {seed}",
            layout=dataset.layout,
            sizes=sizes,
            classes=len(dataset.classes),
            seed=recipe.general.seed,
        )
    )
    params = sum(each.numel() for each in task.model.parameters())
    events.emit(
        note(
            "plan",
            "{model} with {params:,} parameters, epochs: {epochs} of {steps} steps, batch {batch}, "
            "{optim} lr {lr} ({origin}), {sched}, {speed}",
            model=prepared.architecture.name,
            params=params,
            epochs=math.ceil(task.rhythm.steps / task.train.steps_per_epoch),
            steps=task.train.steps_per_epoch,
            batch=batch_words(prepared),
            optim=recipe.optim.name,
            lr=show(resolved.values.get("optim.lr")),
            origin=Phrase(resolved.origins.get("optim.lr", "default")),
            sched=recipe.sched.name,
            speed=task.gradients.speed.words(),
        )
    )
    if not rehearsal:
        _warn_of_schedule(prepared, events)


def _warn_of_schedule(prepared: Prepared, events: e.Events) -> None:
    """Say where a schedule and the length of the run do not go together."""
    rhythm, sched = prepared.task.rhythm, prepared.recipe.sched
    warmup = round(prepared.recipe.sched_common.warmup * (rhythm.steps_per_epoch or 0))
    cycles = float(sched.options.get("cycles") or 0)
    if warmup > rhythm.steps > 0:
        events.emit(
            note(
                "WARN",
                "the warm-up of {warmup} steps (sched.warmup) is longer than the run of {steps}: "
                "the rate never reaches optim.lr",
                warmup=warmup,
                steps=rhythm.steps,
            )
        )
    elif cycles > 1 and 2 * cycles > rhythm.steps > 0:
        events.emit(
            note(
                "WARN",
                "{cycles} cycles (sched.cycles) are too many for a run of {steps} steps: each has "
                "fewer than 2",
                cycles=show(sched.options["cycles"]),
                steps=rhythm.steps,
            )
        )


def _ended_early(prepared: Prepared, outcome: Outcome) -> e.Noted:
    """What `run.early_stop` did; the last line of a table alone does not tell it."""
    best, task = outcome.progress.best, prepared.task
    return note(
        "NOTE",
        "Ended early, {left:,} steps before the last. Epochs without a better {metric}: {waited} "
        "(run.early_stop).",
        left=task.rhythm.steps - outcome.progress.step,
        metric=best["metric"] if best is not None else "val",
        waited=outcome.progress.waited,
    )


def batch_words(prepared: Prepared) -> str:
    """`64`, or `16 x 4` where four passes make one step."""
    batch, passes = prepared.recipe.general.batch, prepared.task.update.accumulate
    return str(batch) if passes == 1 else f"{batch} x {passes}"


def _finish(
    folder: RunFolder,
    prepared: Prepared,
    checkpoints: Checkpoints,
    outcome: Outcome,
    events: e.Events,
) -> None:
    """The best weights back in place, and the arrays behind the report."""
    task = prepared.task
    best = outcome.progress.best
    if task.shards is not None:  # the first rank has a part only: the whole lies on the disk
        kept = checkpoints.newest(at_most=int(best["step"])) if best is not None else None
        if kept is None or best is None or kept.step != best["step"]:
            kept = checkpoints.newest()
        assert kept is not None, "the last step has just been saved"
        task.load_best(kept.weights)
    elif best is not None and best["step"] != outcome.progress.step:
        kept = checkpoints.newest(at_most=int(best["step"]))
        if kept is not None and kept.step == best["step"]:
            task.load_best(kept.weights)
    elif task.average is not None:
        task.load_best(task.weights())
    task.examine(folder.path)
    judged = next((each for each in ("val", "test") if each in task.evaluations), "train")
    images = prepared.dataset.splits[judged]
    why = write_features(folder.path, task.model, images, prepared.preprocessing)
    if why:
        events.emit(note("NOTE", "The report has no feature maps: {reason}", reason=why))
    lost = [name for feed in task.evaluations.values() for name in feed.replaced]
    if lost:
        events.emit(
            note(
                "WARN",
                "{count} images that were evaluated could not be read any more and do not count: "
                "{names}",
                count=len(lost),
                names=", ".join(lost[:5]),
            )
        )
    if task.replaced:
        events.emit(
            note(
                "WARN",
                "{count} unreadable images were replaced by others of their class: {names}",
                count=len(task.replaced),
                names=", ".join(list(task.replaced)[:5]),
            )
        )


def _tensorboard(folder: RunFolder, prepared: Prepared, events: e.Events) -> e.Listener:
    from netwright.tasks.tensorboard import TensorBoard  # needs an extra

    return TensorBoard(
        folder,
        model=prepared.task.model,
        rhythm=prepared.task.rhythm,
        shape=prepared.preprocessing.shape,
        settings=prepared.resolved.plain(),
        events=events,
    )


def note(word: str, template: str, **values: Any) -> e.Noted:
    """A line for the user's eyes; see `Noted`."""
    return e.Noted(word=word, template=template, values=values)


def _ending(error: BaseException) -> tuple[str, str, dict[str, Any] | None]:
    """Status, why in English, and the same as the report speaks it in its reader's language."""
    if isinstance(error, NetwrightError):
        status = "failed"
        if isinstance(error, DivergedError):
            status = "diverged"
        elif isinstance(error, InterruptedRunError):
            status = "interrupted"
        message = {"template": error.template, "values": plain_values(error.values)}
        return status, str(error).splitlines()[0], message
    return "failed", f"{type(error).__name__}: {error}", None


def _close(
    folder: RunFolder,
    trainer: Trainer,
    facts: Mapping[str, Any],
    *,
    status: str,
    why: str,
    message: dict[str, Any] | None = None,
) -> None:
    progress = trainer.progress
    folder.write_info(
        status=status,
        why=why,
        why_message=message,
        ended=now(),
        best=progress.best,
        epochs=trainer.task.rhythm.epoch(progress.step),
        steps=progress.step,
        **facts,
    )
