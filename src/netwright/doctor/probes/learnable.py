"""Whether there is something to learn: a plain network on samples that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.fit import constant_of
from netwright.doctor.probes.plain import FREE, MOST, unseen_by_plain
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.learnable import Learnable

TIME = 3.0
"""Seconds that must be left: what comes late in a check-up takes no time from what is surer."""


@PROBES.register(
    "learnable", order=60, needs=("sample", "optimizers"), cost="300S of a plain network"
)
def learnable(patient: Patient) -> Iterator[Learnable]:
    """Two hidden layers of 128 ReLUs learn for some 300 steps from the training data, where these
    can be read, and are judged on a quarter of them that was kept back. Nothing of the patient's
    network runs."""
    sample = patient.sample
    assert sample is not None
    call, output = sample.loss_call, sample.output
    if patient.train is None or patient.deadline.left < TIME:
        return
    if (
        call is None
        or call.name not in FREE
        or not isinstance(output, Tensor)
        or len(call.args) > 2
    ):
        return
    if not output.ndim or len(output) != sample.size or output[0].numel() > MOST:
        return
    guess = constant_of(sample)
    if guess is None or guess <= 0:
        return
    try:
        with Twin(patient, sample):  # the random numbers are those of the loop afterwards
            found = unseen_by_plain(patient, call)
    except (NoTwinError, RuntimeError, ValueError, IndexError, TypeError):
        return  # the loss takes more than an output and its target
    if found is not None:
        yield Learnable(unseen=found, guess=guess)
