"""Layers that a treatment puts before or behind a network, carried with it from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.doctor.treatments._losses import Rewrites

ACTIVATIONS: tuple[Callable[..., Any], ...] = (
    F.relu, torch.relu, Tensor.relu, torch.relu_, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu,
    F.softplus, F.hardtanh, F.relu6, F.logsigmoid, F.softmax, torch.softmax, Tensor.softmax,
    F.log_softmax, torch.log_softmax, Tensor.log_softmax, torch.sigmoid, Tensor.sigmoid, F.sigmoid,
    F.hardsigmoid, torch.tanh, Tensor.tanh, F.tanh, F.softsign, torch.clamp, Tensor.clamp,
    torch.clip, Tensor.clip, torch.clamp_min, Tensor.clamp_min,
)  # fmt: skip


class Standardise(nn.Module):
    """(x - mean) / spread, with numbers that are fixed. `mean` and `spread` stretch over the axes
    of the batch by broadcasting."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread


class InUnits(nn.Module):
    """Answers in the units of the targets: spread * z + mean."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, z: Tensor) -> Tensor:
        return z * self.spread + self.mean


class Stretched(nn.Module):
    """scale * z + shift, two numbers that are learned."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.shift = nn.Parameter(torch.tensor(float(shift)))

    def forward(self, z: Tensor) -> Tensor:
        return self.scale * z + self.shift


class WithoutLast(nn.Module):
    """A network without the activation that is the last call of its forward pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        last: list[tuple[Tensor, Tensor]] = []

        def heard(func: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            made = func(*given, **named)
            if func in ACTIVATIONS and given and isinstance(made, Tensor):
                last[:] = [(given[0], made)]
            return made

        with Rewrites(heard):
            output = self.model(*args, **kwargs)
        if last and last[0][1] is output:
            return last[0][0]
        return output


class Filled(nn.Module):
    """NaN gives way to `middle`, an infinity to `low` or `high`; they stretch over the batch.

    >>> filled = Filled(torch.tensor(2.0), torch.tensor(1.0), torch.tensor(3.0))
    >>> filled(torch.tensor([1.5, float("nan"), float("inf"), -float("inf")])).tolist()
    [1.5, 2.0, 3.0, 1.0]
    """

    middle: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, middle: Tensor, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.register_buffer("middle", middle)
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.where(x.isnan(), self.middle, x)
        return torch.where(x.isinf(), torch.where(x > 0, self.high, self.low), x)


class Kept(nn.Module):
    """Features that carry nothing are set to 0, whatever they hold later on."""

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(self.kept, x, torch.zeros_like(x))
