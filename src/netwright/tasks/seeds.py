"""One recipe over several seeds: an ordinary run for each, in one folder that tells the spread.

    train_seeds(resolve(data="digits", settings={"seeds": 5}), events, run_dir=None, command="")

A seed's run is bit for bit what `seed=k` alone gives: its folder has its own checkpoints, report
and settings, and every command takes it. The folder around them only lists them, says what
became of each, and what their median and range are. A seed that diverges is told and does not
end the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.core import events as e
from netwright.core.errors import (
    DivergedError,
    InterruptedRunError,
    NetwrightError,
    SettingError,
)
from netwright.core.languages import Phrase
from netwright.records.run import Run
from netwright.records.seeds import SeedRun, seed_runs
from netwright.report.page import write_report
from netwright.tasks.architectures import recorded_architecture, refuse_foreign_data_code
from netwright.tasks.preparing import Prepared, prepare
from netwright.tasks.provenance import now
from netwright.tasks.resuming import (
    CHANGEABLE,
    ResumeNote,
    go_on,
    refuse_other_data,
    refuse_other_settings,
)
from netwright.tasks.run_facts import (
    make_folder,
    plain_values,
    with_absolute_paths,
    write_begun,
    write_first,
)
from netwright.tasks.running import Trained, announce, carry_out, note, trained
from netwright.tasks.seed_counts import command_of, counted, lost_seeds
from netwright.tasks.seed_events import SeedEvents, quietly
from netwright.tasks.seeds_together import Medians, Opened, refuse_or_choose, train_together
from netwright.tasks.settings import Resolved, changed, read_config
from netwright.tasks.stack_trial import MOST_TRIED, Choice
from netwright.train.run_folder import RunFolder, barely_begun
from netwright.train.signals import SignalFlag


def train_seeds(
    resolved: Resolved,
    events: e.Events,
    *,
    run_dir: Path | None,
    command: str,
    rehearsal: bool = False,
    trust_code: bool = False,
) -> Trained:
    """Train `seeds` runs, from `seed` on, in a new folder.

    Data and network of the first seed are made before the folder is, so that wrong settings
    leave nothing behind. Raises what training one run raises; `DivergedError` at the end, when
    some of the seeds diverged.
    """
    general = resolved.recipe.general
    alone = of_seed(resolved, general.seed)
    first = prepare(alone, events, trust_code=trust_code, rehearsal=rehearsal)
    if resolved.recipe.run.stack == "always":
        refuse_or_choose("always", first, [], general.seeds)
    # What was made to fit the data, or measured, for the first seed holds for all of them.
    for name, value in first.resolved.plain().items():
        if value != alone.plain().get(name):
            origin = first.resolved.origins[name]
            resolved = changed(resolved, {name: value}, origin=origin)
    with contextlib.closing(make_folder(run_dir, first, f"{general.seeds}seeds")) as folder:
        folder.write_config(with_absolute_paths(resolved).to_yaml())
        # At once: a kill between the two would leave a folder that says of no seeds.
        folder.write_info(seeds=[{"seed": seed} for seed in _seeds(resolved)])
        write_begun(folder, first, command)
        folder.point_latest()
        if not rehearsal:  # whose folder is thrown away
            events.emit(note("run", "{path}", path=str(folder.path)))
        announce(first, events, rehearsal=rehearsal)
        return _Seeds(folder, resolved, events, command=command, trust_code=trust_code).carry_out(
            first
        )


def go_on_seeds(
    run: Run, asked: Mapping[str, Any], events: e.Events, *, command: str, trust_code: bool
) -> Trained:
    """Go on with a run over seeds: finished seeds are kept, the one that was cut short resumes.

    `asked` are settings given with the call; the same may change as for any run.
    """
    before = read_config(str(run.path / "config.yaml"))
    resolved = changed(before, asked)
    refuse_other_settings(before, resolved)
    runs = seed_runs(run)
    longer = [resolved.values[name] != before.values[name] for name in ("epochs", "steps")]
    ended = all(each.status in ("done", "diverged") for each in runs)
    if ended and not any(longer) and run.status in ("done", "diverged"):
        for each in runs:
            if each.status == "done":  # mends lost weights
                go_on(each.run, {}, events, command=command, trust_code=trust_code)
        return _told(trained(run.path))
    with contextlib.closing(RunFolder.open(run.path)) as folder:
        for each in runs:
            if each.run.model:  # seeds not yet begun run the same code, under the same rule
                recorded_architecture(each.run, trust_code=trust_code)
                refuse_foreign_data_code(each.run, resolved.recipe.data.name, trust_code=trust_code)
                break
        if resolved is not before:
            folder.write_config(resolved.to_yaml())
        folder.write_info(status="running", why="", why_message=None, ended=None)
        events.emit(note("run", "{path}", path=str(folder.path)))
        return _Seeds(folder, resolved, events, command=command, trust_code=trust_code).carry_out(
            None
        )


def of_seed(resolved: Resolved, seed: int) -> Resolved:
    """The settings of one of the seeds: those that `seed=k` alone would have."""
    origin = f"seeds={resolved.recipe.general.seeds}"
    alone = changed(resolved, {"seed": seed, "seeds": 1})
    return dataclasses.replace(alone, origins={**alone.origins, "seed": origin, "seeds": "default"})


_COUNT_EVERY = 2.0
"""Seconds between two counts while seeds come to their ends: each reads all their folders."""


class _Seeds:
    """The seeds of one folder, one after the other."""

    def __init__(
        self,
        folder: RunFolder,
        resolved: Resolved,
        events: e.Events,
        *,
        command: str,
        trust_code: bool = False,
    ) -> None:
        self.folder = folder
        self.resolved = resolved
        self.events = events
        self.command = command
        self.trust_code = trust_code
        self.runs = seed_runs(Run(folder.path))
        self._prepared: dict[int, Prepared] = {}
        self._ended: set[int] = set()
        self._before = float(Run(folder.path).number("seconds"))
        self._started = self._counted = time.monotonic()

    def carry_out(self, first: Prepared | None) -> Trained:
        """Every seed that has not ended, then the count. `first` is the first of them, if it is
        prepared already."""
        try:
            with SignalFlag() as signals:
                if first is not None:
                    self._prepared[first.recipe.general.seed] = first
                self._together(signals)
                for number, each in enumerate(self.runs, 1):
                    self._one(each, number, signals)
                    if time.monotonic() - self._counted > _COUNT_EVERY:
                        self._count("running", "")
                    if signals.pending is not None and number < len(self.runs):
                        raise self._interrupted(signals)
        except BaseException as error:
            with contextlib.suppress(NetwrightError):  # a full disk is told once
                self._failed(error)
            if isinstance(error, InterruptedRunError):
                raise self._resumable(error) from error
            raise
        runs = self._fresh()
        lost = [each.seed for each in runs if each.status == "diverged"]
        status = "diverged" if lost else "done"
        self._count(
            status, lost_seeds(lost, len(runs)) if lost else "all seeds trained", ended=True
        )
        return _told(trained(self.folder.path))

    def _one(self, each: SeedRun, number: int, signals: SignalFlag) -> None:
        """Train one seed, or go on with it, unless it has come to its end."""
        each = SeedRun(seed=each.seed, run=Run(each.run.path))
        if each.status == "diverged":
            self._say_diverged(each.seed, each.run.info.get("why") or "")
            return
        # After the first seed its notes are known: only warnings are told again.
        heard = SeedEvents(self.events, signals, tell=quietly(self.events))
        if each.status != "done":
            self.events.emit(
                note(
                    "seed",
                    "seed {seed}, {number} of {count}",
                    seed=each.seed,
                    number=number,
                    count=len(self.runs),
                )
            )
        try:
            result = self._trained(each, heard)
        except DivergedError as error:
            self._say_diverged(each.seed, error.phrase)
            return
        self._say_done(each.seed, result)

    def _trained(self, each: SeedRun, heard: e.Events) -> Trained:
        path = each.run.path
        if each.seed in self._ended:
            return trained(path)
        if _begun(each):
            return go_on(
                Run(path), _changeable(self.resolved), heard,
                command=self.command, trust_code=self.trust_code,
            )  # fmt: skip
        prepared = self._prepare(each.seed, heard)
        with contextlib.closing(self._new_folder(each, prepared)) as folder:
            return carry_out(folder, prepared, heard)

    def _prepare(self, seed: int, heard: e.Events) -> Prepared:
        """The seed's data and network; those made for a trial are taken, once."""
        made = self._prepared.pop(seed, None)
        return made or prepare(of_seed(self.resolved, seed), heard, trust_code=self.trust_code)

    def _new_folder(self, each: SeedRun, prepared: Prepared) -> RunFolder:
        if each.run.path.is_symlink():  # into a folder that has nothing to do with this run
            raise SettingError(
                "{path} is a link, and leads to no run: nothing is written behind it.",
                hint="Take the link away, and resume again: the seed is then trained anew.",
                path=str(each.run.path),
            )
        folder = make_folder(each.run.path, prepared)
        try:
            write_first(folder, prepared, command_of(self.command, each.seed))
        except BaseException:
            folder.close()
            raise
        return folder

    def _together(self, signals: SignalFlag) -> None:
        """Train the seeds that have not ended as one stack, where that is chosen."""
        waiting = [each for each in self._fresh() if each.status not in ("done", "diverged")]
        if len(waiting) < 2 or not self._stacked(waiting):
            return
        medians = Medians(self.events)
        with contextlib.ExitStack() as stack:
            opened = [self._open(each, medians, signals, stack) for each in waiting]
            train_together(opened, medians)
        self._ended = {each.seed for each in waiting}

    def _stacked(self, waiting: Sequence[SeedRun]) -> bool:
        """Whether they are trained as one: chosen once, when the run begins, and kept."""
        asked = self.resolved.recipe.run.stack
        known = self.folder.info.get("stack")
        if isinstance(known, Mapping) and isinstance(known.get("stacked"), bool):
            return bool(known["stacked"])
        if asked == "never":
            return self._chosen(Choice(stacked=False, why=Phrase("run.stack asks for it")), False)
        heard = e.Events(quietly(self.events))
        for each in waiting[:1]:
            self._prepared[each.seed] = self._prepare(each.seed, heard)
        first = self._prepared[waiting[0].seed]
        choice = refuse_or_choose(asked, first, [], len(self.runs))
        if choice.stacked:
            for each in waiting[1:MOST_TRIED]:
                self._prepared[each.seed] = self._prepare(each.seed, heard)
            others = [self._prepared[each.seed] for each in waiting[1:MOST_TRIED]]
            choice = refuse_or_choose(asked, first, others, len(self.runs))
        return self._chosen(choice, True)

    def _chosen(self, choice: Choice, told: bool) -> bool:
        """Note how the seeds are trained in `run.json`, and say so."""
        template = (
            "{count} seeds are trained as one stack: {why}."
            if choice.stacked
            else "{count} seeds are trained one by one: {why}."
        )
        self.folder.write_info(stack=choice.to_json())
        if told:
            self.events.emit(note("NOTE", template, count=len(self.runs), why=choice.why))
        return choice.stacked

    def _open(
        self,
        each: SeedRun,
        medians: Medians,
        signals: SignalFlag,
        stack: contextlib.ExitStack,
    ) -> Opened:
        heard = SeedEvents(self.events, signals, tell=medians.hear)
        if not _begun(each):
            prepared = self._prepare(each.seed, heard)
            folder = self._new_folder(each, prepared)
            stack.callback(folder.close)
            return Opened(folder=folder, prepared=prepared, events=heard, resumed=False)
        folder = RunFolder.open(each.run.path)
        stack.callback(folder.close)
        run = Run(each.run.path)
        before = read_config(str(run.path / "config.yaml"))
        settings = changed(before, _changeable(self.resolved))
        prepared = prepare(settings, heard, recorded=run, trust_code=self.trust_code)
        refuse_other_data(run, prepared)
        folder.write_info(status="running", why="", ended=None)
        heard.listen(ResumeNote(folder, self.command))
        return Opened(folder=folder, prepared=prepared, events=heard, resumed=True)

    def _say_done(self, seed: int, result: Trained) -> None:
        if result.best is None:
            self.events.emit(note("OK", "seed {seed} is done", seed=seed))
            return
        self.events.emit(
            note(
                "OK",
                "seed {seed}: {metric} {value:.4f} at epoch {epoch}",
                seed=seed,
                metric=result.best["metric"],
                value=float(result.best["value"]),
                epoch=result.best["epoch"],
            )
        )

    def _say_diverged(self, seed: int, why: object) -> None:
        self.events.emit(
            note(
                "WARN",
                "seed {seed} diverged, the others go on: {why}",
                seed=seed,
                why=str(why).partition("\n")[0],
            )
        )

    def _fresh(self) -> tuple[SeedRun, ...]:
        """The runs of the seeds as they now stand on the disk."""
        return tuple(SeedRun(seed=each.seed, run=Run(each.run.path)) for each in self.runs)

    def _count(self, status: str, why: str, *, message: Any = None, ended: bool = False) -> None:
        """What has become of the seeds, into `run.json` and the report."""
        runs = self._fresh()
        self.folder.write_info(
            status=status,
            why=why,
            why_message=message,
            seconds=round(self._before + time.monotonic() - self._started, 3),
            ended=now() if ended else None,
            **counted(runs),
        )
        write_report(Run(self.folder.path))
        self._counted = time.monotonic()

    def _failed(self, error: BaseException) -> None:
        status = "interrupted" if isinstance(error, InterruptedRunError) else "failed"
        why, message = f"{type(error).__name__}: {error}", None
        if isinstance(error, NetwrightError):
            why = str(error).partition("\n")[0]
            message = {"template": error.template, "values": plain_values(error.values)}
        self._count(status, why, message=message, ended=True)

    def _interrupted(self, signals: SignalFlag) -> InterruptedRunError:
        return InterruptedRunError(
            "Stopped by {signal} between two seeds; what is trained is kept.",
            hint="Go on with:  netwright train --resume {run}",
            exit_code=signals.exit_code,
            signal=signal.Signals(signals.pending or signal.SIGTERM).name,
            run=shlex.quote(str(self.folder.path)),
        )

    def _resumable(self, error: InterruptedRunError) -> InterruptedRunError:
        """The same, with the folder of all seeds in the line that goes on with it."""
        values = {**error.values, "run": shlex.quote(str(self.folder.path))}
        return InterruptedRunError(
            error.template, hint=error.hint, exit_code=error.exit_code, **values
        )


