"""The `Task` contract: what the trainer calls, and all it knows about what is being trained.

A task says how one step is done, what a batch is, how it evaluates and what it shows. The
trainer knows steps, events, checkpoints and time, and never looks into a batch. The contract
was walked through with a GAN, a DQN, a detector and a style transfer before it was fixed:
see `docs/decisions/0001-task-contract.md`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from netwright.core.events import Request


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """When things are due, in steps.

    `steps`: where the run ends. `steps_per_epoch`: None for a task without epochs (a game, an
    image that is optimised). `evaluate_every`: steps between two evaluations, which are also
    the moments a line goes into `metrics.jsonl`.
    """

    steps: int
    steps_per_epoch: int | None
    evaluate_every: int

    def epoch(self, step: int) -> int:
        """The number of the epoch, counted from 1, that the step before `step` belonged to."""
        if self.steps_per_epoch is None:
            return 0
        return max(0, -(-step // self.steps_per_epoch))


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What selection and early stopping look at: one metric of `Task.evaluate`."""

    metric: str
    mode: Literal["max", "min"]

    def better(self, value: float, best: float | None) -> bool:
        if best is None:
            return True
        return value > best if self.mode == "max" else value < best


class Task(ABC):
    """One training problem. Every random choice in it is a function of (seed, step), so that
    step k is the same step whether the run came there in one go or through ten resumes."""

    rhythm: Rhythm
    goal: Goal | None
    """None where nothing tells a better state from a worse one (a GAN): the newest is kept."""

    inexact: str = ""
    """Why going on from a checkpoint is only approximate, if it is ("the game starts anew")."""

    @abstractmethod
    def feed(self, step: int) -> Iterator[Any]:
        """Batches from the one of step `step` on, to the end of the run. The trainer takes one,
        takes its step, and only then the next; it closes the iterator before it asks for another.

        A batch is whatever `step` takes. A task that makes its own data (a DQN plays, a style
        transfer needs none) yields what it needs, and keeps what it must remember in `state`.
        """

    @abstractmethod
    def step(self, batch: Any, step: int) -> Mapping[str, Tensor | float]:
        """Take step number `step` (counted from 0) whole: forward, backward and every update.

        Returns what it has to tell as numbers or detached scalars, still on the device; the
        trainer takes the mean of each name over the steps that gave it. Raises `NonFiniteError`
        before an update is made with a loss or gradient that is not finite; the step is then half
        taken, and the trainer neither saves nor goes on from it.
        """

    @abstractmethod
    def evaluate(self, step: int) -> Mapping[str, float]:
        """Metrics of the present state, on data that selection may see, by the full names they
        have in `metrics.jsonl` (`val/acc1`, `play/return`)."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """The tensors that are evaluated, kept as the best, and shipped: not copies."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` gave."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything else that changes and is not a function of the step: optimizers, scalers,
        raw weights beside averaged ones, a replay memory. Tensors, numbers, strings, lists and
        dicts only. One key each, among them those of `reliability`: optimizer, schedule,
        scaler, average."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a checkpoint must agree with at resume, every key of it: `order` (how batches are
        keyed) and `data` (fingerprint of what they are drawn from), and whatever else the task
        needs to be the same."""

    def identify(self, batch: Any) -> Mapping[str, Any]:
        """What is needed to find `batch` again, for the bundle of a non-finite step."""
        return {}

    def adapted(self) -> Mapping[str, Any]:
        """Entries of the environment line that this task has changed while it ran: the images of
        a pass, where memory ran out in a larger one."""
        return {}

    def allows(self, request: Request) -> bool:
        """Whether a listener's request can be carried out between two steps."""
        return True

    def show(self, folder: Path, step: int) -> None:  # noqa: B027  # many tasks show nothing
        """Write pictures of the present state into the run folder; called after each evaluation."""


class NonFiniteError(ArithmeticError):
    """The loss or a gradient of this step is NaN or infinite; no update was made with it."""

    def __init__(self, what: str, value: float) -> None:
        super().__init__(f"{what} is {value}")
        self.what = what
        self.value = value
