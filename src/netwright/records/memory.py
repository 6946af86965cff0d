"""What the memory of a step holds at its fullest moment: frozen facts that need no torch.

The figure is the allocator's: the bytes of all tensors, and of the scratch that operations take
while they run, alive at one moment. It is not the process's: resident size holds the interpreter,
the libraries, threads and freed pages too, and is 16 to 86 % higher. Bytes are of whole storages,
each counted once however many tensors look at it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from netwright.core.languages import Phrase

Phase = Literal["forward", "loss", "backward", "recompute", "step"]

FIGURE = (
    "the allocator's peak: tensors and scratch alive at once; the process's resident size is "
    "16 to 86 % higher"
)

_POINTS = 300


@dataclass(frozen=True, kw_only=True)
class MemoryParts:
    """What is alive at one moment, in bytes.

    `inputs` are the batch and its targets; `activations` the results of the forward pass that
    wait for the backward pass, or that the caller or the network holds; `passing` results that
    nothing keeps; `scratch` what an operation takes and gives back while it runs (the layouts
    a convolution reorders into). `optimizer_state` is there from the second step on.
    """

    weights: int = 0
    buffers: int = 0
    inputs: int = 0
    activations: int = 0
    gradients: int = 0
    activation_gradients: int = 0
    optimizer_state: int = 0
    passing: int = 0
    scratch: int = 0

    @property
    def total(self) -> int:
        return sum(dataclasses.asdict(self).values())


@dataclass(frozen=True, kw_only=True)
class MemoryPoint:
    """One moment: the number of the operation, and what is alive while it runs."""

    operation: int
    phase: Phase
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When something was: `layer` is the path of the module ("" is the network itself)."""

    phase: Phase
    layer: str = ""
    operation: str = ""

    @property
    def phrase(self) -> Phrase:
        """In words, to be spoken in the language of the user.

        >>> str(Moment(phase="backward", layer="layer3.0.conv1").phrase)
        'backward of layer3.0.conv1'
        """
        layer = self.layer or Phrase("the network itself")
        if self.phase == "step":
            return Phrase("optimizer step")
        if self.phase == "loss":
            return Phrase("the loss")
        if self.phase == "recompute":
            return Phrase("forward of {layer}, again for the backward pass", layer=layer)
        if self.phase == "backward":
            return Phrase("backward of {layer}", layer=layer)
        return Phrase("forward of {layer}", layer=layer)

    def __str__(self) -> str:
        return str(self.phrase)


@dataclass(frozen=True, kw_only=True)
class InferenceMemory:
    """The memory of a forward pass that keeps nothing for a backward pass."""

    peak_bytes: int
    moment: Moment
    parts: MemoryParts
    timeline: tuple[MemoryPoint, ...]
    output_bytes: int
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """All facts as what JSON can hold."""
        return _facts(self)


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """The memory and the work of one training step, as it is from the second step on.

    Gradients are freed before the step begins (`zero_grad()`), the optimizer's state is there.
    `saved_bytes` are the activations alive when the backward pass begins that it needs, each
    storage once; `output_bytes` what the network put out. `backward_macs` count a convolution's
    or a product's gradient by its input and by its weight as its forward each, and what needs no
    gradient not at all; what is computed a second time (checkpoints, attention's scores) stands
    in `recomputed_macs`.
    """

    peak_bytes: int
    moment: Moment
    parts: MemoryParts
    phase_peaks: tuple[tuple[Phase, int], ...]
    timeline: tuple[MemoryPoint, ...]
    weight_bytes: int
    buffer_bytes: int
    input_bytes: int
    output_bytes: int
    saved_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    forward_macs: int
    backward_macs: int
    recomputed_macs: int
    optimizer: str
    loss: str
    seconds: float = 0.0

    @property
    def step_macs(self) -> int:
        """All multiply-adds of one step."""
        return self.forward_macs + self.backward_macs + self.recomputed_macs

    def to_json(self) -> dict[str, Any]:
        """All facts as what JSON can hold."""
        return {**_facts(self), "phase_peaks": dict(self.phase_peaks), "step_macs": self.step_macs}


def thinned(points: Sequence[MemoryPoint], *, most: int = _POINTS) -> tuple[MemoryPoint, ...]:
    """At most `most` of `points`: of each stretch the highest, so that no peak is lost.

    >>> hills = [MemoryPoint(operation=n, phase="forward", bytes=n % 3) for n in range(6)]
    >>> [each.operation for each in thinned(hills, most=2)]
    [2, 5]
    """
    if len(points) <= most:
        return tuple(points)
    bounds = [len(points) * stretch // most for stretch in range(most + 1)]
    return tuple(
        max(points[begin:end], key=lambda each: each.bytes)
        for begin, end in itertools.pairwise(bounds)
    )


def _facts(memory: InferenceMemory | TrainingMemory) -> dict[str, Any]:
    return {
        "format": 1,
        "figure": FIGURE,
        **dataclasses.asdict(memory),
        "moment": {**dataclasses.asdict(memory.moment), "words": str(memory.moment)},
    }