def _begun(each: SeedRun) -> bool:
    """Whether there is something to go on with."""
    return each.status != "waiting" and not barely_begun(each.run.path)


def _seeds(resolved: Resolved) -> range:
    general = resolved.recipe.general
    return range(general.seed, general.seed + general.seeds)


def _changeable(resolved: Resolved) -> dict[str, Any]:
    """What a seed that goes on takes from the run around it."""
    return {n: value for n, value in resolved.plain().items() if n.startswith(CHANGEABLE)}


def _told(result: Trained) -> Trained:
    """The result, unless seeds diverged: that is told by the exit status as well."""
    lost = [int(each["seed"]) for each in result.seeds if each.get("status") == "diverged"]
    if lost:
        raise DivergedError(
            "{lost} of {count} seeds diverged: {seeds}.",
            hint="The others are trained and counted in {run}. A smaller optim.lr, optim.clip=1 "
            "or a warm-up (sched.warmup=1) often cures it."
            if len(lost) < len(result.seeds)
            else "A smaller optim.lr, optim.clip=1 or a warm-up (sched.warmup=1) often cures it. "
            "What was kept of them is in {run}.",
            lost=len(lost),
            count=len(result.seeds),
            seeds=", ".join(map(str, lost)),
            run=str(result.run.path),
        )
    return result
