"""What a plain network learns of the training data in a moment: less than that is no success."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.plain import FREE, WIDTH, unseen_by_plain
from netwright.doctor.quiet import hushed
from netwright.records.facts.reference import Reference

ALIKE = 0.5
"""Correlation of inputs and targets of one size from which on they are the same thing."""


@PROBES.register("reference", order=40, needs=("sample", "train"), cost="300S of a small network")
def reference(patient: Patient) -> Iterator[Reference]:
    """Two hidden layers of 128 ReLUs by Adam, on samples of the training data read once more.

    Only for losses of torch's own that take any number for an output, on one tensor of inputs. Not
    where the targets are the inputs, or nearly: what they pass through is meant to be narrow.
    """
    sample = patient.sample
    assert sample is not None
    call = sample.loss_call
    if call is None or call.name not in FREE or len(call.args) != 2 or len(sample.inputs) != 1:
        return
    output = call.args[0]
    if not isinstance(output, Tensor) or len(output) != len(sample.inputs[0]):
        return
    if _alike(sample.inputs[0], call.args[1]):
        return
    with hushed(patient.model):
        unseen = unseen_by_plain(patient, call)
    if unseen is not None:
        yield Reference(unseen=unseen, width=WIDTH)


def _alike(inputs: Tensor, target: object) -> bool:
    """Whether a sample is to be given back."""
    if not isinstance(target, Tensor) or target.numel() != inputs.numel():
        return False
    both = [each.detach().double().flatten() for each in (inputs, target)]
    a, b = (each - each.mean() for each in both)
    return float((a * b).sum()) > ALIKE * float(a.norm() * b.norm())
