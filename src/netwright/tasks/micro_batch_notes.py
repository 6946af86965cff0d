"""Says, and writes down, when a run had to take its batches in smaller passes."""

from __future__ import annotations

from netwright.core import events as e
from netwright.core.languages import Phrase
from netwright.nn.stages import has_statistics
from netwright.tasks.classification import Classification
from netwright.train.run_folder import RunFolder


class MicroBatchNotes:
    """Listens to one run: a WARN, a line in `log.txt`, and `micro_batches` in `run.json`."""

    def __init__(self, folder: RunFolder, task: Classification, events: e.Events) -> None:
        self._folder, self._task, self._events = folder, task, events
        self._known = task.micro.factor

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.RunStarted):
            self._known = self._task.micro.factor  # of the checkpoint, and told when it was made
        elif isinstance(event, e.StepEnded) and self._task.micro.factor != self._known:
            self._known = self._task.micro.factor
            self._tell(event.step)

    def _tell(self, step: int) -> None:
        task = self._task
        passes = task.update.accumulate * task.micro.factor
        images = -(-task.train.batch // task.ranks.size // passes)
        values = {"step": step, "passes": passes, "images": images}
        if any(map(has_statistics, task.model.modules())):
            note = e.Noted(
                word="WARN",
                template="Memory ran out in step {step}: from there on each step has {passes} "
                "passes, of {images} images a process. The batch is the same, but batch norm sees "
                "a pass only and trains otherwise: model.norm=group or transfer.norm=frozen do "
                "not.",
                values=values,
            )
        else:
            note = e.Noted(
                word="WARN",
                template="Memory ran out in step {step}: from there on each step has {passes} "
                "passes, of {images} images a process. The batch is the same.",
                values=values,
            )
        self._events.emit(note)
        known = self._folder.info.get("micro_batches")
        lines = known if isinstance(known, list) else []
        self._folder.write_info(micro_batches=[*lines, values])
        self._folder.log(str(Phrase(note.template, **values)))
