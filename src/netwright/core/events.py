"""The event protocol: a loop announces, anyone listens, a listener may leave a request.

The loop never knows who listens, and a listener never acts on the loop itself: it leaves a
request, and the loop carries it out at the next boundary between two steps, when its task
allows it. So a progress line, a doctor or a test can be added to any loop without the loop
or each other changing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from netwright.core.languages import Phrase


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """The loop is about to take its first step (or the first after a resume).

    `steps` and `steps_per_epoch` are None where a task has no end or no epochs. `resumed` says
    how the run was taken up again: "" for a fresh start, "exact", or "approximate because ...".
    """

    task: Any
    step: int
    steps: int | None
    steps_per_epoch: int | None
    resumed: str | Phrase = ""


@dataclass(frozen=True, kw_only=True)
class StepEnded:
    """One step was taken. `step` counts the steps done; `values` are scalars, possibly tensors
    on the device, which a listener reads only when it needs them."""

    step: int
    epoch: int
    batch: Any
    values: Mapping[str, Any]
    data_seconds: float
    step_seconds: float


@dataclass(frozen=True, kw_only=True)
class StepFailed:
    """Step number `step` (counted from 0) has come to a value that is not finite: no update was
    made with it, and the run ends unless a listener asks it to go back."""

    step: int
    batch: Any
    what: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A logging moment: what goes into one line of `metrics.jsonl`."""

    step: int
    epoch: int
    metrics: Mapping[str, float | None]
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Noted:
    """Something a user should read: `word` is OK, NOTE, WARN or STOP; the text is a template."""

    word: str
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved:
    step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class BytesCame:
    """A download went on: the bytes that are there, and those there will be, if anybody knows."""

    held: int
    total: int | None


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """`status` is done, interrupted, failed or diverged; `why` says it in words."""

    step: int
    status: str
    why: str


Event: TypeAlias = (
    RunStarted | StepEnded | StepFailed | Measured | Noted | CheckpointSaved | BytesCame | RunEnded
)
Listener: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True)
class Save:
    """Write a checkpoint at the next boundary."""


@dataclass(frozen=True)
class Stop:
    """End the run at the next boundary, as done."""

    why: str


@dataclass(frozen=True)
class Rewind:
    """Go back to the newest checkpoint at or before `step`, and forget the later ones.

    `then` is called with the task and the step it has come back to; what it changed is saved
    before the next step is taken. It is not called where there is no such checkpoint.
    """

    step: int
    then: Callable[[Any, int], None] | None = None


@dataclass(frozen=True)
class Call:
    """Call `action` with the task between two steps."""

    action: Callable[[Any], None]


Request: TypeAlias = Save | Stop | Rewind | Call


class Events:
    """Carries events from one loop to its listeners, and their requests back."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners: list[Listener] = list(listeners)
        self._requests: list[Request] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the returned function takes it away again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def emit(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    def request(self, request: Request) -> None:
        """Leave a request for the loop."""
        self._requests.append(request)

    def take_requests(self) -> list[Request]:
        """Every request left since the last call, oldest first; for the loop."""
        taken, self._requests = self._requests, []
        return taken
