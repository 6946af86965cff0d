"""Weights stand still as they were drawn: one batch with them so, and with them trained."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from netwright.doctor.deadline import STEP
from netwright.doctor.part import light
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.fit import constant_of, trial
from netwright.doctor.twin import NoTwinError, Twin, rate_meant
from netwright.records.facts.fit import FitTrial
from netwright.records.facts.still import Still, Why

LONG = 240
"""Steps of the two trials: features that nobody trained tell by what they never come to."""

LEAST = 60
"""Steps that each of them gets at least, or nothing is tried."""

PART = 0.5
"""And what part of the time that is left both may take."""

EDGE = 10.0
"""Of n uniform draws the largest is within about 1 / n of the bound; ten times that is allowed."""

FEWEST = 8
"""Biases of zero below which they may be zero by chance."""

RATE = 3e-3

LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


@PROBES.register(
    "still", order=24, needs=("sample", "optimizers"), cost="480S where weights are still"
)
def still(patient: Patient) -> Iterator[Still]:
    """Where weights are not trained and bear the mark of an initialiser, one batch is fitted
    on a copy with them still and with them trained.

    Weights that were trained once, or loaded, have no such mark: nothing is tried then. Where
    neither trial moves at the rate that is set, both are made by Adam at 3e-3.
    """
    assert patient.sample is not None
    if len(patient.optimizers) != 1:
        return
    (optimizer,) = patient.optimizers
    layers = {
        path: each
        for path, each in patient.model.named_modules()
        if isinstance(each, LAYERS) and each._parameters.get("weight") is not None
    }
    reasons = {path: _stands(each, optimizer) for path, each in layers.items()}
    resting = [path for path, why in reasons.items() if why and as_drawn(layers[path])]
    total = sum(each.weight.numel() for each in layers.values())
    numel = sum(layers[path].weight.numel() for path in resting)
    if not resting or len(resting) == len(layers):
        return
    pair = None
    sample = light(patient)
    each = patient.deadline.passes(2 * STEP * sample.size / max(1, patient.sample.size))
    steps = min(LONG, int(PART * patient.deadline.left / each)) if each else LONG
    if steps < LEAST:
        patient.deadline.leave_out("steps", 0, LONG)
    else:
        try:
            twin = Twin(patient, sample)
            with twin:
                if not twin.agrees():
                    return
                pair = _tried(twin, optimizer, [layers[path] for path in resting], steps)
        except NoTwinError:
            return
        if pair is None:
            return
    by, held, moved = pair or ("", None, None)
    reason = reasons[resting[0]]
    assert reason is not None
    yield Still(
        why=reason,
        layers=tuple(resting),
        numel=numel,
        share=numel / total,
        held=held,
        moved=moved,
        constant=constant_of(sample),
        by=by,
    )


def as_drawn(layer: nn.Module) -> bool:
    """Whether a layer bears the mark of an initialiser: biases that are all zero, or weights that
    fill a uniform interval of torch's own, Kaiming's or Xavier's width to its very edge and not
    beyond. Any training leaves neither.

    >>> as_drawn(nn.Linear(20, 20))
    True
    >>> trained = nn.Linear(20, 20)
    >>> _ = trained.weight.data.add_(0.1)
    >>> as_drawn(trained)
    False
    """
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    if isinstance(bias, Tensor) and len(bias) >= FEWEST and not bias.detach().any():
        return bool(weight.detach().any())
    # The axes change places in a transposed layer, in torch's initialisers as well.
    inner = weight[0].numel()
    outer = weight.shape[0] * weight[0][0].numel()
    largest = float(weight.detach().abs().max())
    for bound in (1 / inner**0.5, (6 / inner) ** 0.5, (6 / (inner + outer)) ** 0.5):
        if bound * (1 - EDGE / weight.numel()) <= largest <= bound * (1 + 1e-6):
            return True
    return False


def _stands(layer: nn.Module, optimizer: Optimizer) -> Why | None:
    """Why the weight of a layer stands still, None where it is trained."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if not weight.requires_grad:
        return "frozen"
    group = next(
        (g for g in optimizer.param_groups if any(each is weight for each in g["params"])), None
    )
    if group is None:
        return "left"
    moving = any(float(each["lr"]) > 0 for each in optimizer.param_groups)
    at_rest = not any(float(group.get(key) or 0) for key in ("lr", "initial_lr", "max_lr"))
    return "rate" if at_rest and moving else None


def _tried(
    twin: Twin, original: Optimizer, resting: list[nn.Module], steps: int
) -> tuple[str, FitTrial, FitTrial] | None:
    """The two trials, by the optimizer that is set or by Adam."""
    ours = [twin.swaps[id(p)] for layer in resting for p in layer.parameters(recurse=False)]
    mine = {id(each) for each in ours}
    rest = [each for each in twin.parameters.values() if id(each) not in mine]
    held_there = {
        id(twin.swaps[id(each)])
        for group in original.param_groups
        for each in group["params"]
        if id(each) in twin.swaps
    }
    rest = [each for each in rest if id(each) in held_there]
    rates = [rate_meant(group, original) for group in original.param_groups]
    if not rest or not max(rates):
        return None
    asked = [each.requires_grad for each in ours]

    def both(made: Callable[[list[Tensor]], Optimizer]) -> tuple[FitTrial, FitTrial]:
        with twin.returning():
            for each in ours:
                each.requires_grad_(True)
            moved = trial(twin, made([*rest, *ours]), steps)
        for each, before in zip(ours, asked, strict=True):
            each.requires_grad_(before)
        # As many steps as those took that end when the batch is fitted.
        with twin.returning():
            held = trial(twin, made(rest), max(1, moved.steps))
        return held, moved

    group = {
        key: value for key, value in original.param_groups[rates.index(max(rates))].items()
        if key != "params" and key in original.defaults
    }  # fmt: skip
    pair = both(lambda params: _like(original, params, {**group, "lr": max(rates)}))
    if _moves(pair[1]):
        return "", *pair
    return "adam", *both(lambda params: Adam(params, lr=RATE))


def _like(original: Optimizer, params: list[Tensor], group: dict[str, object]) -> Optimizer:
    """A fresh optimizer of the same kind and settings for other parameters."""
    known = inspect.signature(type(original).__init__).parameters
    given = {key: value for key, value in original.defaults.items() if key in known}
    return type(original)([{**group, "params": params}], **given)


def _moves(moved: FitTrial) -> bool:
    return math.isfinite(moved.end) and moved.end < 0.5 * moved.start
