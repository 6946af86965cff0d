"""Going on with a run: from its newest good checkpoint, with the settings it was started with."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from netwright.core import atomic
from netwright.core import events as e
from netwright.core.config import show
from netwright.core.errors import (
    CheckpointError,
    DataError,
    ExhaustedError,
    RunBusyError,
    SettingError,
)
from netwright.core.languages import Phrase
from netwright.records.run import Run
from netwright.tasks.following import follow
from netwright.tasks.preparing import Prepared, prepare
from netwright.tasks.run_facts import write_more
from netwright.tasks.running import Trained, announce, carry_out, note, trained
from netwright.tasks.settings import Resolved, changed, read_config
from netwright.tasks.several import compare, shared
from netwright.tasks.start_settings import as_started
from netwright.train.checkpoints import Checkpoint, Checkpoints
from netwright.train.ranks import Alone, Ranks
from netwright.train.run_folder import RunFolder, leftovers
from netwright.train.weights import read_weights

# What may differ when a run is resumed; everything else would make it another run.
CHANGEABLE = ("epochs", "steps", "device", "devices", "data.workers", "run.")


def go_on(
    run: Run,
    asked: Mapping[str, Any],
    events: e.Events,
    *,
    command: str,
    trust_code: bool,
    ranks: Ranks | None = None,
) -> Trained:
    """Resume `run`; a finished one is returned as it is, unless `asked` makes it longer.

    `asked` are the settings given with the call, by dotted name. Raises `SettingError` when one
    of them may not change, `DataError` when the data are others, `CheckpointError` when no
    checkpoint verifies, `RunBusyError` when another process holds the run.
    """
    ranks = ranks or Alone()
    asked = as_started(asked, run)
    before = read_config(str(run.path / "config.yaml"))
    now = changed(before, asked)
    refuse_other_settings(before, now)
    longer = (now.values["epochs"], now.values["steps"]) != (
        before.values["epochs"],
        before.values["steps"],
    )
    ended = run.status == "done" and not longer
    if ranks.several:  # from here on the first may change what the others have read
        compare({**now.plain(), "status": "done" if ended else "begun"}, ranks)
    if ended:
        if ranks.first:
            _mend(run)
        return dataclasses.replace(trained(run.path), spoken=not ranks.first)
    if not ranks.first:
        prepared = prepare(now, events, recorded=run, trust_code=trust_code, ranks=ranks)
        return follow(prepared, run.path, shared(None, ranks))
    with contextlib.closing(RunFolder.open(run.path)) as folder:
        prepared = prepare(now, events, recorded=run, trust_code=trust_code, ranks=ranks)
        checkpoint = newest_checkpoint(folder, prepared, events)
        refuse_other_data(run, prepared)
        changes = _refuse_shorter(before, prepared, checkpoint) if longer else []
        shared(checkpoint, ranks)
        folder.write_info(status="running", why="", ended=None)
        if now is not before:
            folder.write_config(now.to_yaml())
        if checkpoint is None:  # it was stopped before its first, perhaps while it still wrote
            write_more(folder, prepared, command)
        events.emit(note("run", "{path}", path=str(folder.path)))
        announce(prepared, events)
        events.listen(ResumeNote(folder, command))
        return carry_out(folder, prepared, events, checkpoint=checkpoint, changes=changes)


def _mend(run: Run) -> None:
    """Tidy up a finished run that was killed while it wrote its report, and put its weights back
    from its checkpoints, if they are lost or damaged."""
    if leftovers(run.path):
        with contextlib.suppress(RunBusyError, ExhaustedError):
            RunFolder.open(run.path).close()
    path = run.path / "best.safetensors"
    try:
        read_weights(path)
        return
    except CheckpointError as error:
        lost = error
    with contextlib.closing(RunFolder.open(run.path)):
        with atomic.explained(path):
            atomic.disk.remove(path)
        with contextlib.closing(Checkpoints(run.path / "ckpt")) as checkpoints:
            found = checkpoints.newest()
        if found is None or not path.is_file():
            raise CheckpointError(
                "The weights of {run} are lost, and no checkpoint of it is left to take them from.",
                hint="Train again:  netwright train --config {config}",
                run=str(run.path),
                config=str(run.path / "config.yaml"),
            ) from lost


def _refuse_shorter(
    before: Resolved, prepared: Prepared, checkpoint: Checkpoint | None
) -> list[Phrase]:
    """A run cannot be made shorter than it is; one made longer has another schedule."""
    steps = prepared.task.rhythm.steps
    if checkpoint is not None and steps < checkpoint.step:
        raise SettingError(
            "The run has already taken {done} steps; the settings ask for {steps}.",
            done=checkpoint.step,
            steps=steps,
        )
    epochs = before.values["steps"] or before.values["epochs"]
    now = prepared.resolved.values["steps"] or prepared.resolved.values["epochs"]
    return [Phrase("the run is longer: {old} -> {new}", old=epochs, new=now)]


class ResumeNote:
    """Writes into `run.json` from which step and how a run was taken up again."""

    def __init__(self, folder: RunFolder, command: str) -> None:
        self.folder = folder
        self.command = command

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.RunStarted) and event.resumed:
            known = self.folder.info.get("resumed")
            known = known if isinstance(known, list) else []
            line = {"step": event.step, "how": str(event.resumed), "command": self.command}
            self.folder.write_info(resumed=[*known, line])


def refuse_other_settings(before: Resolved, now: Resolved) -> None:
    """Raise `SettingError` for every setting that differs and may not."""
    refused = [
        f"{name}: {show(before.values.get(name))} -> {show(value)}"
        for name, value in now.values.items()
        if value != before.values.get(name) and not name.startswith(CHANGEABLE)
    ]
    if refused:
        raise SettingError(
            "These settings differ from those of the run: {names}.",
            hint="At resume only epochs, steps, device, devices, data.workers and run.* may "
            "change; start a new run for anything else.",
            names="; ".join(refused),
        )


def refuse_other_data(run: Run, prepared: Prepared) -> None:
    """Raise `DataError` when the data are not those that `run` was started with."""
    recorded = (run.model.get("data") or {}).get("fingerprint")
    if recorded and recorded != prepared.dataset.fingerprint():
        raise DataError(
            "The data of {name} are not the ones this run was started with.",
            hint="Files were added, removed, relabelled or their content changed; start a new run, "
            "or bring them back.",
            name=prepared.dataset.name,
        )


def newest_checkpoint(
    folder: RunFolder, prepared: Prepared, events: e.Events, *, at_most: int | None = None
) -> Checkpoint | None:
    """The newest checkpoint that verifies (of step `at_most` or before); damaged ones are told."""
    with contextlib.closing(
        Checkpoints(folder.path / "ckpt", keep=prepared.recipe.run.keep)
    ) as checkpoints:
        found = checkpoints.newest(at_most=at_most)
        for name, reason in checkpoints.damaged:
            events.emit(
                note(
                    "WARN",
                    "checkpoint {name} is damaged ({reason}); it was moved to ckpt/damaged/"
                    ", and the one before it is looked at",
                    name=name,
                    reason=reason,
                )
            )
            folder.log(f"checkpoint {name} is damaged: {reason}")
        begun = (folder.path / "best.safetensors", folder.path / "ckpt" / "damaged")
        if found is None and (folder.metrics_length() or any(each.exists() for each in begun)):
            raise CheckpointError(
                "No checkpoint of {run} verifies.",
                hint="Damaged ones are in ckpt/damaged/, and nothing else was changed: start a "
                "new run. best.safetensors, where it is sound, is still what evaluate and "
                "predict use.",
                run=str(folder.path),
            )
    return found
