"""Weights stand still as they were drawn: one batch with them so, and with them trained."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator

import torch
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

FEWEST_NORMAL, MOST_NORMAL = 512, 4_000_000
"""Numbers of a matrix below which a bell curve shows itself by chance, and above which the look
costs too much."""

SIGMAS = 3.0
"""Standard errors by which mean and tails of numbers that were drawn may be off."""

EDGE = 10.0
"""Of n uniform draws the largest is within about 1 / n of the bound; ten times that is allowed."""

FEWEST = 8
"""Biases of zero below which they may be zero by chance."""

RATE = 3e-3

LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.RNNBase,
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
    resting = _drawn({path: each for path, each in layers.items() if reasons[path]})
    total = sum(each.numel() for layer in layers.values() for each in weights_of(layer))
    numel = sum(each.numel() for path in resting for each in weights_of(layers[path]))
    if not resting:
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


def _drawn(layers: dict[str, nn.Module]) -> list[str]:
    """Those that bear the mark of an initialiser. Some layers of a trained network have hardly
    moved: a bell curve counts where all that are large enough to show one do, and then for the
    small ones beside them."""
    sure = {path for path, each in layers.items() if as_drawn(each)}
    bell = {path for path, each in layers.items() if path not in sure and _is_normal(each)}
    large = {path for path, each in layers.items() if weights_of(each)[0].numel() >= FEWEST_NORMAL}
    if not bell or not large <= sure | bell:
        return [path for path in layers if path in sure]
    return [path for path in layers if path in sure | bell or path not in large]


def as_drawn(layer: nn.Module) -> bool:
    """Whether a layer bears the mark of an initialiser: biases that are all zero, or weights that
    fill a uniform interval of torch's own, Kaiming's or Xavier's width to its very edge and not
    beyond, or lie as numbers do that are drawn one by one from a bell curve. Any training leaves
    none of it.

    >>> as_drawn(nn.Linear(20, 20))
    True
    >>> trained = nn.Linear(20, 20)
    >>> _ = trained.weight.data.add_(0.1)
    >>> as_drawn(trained)
    False
    """
    if isinstance(layer, nn.RNNBase):
        bound = 1 / layer.hidden_size**0.5
        return all(_fills(each, bound) for each in weights_of(layer))
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    if isinstance(bias, Tensor) and len(bias) >= FEWEST and not bias.detach().any():
        return bool(weight.detach().any())
    # The axes change places in a transposed layer, in torch's initialisers as well.
    inner = weight[0].numel()
    outer = weight.shape[0] * weight[0][0].numel()
    bounds = (1 / inner**0.5, (6 / inner) ** 0.5, (6 / (inner + outer)) ** 0.5)
    return any(_fills(weight, each) for each in bounds)


def _fills(weight: Tensor, bound: float) -> bool:
    largest = float(weight.detach().abs().max())
    return bound * (1 - EDGE / weight.numel()) <= largest <= bound * (1 + 1e-6)


def _is_normal(layer: nn.Module) -> bool:
    """Whether the weights of a layer are as if each was drawn by itself from one bell curve: mean,
    tails and the largest singular value are what chance gives, and the biases are those of torch.
    A trained matrix has directions of its own; one that hardly moved has biases that did.

    >>> _ = torch.manual_seed(0)
    >>> layer = nn.Linear(32, 64)
    >>> _ = nn.init.normal_(layer.weight, std=0.02)
    >>> _is_normal(layer)
    True
    >>> _ = layer.weight.data.add_(0.05 * torch.ones(64, 1) * torch.randn(32))
    >>> _is_normal(layer)
    False
    """
    rows = weights_of(layer)[0].detach().float().flatten(1)
    many, (high, wide) = rows.numel(), rows.shape
    bias = layer.bias
    if not isinstance(bias, Tensor) or not _fills(bias, 1 / wide**0.5):
        return False
    if many < FEWEST_NORMAL or min(high, wide) < FEWEST or many > MOST_NORMAL:
        return False
    size = float(rows.std())
    if size <= 0:
        return False
    tails = float((rows / size).pow(4).mean())
    if abs(float(rows.mean())) > SIGMAS * size / many**0.5:
        return False
    if abs(tails - 3) > SIGMAS * (24 / many) ** 0.5:
        return False
    off = float(torch.linalg.matrix_norm(rows, ord=2)) / size - (high**0.5 + wide**0.5)
    # How far the largest is off by chance: Tracy and Widom's law, of mean -1.2 and deviation 1.3.
    chance = 0.5 * (high**-0.5 + wide**-0.5) ** (1 / 3)
    return -5 * chance <= off <= 3 * chance


def weights_of(layer: nn.Module) -> list[Tensor]:
    """The matrices of a layer: those of a recurrent one are several."""
    if isinstance(layer, nn.RNNBase):
        return [each for name, each in layer.named_parameters() if name.startswith("weight")]
    assert isinstance(layer.weight, Tensor)
    return [layer.weight]


def _stands(layer: nn.Module, optimizer: Optimizer) -> Why | None:
    """Why the weights of a layer stand still, None where one of them is trained."""
    reasons = [_why(each, optimizer) for each in weights_of(layer)]
    return reasons[0] if all(reasons) else None


def _why(weight: Tensor, optimizer: Optimizer) -> Why | None:
    """Why a parameter stands still, None where it is trained."""
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
    # Biases may move where the weights beside them do not.
    still = [p for layer in resting for p in layer.parameters(recurse=False) if _why(p, original)]
    ours = [twin.swaps[id(p)] for p in still]
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
