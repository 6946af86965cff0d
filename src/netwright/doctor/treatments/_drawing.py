"""Weights drawn anew: of a size that keeps the signal, whatever activation follows.

He's law with the gain of the activation behind the layer (He et al. 2015, eq. 10; Glorot & Bengio
2010 where it is 1), biases zero; rotations for what a state meets at every step (Saxe et al. 2014);
branches that are added up smaller by their number (Zhang, Dauphin & Ma 2019, Fixup, with one layer
to a branch).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from netwright.doctor.treatments._running import MAPS, Call, head_of, maps, with_weights
from netwright.doctor.trials.course import Course
from netwright.nn.initialisation import gain
from netwright.nn.initialisers.lsuv import LSUVOptions, unit_variance

GAINS = {
    "relu": "relu", "leaky_relu": "leaky_relu", "elu": "elu", "gelu": "gelu", "silu": "silu",
    "mish": "mish", "hardswish": "hardswish", "softplus": "softplus", "tanh": "tanh",
    "sigmoid": "sigmoid", "hardtanh": "tanh", "prelu_kernel": "prelu",
}  # fmt: skip
"""Torch's word in the graph, and the activation whose gain fits."""


def draw(course: Course, paths: Iterable[str] | None = None, *, turned: bool = False) -> None:
    """Draw the layers at and below these paths, or all. What is frozen stays. `turned` draws
    rotations in the place of independent numbers."""
    run = maps(course)
    ends = head_of(run)
    share = _share(run)
    gains = {
        id(each.module): (1.0 if each.path in ends else _gain(each.after))
        * (share if each.added else 1.0)
        for each in run
    }
    chosen = None if paths is None else list(paths)
    with torch.no_grad():
        for each in with_weights(course.model, chosen):
            if all(p.requires_grad for p in each.parameters(recurse=False)):
                _draw(each, gains.get(id(each), 1.0), turned=turned)
    for parameter in course.trainable:
        course.optimizer.state.pop(parameter, None)


def draw_by_data(course: Course) -> None:
    """LSUV (Mishkin & Matas 2016): rotations, then each layer scaled until what it puts out on the
    first batch varies by one. What is frozen stays."""
    draw(course, turned=True)
    run = maps(course)
    inputs, _ = next(course.train.batches())
    frozen = [(p, p.detach().clone()) for p in course.model.parameters() if not p.requires_grad]
    unit_variance(course.model, inputs, LSUVOptions(tolerance=0.01, iterations=10))
    with torch.no_grad():
        for each in run:
            if each.added and isinstance(each.module, MAPS):
                each.module.weight *= _share(run)
        for parameter, value in frozen:
            parameter.copy_(value)


def _share(run: list[Call]) -> float:
    """What each of n branches that are added up may put in, so that the sum keeps its size: behind
    ReLUs all are positive, and it is their number and not its root that counts."""
    return 1 / max(1, sum(each.added for each in run))


def _gain(after: frozenset[str]) -> float:
    return max((gain(GAINS[each]) for each in after if each in GAINS), default=1.0)


def _draw(module: nn.Module, factor: float, *, turned: bool) -> None:
    if isinstance(module, MAPS):
        inputs = _fan_in(module)
        if turned:
            nn.init.orthogonal_(module.weight, factor)
        else:
            module.weight.normal_(0.0, factor / math.sqrt(inputs))
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, nn.RNNBase):
        _draw_recurrent(module)
    else:
        for name in ("reset_parameters", "_reset_parameters"):
            if callable(again := getattr(module, name, None)):
                again()
                break


def _fan_in(module: nn.Module) -> int:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    if getattr(module, "transposed", False):
        # Each place of the result reads kernel / stride places of each channel.
        strides = math.prod(module.stride)  # type: ignore[arg-type]
        groups = int(module.groups)  # type: ignore[arg-type]
        return max(1, len(weight) // groups * weight[0, 0].numel() // strides)
    return max(1, weight[0].numel())


def _draw_recurrent(module: nn.RNNBase) -> None:
    """Rotations for the state, Glorot's spread for the input, gate by gate; biases zero, but for
    the gate of an LSTM that forgets, which begins open (Jozefowicz et al. 2015)."""
    size = module.hidden_size
    for name, each in module.named_parameters(recurse=False):
        gates = each.split(size)
        if name.startswith("weight_hh"):
            for gate in gates:
                gate.copy_(nn.init.orthogonal_(torch.empty_like(gate)))
        elif each.ndim > 1:
            for gate in gates:
                gate.copy_(nn.init.xavier_uniform_(torch.empty_like(gate)))
        else:
            each.zero_()
            if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
                gates[1].fill_(1.0)
