"""The check-up of a recipe: what `netwright train` with the same settings would train, looked at
before its first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from netwright.core import events as e
from netwright.data.feed import Feed
from netwright.doctor.checking import checked, patient_of
from netwright.doctor.deadline import Deadline
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.patient import Source
from netwright.doctor.quiet import RandomState
from netwright.tasks.preparing import Prepared, prepare
from netwright.tasks.settings import Resolved
from netwright.tasks.watched_run import known_setup

SECONDS = 10.0


def check_recipe(
    resolved: Resolved, *, listeners: Sequence[e.Listener] = (), seconds: float = SECONDS
) -> Diagnosis:
    """Prepare what the recipe describes, and look at it for at most `seconds`; nothing is kept.

    Raises subclasses of `NetwrightError` for what could not be trained either.
    """
    prepared = prepare(resolved, e.Events(*listeners))
    task = prepared.task
    state = RandomState()
    try:
        task.to_training(0)
        val = task.evaluations.get("val")
        patient = patient_of(
            task.model,
            _plain_loss(prepared),
            source_of_feed(task.train, "train", training=True),
            val=source_of_feed(val, "val", training=False) if val is not None else None,
            optimizers=(task.optimizer,),
            deadline=Deadline(seconds),
        )
        patient.setup = known_setup(prepared)
        return checked(patient, seconds=seconds)
    finally:
        state.restore()


def source_of_feed(feed: Feed, name: str, *, training: bool) -> Source:
    """The data of a feed: a batch is a function of its number, so reading it changes nothing."""
    count = len(feed.images)

    def batches() -> Iterator[tuple[Tensor, Tensor | None]]:
        found = feed.iterate(0, feed.steps_per_epoch) if training else feed.once()
        for each in found:
            yield each.images, each.target

    return Source(
        name=name,
        batches=batches,
        samples=count,
        batch=feed.batch,
        shuffled=training,
        dropped=0,  # what does not fill a batch waits for the next epoch
    )


def _plain_loss(prepared: Prepared) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of logits; networks with heads half way are looked at by their last one."""
    loss = prepared.task.gradients.loss
    return lambda logits, target: loss(logits, target)
