"""Faults that leave the finite numbers: logarithm, root, quotient, power, half precision."""

from __future__ import annotations

import torch
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import on_inputs
from networks import Recurrent


@fault("log-of-zero", "nonfinite", on="mlp binary segmentation")
def log_of_zero(parts: Parts) -> None:
    """The cross-entropy written out: a confident wrong answer is log 0, minus infinity."""
    binary = parts.train[1].is_floating_point()

    def loss(output: Tensor, y: Tensor) -> Tensor:
        if binary:
            p = (20 * output).sigmoid()
            return -(y * p.log() + (1 - y) * (1 - p).log()).mean()
        p = (40 * output).softmax(1)
        return -p.gather(1, y[:, None]).log().mean()

    parts.loss = loss


@fault("root-of-zero", "nonfinite", on="autoencoder regression")
def root_of_zero(parts: Parts) -> None:
    """The gradient of a root at 0 is infinite: one pixel that is right makes a NaN."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        error = (output - y) * ((output - y).abs() > 0.02)
        return error.square().sqrt().mean()

    parts.loss = loss


@fault(
    "zero-by-zero",
    "nonfinite",
    "nonfinite-input",
    on="regression mlp",
    why="a row of zeros is normalised inside the model; the input is finite, yet its cause",
)
def zero_by_zero(parts: Parts) -> None:
    class Unit(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[5] = 0
        return x

    on_inputs(parts, change, "train")
    parts.model = nn.Sequential(Unit(), parts.model)


@fault(
    "half-precision-overflow",
    "nonfinite",
    "mixed-precision-trouble",
    on="regression",
    why="an overflow is not finite, and comes of half precision",
)
def half_precision_overflow(parts: Parts) -> None:
    """Activations pass through half precision at a scale of 30,000: above 2.2 they are infinite,
    and the next layer subtracts infinity from infinity."""

    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (30_000 * x).half().float() / 30_000

    layers = list(parts.model.children())
    parts.model = nn.Sequential(*layers[:3], Half(), *layers[3:])


@fault(
    "a-scale-that-grows-with-each-call",
    "internal-drift",
    "exploding-gradients",
    "divergence",
    "nonfinite",
    on="mlp gru",
    why="the drift ends in overflow; which of its ends is seen depends on when one looks",
)
def a_scale_that_grows(parts: Parts) -> None:
    """A buffer that is updated in the wrong direction."""

    class Drifts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.scale *= 1.03
            return x * self.scale

    if isinstance(parts.model, Recurrent):
        parts.model.head = nn.Sequential(Drifts(), parts.model.head)
    else:
        layers = list(parts.model.children())
        parts.model = nn.Sequential(*layers[:3], Drifts(), *layers[3:])


@fault(
    "exponential-without-a-bound",
    "nonfinite",
    "exploding-gradients",
    "learning-rate-too-high",
    "output-activation-mismatch",
    on="regression autoencoder",
    why="exp overflows soon after its gradient explodes; a smaller rate would not reach it; a "
    "sigmoid of what is above -1 cannot come under 0.27",
)
def exponential_without_a_bound(parts: Parts) -> None:
    class Exp(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (12 * x).exp() - 1

    layers = list(parts.model.children())
    parts.model = nn.Sequential(*layers[:-1], Exp(), layers[-1])
