"""Faults of what is joined to what: gradients cleared elsewhere, steps never taken, weights that
the optimizer does not hold, paths that are cut."""

from __future__ import annotations

import copy

import torch
from setups import Parts, Training
from torch import Tensor, nn

from faults import fault
from faults._stepping import after_the_step, by_batch
from faults._surgery import ACTIVATIONS, swap, weighted

STALE = ("stale-optimizer", "weights-do-not-change", "optimizer-never-steps")
WHY_STILL = "without a step that reaches them no weight changes"


@fault("cleared-on-a-copy", "gradients-never-cleared", on="resnet transformer")
def cleared_on_a_copy(parts: Parts) -> None:
    """It is the averaged copy of the model whose gradients are cleared."""
    other = copy.deepcopy(parts.model)

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        other.zero_grad()
        loss = parts.loss(training.model(x), y)
        loss.backward()
        training.optimizer.step()

    by_batch(parts, batch)


@fault("cleared-every-tenth-batch", "gradients-never-cleared", on="segmentation mlp")
def cleared_every_tenth(parts: Parts) -> None:
    """Half of an accumulation: the clearing got its condition, the step did not."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        loss = parts.loss(training.model(x), y)
        loss.backward()
        training.optimizer.step()
        if number % 10 == 9:
            training.optimizer.zero_grad()

    by_batch(parts, batch)


@fault(
    "accumulates-longer-than-the-run",
    "optimizer-never-steps",
    "weights-do-not-change",
    on="autoencoder binary",
    why=WHY_STILL,
)
def accumulates_for_ever(parts: Parts) -> None:
    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        loss = parts.loss(training.model(x), y) / 1024
        loss.backward()
        if number % 1024 == 1023:
            training.optimizer.step()
            training.optimizer.zero_grad()

    by_batch(parts, batch)


@fault(
    "updates-bound-to-a-name",
    "optimizer-never-steps",
    "weights-do-not-change",
    on="regression mlp",
    why=WHY_STILL,
)
def bound_to_a_name(parts: Parts) -> None:
    """A step by hand that gives the new value to a name and not to the weight."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.model.zero_grad()
        loss = parts.loss(training.model(x), y)
        loss.backward()
        with torch.no_grad():
            for weight in training.model.parameters():
                weight = weight - parts.rate * weight.grad

    by_batch(parts, batch)


@fault(
    "hardly-moved-average-kept",
    "learning-rate-too-low",
    "slow-convergence",
    "stopped-early",
    "weights-do-not-change",
    on="lenet resnet",
    why="a thousandth of each step is kept: the weights hardly change, the rate is too low",
)
def average_kept(parts: Parts) -> None:
    """The moving average is copied into the model that is trained, after each step."""
    slow = [each.detach().clone() for each in parts.model.parameters()]

    @torch.no_grad()
    def change(training: Training) -> None:
        for kept, each in zip(slow, training.model.parameters(), strict=True):
            kept.lerp_(each, 0.001)
            each.copy_(kept)

    after_the_step(parts, change)


@fault("clones-for-the-optimizer", *STALE, on="transformer autoencoder", why=WHY_STILL)
def clones(parts: Parts) -> None:
    make = parts.optimizer
    parts.optimizer = lambda weights, rate: make(
        [each.detach().clone().requires_grad_() for each in weights], rate
    )


@fault("a-middle-layer-replaced-later", "stale-optimizer", on="mlp deep-relu")
def middle_replaced(parts: Parts) -> None:
    """Two hidden layers are made narrower for a test, and the optimizer stands already."""

    def wired(training: Training) -> None:
        model = training.model
        old = weighted(model)[1]
        place = next(name for name, each in model.named_modules() if each is old)
        new = nn.Linear(old.in_features, old.out_features)
        nn.init.normal_(new.weight, std=0.02)
        model.set_submodule(place, new)

    parts.wired = wired


@fault(
    "thawed-but-not-told",
    "stale-optimizer",
    "frozen-parameters",
    on="lenet transformer regression",
    why="trainable weights that no optimizer holds: forgotten, and as if frozen",
)
def thawed(parts: Parts) -> None:
    """The body is frozen when the optimizer is made, and thawed after two epochs."""
    body = [each for layer in weighted(parts.model)[:-1] for each in layer.parameters()]
    for each in body:
        each.requires_grad_(False)
    make = parts.optimizer
    parts.optimizer = lambda weights, rate: make(
        [each for each in weights if each.requires_grad], rate
    )

    def epoch(training: Training, turn: int) -> None:
        if turn == 2:
            for each in body:
                each.requires_grad_(True)

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        parts.loss(training.model(x), y).backward()
        training.optimizer.step()

    by_batch(parts, batch, epoch=epoch)


@fault("weights-normalised-into-new-parameters", *STALE, on="gru regression", why=WHY_STILL)
def new_parameters(parts: Parts) -> None:
    """After each epoch every weight matrix is shrunk, by a parameter made anew."""

    def epoch(training: Training, turn: int) -> None:
        for layer in training.model.modules():
            for name, each in list(layer.named_parameters(recurse=False)):
                if each.ndim > 1 and turn:
                    setattr(layer, name, nn.Parameter(each.detach() * 0.999))

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        parts.loss(training.model(x), y).backward()
        training.optimizer.step()

    by_batch(parts, batch, epoch=epoch)


class Outside(nn.Module):
    """A transform that another library computes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy().clip(-4, 4))


class Rounded(nn.Module):
    """To quarters, as a quantised layer would."""

    def forward(self, x: Tensor) -> Tensor:
        return (4 * x).round() / 4


def after_the_second(parts: Parts, made: type[nn.Module]) -> None:
    """A module behind the second activation."""
    count = [0]

    def behind(each: nn.Module) -> nn.Module:
        count[0] += 1
        return nn.Sequential(each, made()) if count[0] == 2 else each

    swap(parts.model, ACTIVATIONS, behind)


@fault("numpy-in-the-middle", "detached-graph", on="autoencoder deep-relu")
def numpy_in_the_middle(parts: Parts) -> None:
    after_the_second(parts, Outside)


@fault(
    "rounded-inside",
    "detached-graph",
    "vanishing-gradients",
    "weights-do-not-change",
    on="deep-relu regression",
    why="the gradient of rounding is zero: nothing before it learns",
)
def rounded_inside(parts: Parts) -> None:
    after_the_second(parts, Rounded)
