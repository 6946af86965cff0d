"""The doctor at our own trainer: it watches one run, and leaves its record and findings there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

from netwright.core import events as e
from netwright.core.atomic import write_bytes
from netwright.core.errors import NetwrightError
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.watch import Doctor
from netwright.records.facts.setup import Setup
from netwright.tasks.preparing import Prepared
from netwright.train.run_folder import RunFolder


class RunWatch:
    """Listens to one run; the watch begins with its first step and ends with `close`."""

    def __init__(self, folder: RunFolder, prepared: Prepared, events: e.Events) -> None:
        self._folder, self._prepared, self._events = folder, prepared, events
        self._doctor: Doctor | None = None
        self.diagnosis: Diagnosis | None = None

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.RunStarted) and self._doctor is None:
            task = self._prepared.task
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

    def close(self) -> None:
        """The last step was taken: write down what was seen, and say it in one line."""
        doctor, self._doctor = self._doctor, None
        if doctor is None:
            return
        doctor.__exit__(None, None, None)
        if not doctor.watcher.steps:  # several seeds as one stacked model: its parts take no steps
            return
        try:
            found = self.diagnosis = doctor.diagnosis()
            found.record.save(self._folder.path)
            lines = [json.dumps(each.to_json(), ensure_ascii=False) for each in found.findings]
            write_bytes(
                self._folder.path / "findings.jsonl",
                "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"),
            )
        except NetwrightError as error:
            self._faulty(str(error).partition("\n")[0])
            return
        if self._prepared.recipe.run.tensorboard:
            self._write_board(found)
        self._events.emit(_summary(found))

    def _write_board(self, found: Diagnosis) -> None:
        from netwright.tasks.doctor_board import write_board  # needs an extra

        try:
            write_board(self._folder.path, found)
        except NetwrightError as error:
            self._folder.log(f"TensorBoard gets nothing of the doctor: {error}")

    def _heard(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis

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
        pretrained=prepared.start is not None,
    )


def _summary(found: Diagnosis) -> e.Noted:
    """`doctor 0 stop, 1 warn: overfitting`."""
    counts: dict[str, Any] = {
        each: sum(finding.severity == each for finding in found.findings)
        for each in ("stop", "warn", "note")
    }
    named = [each.name for each in found.findings if each.severity != "note"]
    if not named:
        template = "{stop} stop, {warn} warn, {note} note"
        return e.Noted(word="doctor", template=template, values=counts)
    return e.Noted(
        word="doctor",
        template="{stop} stop, {warn} warn: {first}",
        values={**counts, "first": found.verdict},
    )
