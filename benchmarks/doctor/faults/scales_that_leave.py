"""Weights and states whose scale is wrong from the start, or leaves all bounds on the way."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from setups import Parts, stack
from torch import Tensor, nn

from faults import fault
from faults._between import between
from faults._surgery import ACTIVATIONS, again, swap, weighted

LARGE = ("weights-too-large", "saturated-at-start", "initial-loss-off", "exploding-gradients",
         "learning-rate-too-high")  # fmt: skip
DRIFT = ("internal-drift", "divergence", "exploding-gradients", "nonfinite", "loss-spike")


class Erf(nn.Module):
    """An activation that torch has no module for."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        self.steepness = steepness

    def forward(self, x: Tensor) -> Tensor:
        return torch.erf(self.steepness * x)


@fault("weights-drawn-exponentially", *LARGE, "symmetric-initialisation",
       on="mlp deep-relu autoencoder",
       why="positive and of mean one: sums grow with the width, at each layer")  # fmt: skip
def weights_drawn_exponentially(parts: Parts) -> None:
    """`weight.exponential_()` from a recipe for something else."""
    again(parts, lambda weight: weight.exponential_())


@fault("xavier-for-forty-relus", "vanishing-gradients", "weights-too-small", "constant-output",
       "dead-at-start", on="mlp deep-relu",
       why="half of the variance is lost at each layer, forty times")  # fmt: skip
def xavier_for_forty_relus(parts: Parts) -> None:
    parts.model = stack([64, *[32] * 40, 10])
    again(parts, lambda weight: nn.init.xavier_normal_(weight))


@fault("steep-error-functions", "saturated-at-start", "saturated-units", "vanishing-gradients",
       "weights-too-large", "exploding-gradients", on="regression deep-tanh",
       why="flat nearly everywhere, steep between: as with weights far too large")  # fmt: skip
def steep_error_functions(parts: Parts) -> None:
    swap(parts.model, ACTIVATIONS, lambda _: Erf(30.0))


@fault("shrunk-by-three", "dead-at-start", "constant-output", "bottleneck",
       on="mlp regression deep-tanh",
       why="what lies between -3 and 3 is zero, and all does: no unit answers")  # fmt: skip
def shrunk_by_three(parts: Parts) -> None:
    swap(parts.model, ACTIVATIONS, lambda _: nn.Softshrink(3.0))


@fault("a-little-more-after-each-step", *DRIFT, "saturated-units", "weights-too-large",
       "overfitting", on="mlp lenet deep-relu",
       why="decay with its sign turned: all weights grow without end")  # fmt: skip
def a_little_more_after_each_step(parts: Parts) -> None:
    """`weight.mul_(1 + decay)`."""

    def grow(model: nn.Module) -> None:
        with torch.no_grad():
            for each in weighted(model):
                each.weight.mul_(1.015)

    between(parts, steps=grow)


@fault("a-plain-recurrence-of-gain-four", *LARGE, "saturated-units", on="gru",
       why="states stand at their ends from the second step on, and gradients leap")  # fmt: skip
def a_plain_recurrence_of_gain_four(parts: Parts) -> None:
    model: Any = parts.model
    cell = nn.RNN(2, 24, batch_first=True)
    nn.init.orthogonal_(cell.weight_hh_l0, gain=4)
    nn.init.normal_(cell.weight_ih_l0, std=4)
    model.cell, parts.clip = cell, None


@fault("means-of-nobody", "nonfinite", on="binary")
def means_of_nobody(parts: Parts) -> None:
    """The mean over those who are ill and over those who are not; of some batches one is empty."""
    parts.batch, parts.epochs = 3, 3

    def loss(output: Tensor, target: Tensor) -> Tensor:
        each = F.binary_cross_entropy_with_logits(output, target, reduction="none")
        return each[target > 0.5].mean() + each[target < 0.5].mean()

    parts.loss = loss


@fault("pruned-after-each-epoch", "dead-filters", "over-regularised", "dead-relu",
       "weights-too-small", "underfitting", "constant-output", "internal-drift",
       on="lenet mlp autoencoder",
       why="most weights are cut off, again and again")  # fmt: skip
def pruned_after_each_epoch(parts: Parts) -> None:
    def prune(model: nn.Module) -> None:
        with torch.no_grad():
            for each in weighted(model):
                each.weight.mul_(each.weight.abs() > 0.6 * each.weight.abs().max())

    between(parts, epochs=prune)


@fault("a-state-fed-back-without-a-gate", "vanishing-gradients", "weights-too-small",
       "too-little-capacity", on="gru",
       why="a twentieth of the state is left at each step: the first is gone")  # fmt: skip
def a_state_fed_back_without_a_gate(parts: Parts) -> None:
    """A leak whose two factors were exchanged."""
    model: Any = parts.model

    class Leaky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.head = nn.Linear(2, 24), model.head

        def forward(self, steps: Tensor) -> Tensor:
            state = steps.new_zeros(len(steps), 24)
            for each in steps.unbind(1):
                state = 0.05 * state + 0.05 * torch.tanh(self.read(each))
            return self.head(state)

    parts.model = Leaky()
