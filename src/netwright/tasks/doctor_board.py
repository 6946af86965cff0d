"""What the doctor saw, for TensorBoard: RUN/tensorboard/doctor, one folder for each patient.

    step/loss, step/lr, step/grad_norm, step/update_ratio, step/efficacy   of the whole network
    gradient/LAYER, update/LAYER, zeros/LAYER                              of each layer
    finding/NAME                                                           as text, at its step

Written from the record when the watch is over: nothing of it costs the training time. Imported
only when it is asked for: it needs the extra `[track]`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import summary

from netwright.doctor.diagnosis import Diagnosis
from netwright.records.facts.layers import Layers
from netwright.records.facts.steps import Array, Steps
from netwright.records.findings import Finding
from netwright.train.event_files import EventFile

OF_STEPS = ("loss", "lr", "grad_norm", "update_ratio")

OF_LAYERS = {
    "gradient": "weight_gradient_norm",
    "update": "update_ratio",
    "zeros": "zero_share",
}
"""The name of a curve, and the signal of a layer that it shows."""


def write_board(run: Path, diagnosis: Diagnosis, *, patient: int = 1) -> Path:
    """Write all curves and findings of one patient; the folder they are in.

    What was written there before is told to be forgotten. Raises `ExhaustedError` where the disk
    refuses it.
    """
    folder = run / "tensorboard" / ("doctor" if patient == 1 else f"doctor-{patient}")
    file = EventFile(folder)
    file.forget_from(0)
    steps, layers = diagnosis.record.get(Steps), diagnosis.record.get(Layers)
    if steps is not None:
        for name in OF_STEPS:
            _curve(file, f"step/{name}", steps.step, getattr(steps, name))
        if len(steps.promised) == len(steps.fallen):
            _curve(file, "step/efficacy", steps.step, steps.rho)
    if layers is not None:
        for name, signal in OF_LAYERS.items():
            table = getattr(layers, signal)
            for column, layer in enumerate(layers.names if table.size else ()):
                _curve(file, f"{name}/{layer or '(model)'}", layers.step, table[:, column])
    last = steps.total if steps is not None else 0
    for finding in diagnosis.findings:
        tag, step = f"finding/{finding.name}", last if finding.step is None else finding.step
        file.add_summary(summary.text(tag, _text(finding)), step)
    file.flush()
    return folder


def _curve(file: EventFile, name: str, steps: Array, values: Array) -> None:
    """The points that were measured: what is no number was not looked at."""
    for step, value in zip(steps, values, strict=False):
        if not math.isnan(value):
            file.add_summary(summary.scalar(name, float(np.float32(value))), int(step))


def _text(finding: Finding) -> str:
    """As Markdown: the severity, the layers, then what the screen says."""
    head = (
        f"**{finding.severity.upper()}** {', '.join(each or '(model)' for each in finding.layers)}"
    )
    return "\n\n".join([head.rstrip(), *finding.paragraphs()])
