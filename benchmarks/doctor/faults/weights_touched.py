"""Faults of what is done with weights beside the steps: shaken, held, put back, made anew, cut off;
and steps that are not taken."""

from __future__ import annotations

import torch
from setups import Parts, Training
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from faults import data_faults, fault, output, pair, step_sizes
from faults._stepping import after_the_step, by_batch, usual
from faults._surgery import ACTIVATIONS, draws, swap, weighted

JOINED = (data_faults, output, step_sizes)


@fault(
    "uphill-and-not-back",
    "divergence",
    "learning-rate-too-high",
    "exploding-gradients",
    "oscillating-loss",
    "loss-sign",
    "nonfinite",
    on="mlp lenet",
    why="each step leaves the weights where it had looked for the worst: the loss climbs",
)
def uphill(parts: Parts) -> None:
    """The first half of a step that looks for flat places, never taken back."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.model.zero_grad()
        parts.loss(training.model(x), y).backward()
        held = [each for each in training.model.parameters() if each.grad is not None]
        norm = nn.utils.get_total_norm([each.grad for each in held])
        with torch.no_grad():
            for each in held:
                each.add_(each.grad, alpha=float(0.3 / (norm + 1e-12)))
        training.optimizer.zero_grad()
        parts.loss(training.model(x), y).backward()
        training.optimizer.step()

    by_batch(parts, batch)


@fault(
    "shaken-after-each-step",
    "noisy-gradients",
    "divergence",
    "learning-rate-too-high",
    "internal-drift",
    "over-regularised",
    "oscillating-loss",
    "exploding-gradients",
    on="deep-relu regression",
    why="noise on the weights, far hotter than they bear: they walk at random and away",
)
def shaken(parts: Parts) -> None:
    generator = draws(parts)

    @torch.no_grad()
    def change(training: Training) -> None:
        for each in training.model.parameters():
            each.add_(torch.randn(each.shape, generator=generator), alpha=0.03)

    after_the_step(parts, change)


@fault(
    "held-to-a-norm-of-a-tenth",
    "over-regularised",
    "underfitting",
    "weights-too-small",
    "vanishing-gradients",
    on="gru lenet",
    why="weights held so small carry no signal through: they underfit",
)
def held_small(parts: Parts) -> None:
    @torch.no_grad()
    def change(training: Training) -> None:
        for each in training.model.parameters():
            each.mul_(torch.clamp(0.1 / (each.norm() + 1e-12), max=1.0))

    after_the_step(parts, change)


@fault("an-iterator-of-weights-used-up", "gradients-never-cleared", on="lenet autoencoder")
def used_up(parts: Parts) -> None:
    """The gradients are cleared along an iterator that was at its end after the first batch."""
    held = iter(parts.model.parameters())

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        for each in held:
            each.grad = None
        loss = parts.loss(training.model(x), y)
        loss.backward()
        training.optimizer.step()

    by_batch(parts, batch)


@fault(
    "skipped-where-all-is-well",
    "optimizer-never-steps",
    "weights-do-not-change",
    on="gru segmentation",
    why="without a step no weight changes",
)
def skipped(parts: Parts) -> None:
    """The test for a loss that is no number is the wrong way round."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        loss = parts.loss(training.model(x), y)
        loss.backward()
        if torch.isfinite(loss):
            return
        training.optimizer.step()

    by_batch(parts, batch)


@fault(
    "put-back-after-each-batch",
    "weights-do-not-change",
    "nondeterministic-restart",
    "learning-rate-too-low",
    on="mlp binary",
    why="the best weights are loaded after each batch, and none are ever better than the first",
)
def put_back(parts: Parts) -> None:
    kept = {name: each.clone() for name, each in parts.model.state_dict().items()}

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        usual(training, x, y, number)
        training.model.load_state_dict(kept)

    by_batch(parts, batch)


@fault("weight-norm-after-the-optimizer", "stale-optimizer", on="mlp deep-relu")
def norm_after(parts: Parts) -> None:
    """Lengths and directions in the place of the weights, when the optimizer stands already."""

    def wired(training: Training) -> None:
        for each in weighted(training.model):
            weight_norm(each)

    parts.wired = wired


class Listed(nn.Module):
    """Values for another program, and a tensor of what it gives back."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor(x.tolist())


class Sign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sign(x)


def second(parts: Parts, make: type[nn.Module], *, behind: bool) -> None:
    """Another module behind the second activation, or in its place."""
    count = [0]

    def made(each: nn.Module) -> nn.Module:
        count[0] += 1
        if count[0] != 2:
            return each
        return nn.Sequential(each, make()) if behind else make()

    swap(parts.model, ACTIVATIONS, made)


@fault("made-anew-from-a-list", "detached-graph", on="regression deep-tanh")
def from_a_list(parts: Parts) -> None:
    second(parts, Listed, behind=True)


@fault(
    "signs-for-activations",
    "detached-graph",
    "vanishing-gradients",
    "weights-do-not-change",
    on="mlp deep-tanh",
    why="the gradient of a sign is zero: nothing before it learns",
)
def signs(parts: Parts) -> None:
    second(parts, Sign, behind=False)


pair("labels-of-other-rows", "an-iterator-of-weights-used-up", on="lenet")
pair("pixels-times-255", "stepped-in-the-validation-loop", on="mlp")
pair("features-far-from-zero", "weight-norm-after-the-optimizer", on="regression")
pair("softmax-in-the-model", "clamped-by-hooks", on="mlp")
