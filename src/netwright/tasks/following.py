"""A rank that is not the first: it takes every step of the run with it, writes and says nothing."""

from __future__ import annotations

from pathlib import Path

from netwright.core import events as e
from netwright.records.run import Run
from netwright.tasks.computing import memory_kept, reproducible
from netwright.tasks.preparing import Prepared
from netwright.tasks.running import Trained, environment_of, plan_of
from netwright.train.checkpoints import Checkpoint
from netwright.train.silent import SilentFolder, SilentSaves
from netwright.train.trainer import Trainer


def follow(prepared: Prepared, path: Path, checkpoint: Checkpoint | None = None) -> Trained:
    """Take the steps of the run in `path`, which the first rank writes."""
    prepared.cut()
    trainer = Trainer(
        prepared.task,
        SilentFolder(path),
        SilentSaves(path / "ckpt"),
        plan=plan_of(prepared.recipe),
        events=e.Events(),
        environment=environment_of(prepared),
        settings=prepared.resolved.plain(),
        ranks=prepared.ranks,
    )
    with reproducible(), memory_kept(prepared.device):
        outcome = trainer.fit(checkpoint)
    step = outcome.progress.step
    return Trained(
        run=Run(path),
        status=outcome.status,
        epochs=prepared.task.rhythm.epoch(step),
        steps=step,
        best=outcome.progress.best,
        spoken=True,
    )
