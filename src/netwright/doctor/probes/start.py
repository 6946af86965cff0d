"""The state at the start: signals and gradients stage by stage, on the batch that the loop uses."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import NetwrightError
from netwright.doctor.deadline import STEP
from netwright.doctor.part import light
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.doctor.tape import Call
from netwright.doctor.twin import NoTwinError, Twin
from netwright.inspection.initial_state import initial_state
from netwright.records.facts.start import Recurrence, WeightScale, WeightScales
from netwright.records.initial_state import InitialState, StageState

COST = 1.5 * STEP
"""Of this probe in forward passes: reading the layers costs half of a step once more."""

PART = 0.3
"""The share of the time left that it may take on the whole batch."""


@PROBES.register("start", order=10, needs=("sample",), cost="1F+1B")
def start(patient: Patient) -> Iterator[object]:
    """One forward and one backward pass of a copy, with the loop's own loss.

    Dropout rests and norms use the batch, whatever the mode is. Where the loss calls the network
    several times, the gradient begins in a random direction instead.
    """
    sample = patient.sample
    assert sample is not None
    if any(each.is_complex() for each in patient.model.parameters()):
        return  # its scales are told for numbers of one part
    deadline, whole = patient.deadline, sample.size
    if deadline.passes(COST) > PART * deadline.left:
        sample = light(patient)
    if not deadline.affords(deadline.passes(COST * sample.size / max(1, whole))):
        deadline.leave_out("passes")
        return
    if sample.size < whole:
        deadline.leave_out("samples", sample.size, whole)
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    path, calls = twin.network()
    batch = _batch(calls[0]) if calls else None
    if batch is None:
        return
    network = twin.swaps[id(calls[0].run)]
    with twin:
        twin.begin()
        try:
            found = initial_state(
                network, batch, loss=_loss(network, twin, sample) if len(calls) == 1 else None
            )
        except NetwrightError:
            return
    found = _in_the_model(found, path)
    yield found
    scales = _scales(twin, patient, found, sample)
    patient.workings["start"] = (found, scales)
    yield scales


def _batch(call: Call) -> Any:
    """The arguments of a call as a tuple, or by name; None where they cannot be told so."""
    if not call.kwargs:
        return tuple(call.args)
    try:
        bound = inspect.signature(call.run.forward).bind(*call.args, **call.kwargs)
    except (TypeError, ValueError):
        return None
    rest = [each.name for each in bound.signature.parameters.values() if each.kind in _RESTS]
    given = dict(bound.arguments)
    return None if any(given.get(each) for each in rest) else given


_RESTS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _in_the_model(found: InitialState, path: str) -> InitialState:
    """`found` of the network at `path`, with its layers named as in the whole model."""
    if not path:
        return found
    return dataclasses.replace(
        found,
        stages=tuple(
            dataclasses.replace(each, layer=_joined(path, each.layer)) for each in found.stages
        ),
        judgements=tuple(
            dataclasses.replace(each, layers=tuple(_joined(path, one) for one in each.layers))
            for each in found.judgements
        ),
    )


def _joined(path: str, layer: str) -> str:
    return f"{path}.{layer}" if layer else path


def _loss(network: nn.Module, twin: Twin, sample: Sample) -> Callable[[Any], Tensor]:
    """The loop's loss of an output of the network, put in its place on the tape."""

    def of(output: Any) -> Tensor:
        given = {key: value for key, value in twin.swaps.items() if value is not network}
        stand_in = {
            id(call.run): (lambda *_, **__: output)
            for call in sample.objective.modules
            if twin.swaps.get(id(call.run)) is network
        }
        return sample.objective.again({**given, **stand_in})

    return of


def _scales(twin: Twin, patient: Patient, found: InitialState, sample: Sample) -> WeightScales:
    modules = dict(twin.model.named_modules())
    held = {
        patient.path_of(p) for o in patient.optimizers for g in o.param_groups for p in g["params"]
    }
    trained = {path.rpartition(".")[0] for path in held}
    stages = [stage for stage in found.stages if stage.call == 0]
    layers = []
    for place, stage in enumerate(stages):
        weight = getattr(modules.get(stage.layer), "weight", None)
        if not isinstance(weight, Tensor) or weight.ndim < 2 or _is_embedding(modules[stage.layer]):
            continue
        layers.append(
            WeightScale(
                layer=stage.layer,
                gain=float(
                    weight.detach().float().square().mean().sqrt()
                    * _fan_in(modules[stage.layer], weight) ** 0.5
                ),
                normed=bool(stage.norm),
                head=place == len(stages) - 1,
                held=not held or any(path.endswith(stage.layer) for path in trained),
            )
        )
    first = next((each for each in sample.inputs if each.is_floating_point()), None)
    rms = None if first is None else float(first.detach().float().square().mean().sqrt())
    return WeightScales(
        layers=tuple(layers), input_rms=rms, recurrences=tuple(_recurrences(modules, stages))
    )


def _recurrences(modules: dict[str, nn.Module], stages: list[StageState]) -> Iterator[Recurrence]:
    """Gates and tanh bound a state, ReLUs do not."""
    for stage in stages:
        module = modules.get(stage.layer)
        if not isinstance(module, nn.RNNBase) or len(stage.shape) != 3:
            continue
        free = isinstance(module, nn.RNN) and module.nonlinearity == "relu"
        for name, weight in module.named_parameters():
            if not name.startswith("weight_hh"):
                continue
            values = weight.detach().float().cpu()
            yield Recurrence(
                layer=stage.layer,
                radius=float(torch.linalg.eigvals(values).abs().max()) if free else None,
                gain=float(values.square().mean().sqrt() * values.shape[1] ** 0.5),
                steps=stage.shape[1 if module.batch_first else 0],
            )


def _fan_in(module: nn.Module, weight: Tensor) -> int:
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return max(1, weight.numel() // (weight.shape[1] * int(module.groups)))
    return weight[0].numel()


def _is_embedding(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding | nn.EmbeddingBag)
