"""The doctor at our own trainer: it watches one run, and leaves its record and findings there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netwright.core import events as e
from netwright.core.atomic import write_bytes
from netwright.core.errors import NetwrightError
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.watch import Doctor
from netwright.records.facts.setup import Setup
from netwright.records.findings import Finding
from netwright.records.record import Record
from netwright.tasks.preparing import Prepared
from netwright.train.run_folder import RunFolder


class RunWatch:
    """Listens to one run; the watch begins with its first step and ends with `close`."""

    def __init__(
        self,
        folder: RunFolder,
        prepared: Prepared,
        events: e.Events,
        *,
        on_round: Callable[[Diagnosis, int], None] | None = None,
        treated: Callable[[Sequence[Finding], bool], Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        """`on_round` hears each diagnosis, and after how many steps that were watched; `treated`
        gives lines for the findings that stand no more, told what stands when all is over, and
        whether the run came to its end."""
        self._folder, self._prepared, self._events = folder, prepared, events
        self._on_round, self._was_treated = on_round, treated
        self._start = 0
        self.standing: tuple[Finding, ...] = ()
        """What stands in the end, whatever the record says: it may have been forgotten."""
        self._doctor: Doctor | None = None
        self.diagnosis: Diagnosis | None = None

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.RunStarted) and self._doctor is None:
            task = self._prepared.task
            self._start = event.step
            self._doctor = Doctor(
                task.model,
                [task.optimizer],
                budget=self._prepared.recipe.doctor.budget,
                known=known_setup(self._prepared),
                on_round=lambda _, diagnosis: self._heard(diagnosis),
                on_fault=self._faulty,
            )
            self._doctor.__enter__()
        elif isinstance(event, e.StepEnded) and self._doctor is not None:
            row = {"wait": event.data_seconds, "epoch": float(event.epoch)}
            if len(self._doctor.watcher.rows):
                self._doctor.watcher.rows.amend(row)
            self._doctor.watcher.epoch = event.epoch

    # For who treats the run

    def record(self) -> Record:
        """What has been seen so far."""
        return self._doctor.record() if self._doctor is not None else Record([])

    def ask(self) -> None:
        """Ask the conditions now."""
        if self._doctor is not None and not self._doctor.watcher.fault:
            self._doctor.ask()

    def pause(self) -> None:
        """Steps that are taken, and weights that are loaded from here on, are none of the run's."""
        if self._doctor is not None:
            self._doctor.watcher.ours = True

    def go_on(self) -> None:
        """The run goes on."""
        if self._doctor is not None:
            self._doctor.watcher.ours = False

    def go_back(self, step: int) -> None:
        """The run is at `step` again, and will take the same batches."""
        if self._doctor is not None:
            self._start = min(self._start, step)
            self._doctor.go_back(step - self._start, replayed=True)

    def close(self, *, ended: bool = True) -> None:
        """Write down what was seen, and say it in one line. `ended` says that the last step was
        taken, and nothing cut the run short."""
        doctor, self._doctor = self._doctor, None
        if doctor is None:
            return
        doctor.__exit__(None, None, None)
        if not doctor.watcher.steps:  # several seeds as one stacked model: its parts take no steps
            return
        try:
            found = self.diagnosis = self._with_standing(doctor.diagnosis())
            found.record.save(self._folder.path)
            told = [each.to_json() for each in found.findings]
            treated: Sequence[Mapping[str, Any]] = ()
            if self._was_treated is not None:
                treated = self._was_treated(found.findings, ended)
                told += [dict(each) for each in treated]
            lines = [json.dumps(each, ensure_ascii=False) for each in told]
            write_bytes(
                self._folder.path / "findings.jsonl",
                "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"),
            )
        except NetwrightError as error:
            self._faulty(str(error).partition("\n")[0])
            return
        if self._prepared.recipe.run.tensorboard:
            self._write_board(found)
        self._events.emit(_summary(found, [str(each["name"]) for each in treated]))

    def _with_standing(self, found: Diagnosis) -> Diagnosis:
        """With what somebody else says stands, unless it was found as well."""
        alarms = {each.name for each in found.findings if each.severity != "note"}
        more = [each for each in self.standing if each.name not in alarms]
        return Diagnosis((*more, *found.findings), found.record)

    def _write_board(self, found: Diagnosis) -> None:
        from netwright.tasks.doctor_board import write_board  # needs an extra

        try:
            write_board(self._folder.path, found)
        except NetwrightError as error:
            self._folder.log(f"TensorBoard gets nothing of the doctor: {error}")

    def _heard(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        if self._on_round is not None and self._doctor is not None:
            self._on_round(diagnosis, self._doctor.watcher.steps)

    def _faulty(self, reason: str) -> None:
        with contextlib.suppress(NetwrightError):
            self._events.emit(
                e.Noted(
                    word="NOTE",
                    template="Watching has ended by a fault of ours: {why}",
                    values={"why": reason},
                )
            )


def known_setup(prepared: Prepared) -> Setup:
    """What a recipe says of its run."""
    task = prepared.task
    splits = prepared.dataset.splits
    steps = task.rhythm.steps
    per_epoch = task.train.steps_per_epoch
    return dataclasses.replace(
        setup_of(task.model, [task.optimizer]),
        model=prepared.architecture.name,
        task="classification",
        loop="netwright",
        batch=prepared.recipe.general.batch,
        train_samples=len(splits["train"]),
        val_samples=len(splits["val"]) if "val" in splits else None,
        steps_per_epoch=per_epoch,
        epochs=-(-steps // per_epoch) if per_epoch else None,
        planned_steps=steps,
        pretrained=prepared.recipe.model_common.weights is not None,
    )


def _summary(found: Diagnosis, treated: Sequence[str] = ()) -> e.Noted:
    """`doctor 0 stop, 1 warn: overfitting`; `treated` was found, and stands no more."""
    counts: dict[str, Any] = {
        each: sum(finding.severity == each for finding in found.findings)
        for each in ("stop", "warn", "note")
    }
    named = [each.name for each in found.findings if each.severity != "note"]
    if not named and treated:
        return e.Noted(
            word="doctor",
            template="nothing stands any more; repaired on the way: {names}",
            values={**counts, "names": ", ".join(dict.fromkeys(treated))},
        )
    if not named:
        template = "{stop} stop, {warn} warn, {note} note"
        return e.Noted(word="doctor", template=template, values=counts)
    return e.Noted(
        word="doctor",
        template="{stop} stop, {warn} warn: {first}",
        values={**counts, "first": found.verdict},
    )
