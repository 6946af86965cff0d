"""The memory of a training step in lines: its peak, when that is and of what, and the work."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import say
from netwright.records.inspection import InspectionRecord
from netwright.records.memory import MemoryParts, TrainingMemory
from netwright.report.quantities import amount, memory, ratio
from netwright.report.text_table import Column, aligned


def step_memory(found: TrainingMemory, record: InspectionRecord, *, cells: int = 80) -> list[str]:
    """A heading, the parts of the peak with their shares, and the multiply-adds of the step."""
    parts = sorted(_parts(found.parts), key=lambda each: -each[1])
    lines = [
        say(
            "a training step ({optimizer}, batch {batch}) takes {peak} at its peak, in the "
            "{moment}",
            optimizer=found.optimizer,
            batch=record.inputs[0][0] if record.inputs and record.inputs[0] else 1,
            peak=memory(found.peak_bytes),
            moment=found.moment.phrase,
        )
    ]
    lines += aligned(
        [
            Column(head=say("at the peak"), cells=[name for name, _ in parts]),
            Column(head=say("bytes"), cells=[memory(value) for _, value in parts]),
            Column(
                head=say("share"),
                cells=[f"{100 * value / found.peak_bytes:.1f} %" for _, value in parts],
            ),
        ],
        cells=cells,
    )
    lines.append(
        say(
            "saved for the backward pass {saved}, gradients {gradients}, optimizer state {state}",
            saved=memory(found.saved_bytes),
            gradients=memory(found.gradient_bytes),
            state=memory(found.optimizer_bytes),
        )
    )
    lines.append(
        say(
            "multiply-adds of a step {step}: forward {forward}, backward {backward} ({times} of "
            "the forward)",
            step=amount(found.step_macs),
            forward=amount(found.forward_macs),
            backward=amount(found.backward_macs),
            times=ratio(found.backward_macs, found.forward_macs),
        )
    )
    if found.recomputed_macs:
        lines.append(
            say("computed a second time {recomputed}", recomputed=amount(found.recomputed_macs))
        )
    lines.append(
        say("these are the allocator's bytes; the process's resident size is 16 to 86 % higher")
    )
    return lines


def _parts(parts: MemoryParts) -> Iterator[tuple[str, int]]:
    named = (
        (say("weights"), parts.weights),
        (say("buffers"), parts.buffers),
        (say("inputs"), parts.inputs),
        (say("activations"), parts.activations),
        (say("gradients of weights"), parts.gradients),
        (say("gradients of activations"), parts.activation_gradients),
        (say("optimizer state"), parts.optimizer_state),
        (say("results in passing"), parts.passing),
        (say("scratch within an operation"), parts.scratch),
    )
    return (each for each in named if each[1])
