"""Targets as they came: in units, numbers and orders that the loss or the outputs do not expect."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts, Training, validate
from torch import Tensor, nn

from faults import fault
from faults._surgery import draws, on_targets, then


@fault("shares-for-centred-targets", "output-activation-mismatch", on="regression")
def shares(parts: Parts) -> None:
    then(parts, nn.Softmax(1))


@fault("standardised-pixels-behind-a-sigmoid", "output-activation-mismatch", on="autoencoder")
def standardised_pixels(parts: Parts) -> None:
    on_targets(parts, lambda y: (y - 0.3) / 0.37)


@fault(
    "bytes-behind-a-sigmoid",
    "output-activation-mismatch",
    "unscaled-target",
    on="autoencoder",
    why="targets of 0..255 are beyond the sigmoid, or not scaled for it",
)
def bytes_behind(parts: Parts) -> None:
    on_targets(parts, lambda y: 255 * y)


@fault("scores-behind-a-tanh", "output-activation-mismatch", on="lenet gru")
def scores_behind_tanh(parts: Parts) -> None:
    then(parts, nn.Tanh())


@fault(
    "cosines-without-a-temperature",
    "output-activation-mismatch",
    "underfitting",
    on="mlp resnet",
    why="scores between -1 and 1 leave a floor under the loss",
)
def cosines(parts: Parts) -> None:
    class Cosines(nn.Module):
        def __init__(self, width: int, classes: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(classes, width))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1))

    head = parts.model[-1]
    parts.model[-1] = Cosines(head.in_features, head.out_features)


@fault(
    "scores-over-a-hundredth",
    "initial-loss-off",
    "learning-rate-too-high",
    "weights-too-large",
    on="resnet",
    why="the scores are a hundred times too large: so is the loss at the start, and each step",
)
def temperature(parts: Parts) -> None:
    class Times(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z / 0.01

    then(parts, Times())


@fault(
    "rescaled-answers-to-standardised-targets",
    "initial-loss-off",
    "learning-rate-too-high",
    "weights-too-large",
    on="regression segmentation",
    why="the answers are in units that the"
    " targets have left: the loss starts far off, and each step is too long",
)
def rescaled(parts: Parts) -> None:
    class Units(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return 80 * z + 300

    then(parts, Units())


@fault(
    "masks-of-0-and-255",
    "loss-mismatch",
    "labels-out-of-range",
    on="segmentation binary",
    why="labels out of 0..1, for which the binary loss has no floor",
)
def masks_of_bytes(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (x, 255 * y))


@fault(
    "numbered-1-and-2",
    "labels-shifted",
    "loss-mismatch",
    "labels-out-of-range",
    on="binary segmentation",
    why="labels shifted by one, and so out of 0..1",
)
def one_and_two(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (x, y + 1))


@fault(
    "plus-and-minus-one",
    "loss-mismatch",
    "labels-out-of-range",
    "labels-shifted",
    on="segmentation binary",
    why="-1 is no probability: out of range, for this loss",
)
def plus_and_minus(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (x, 2 * y - 1))


@fault("labels-of-16-bits", "label-dtype", on="resnet gru")
def short_labels(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (x, y.to(torch.int16)))


@fault("a-class-without-an-output", "labels-out-of-range", on="lenet transformer")
def one_output_too_few(parts: Parts) -> None:
    model = parts.model
    if hasattr(model, "head"):
        model.head = nn.Linear(model.head.in_features, model.head.out_features - 1)
    else:
        model[-1] = nn.Linear(model[-1].in_features, model[-1].out_features - 1)


@fault("a-column-sorted-on-its-own", "labels-inconsistent", on="lenet gru")
def sorted_on_their_own(parts: Parts) -> None:
    """Somebody sorted the column of the labels, and the images stayed where they were."""
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (x, y.sort().values))


@fault("two-orders-in-one-epoch", "labels-inconsistent", on="deep-relu transformer")
def two_orders(parts: Parts) -> None:
    """Inputs and labels are permuted each epoch, each with a permutation of its own."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        x, y = parts.train
        for _ in range(parts.epochs):
            model.train()
            ones, others = torch.randperm(len(x)), torch.randperm(len(x))
            for a, b in zip(x[ones].split(parts.batch), y[others].split(parts.batch), strict=True):
                optimizer.zero_grad()
                parts.loss(model(a), b).backward()
                optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "two-sources-numbered-differently",
    "labels-inconsistent",
    "label-noise",
    on="resnet gru",
    why="half of the rows follow another numbering: to the other half they are noise",
)
def two_sources(parts: Parts) -> None:
    x, y = parts.train
    y = y.clone()
    y[::2] = y.max() - y[::2]
    parts.train = x, y


@fault("pairs-mixed-up-by-the-readers", "label-noise", on="lenet transformer")
def pairs_mixed_up(parts: Parts) -> None:
    x, y = parts.train
    other = torch.rand(y.shape, generator=draws(parts)) < 0.4
    parts.train = x, torch.where(other, y ^ 1, y)


@fault("masks-full-of-speckles", "label-noise", on="segmentation")
def noisy_masks(parts: Parts) -> None:
    x, y = parts.train
    other = torch.rand(y.shape, generator=draws(parts)) < 0.42
    parts.train = x, torch.where(other, 1 - y, y)


@fault(
    "bytes-to-be-reached",
    "unscaled-target",
    "learning-rate-too-low",
    on="autoencoder",
    why="targets of 0..255: to reach them at this rate takes many times the steps",
)
def bytes_without(parts: Parts) -> None:
    parts.model = parts.model[:-1]
    on_targets(parts, lambda y: 255 * y)


@fault(
    "targets-in-thousandths",
    "initial-loss-off",
    "unscaled-target",
    "learning-rate-too-high",
    on="regression",
    why="targets of a thousandth drown in the outputs' first size",
)
def thousandths(parts: Parts) -> None:
    on_targets(parts, lambda y: 1e-3 * y)


@fault("incomes-and-not-their-logarithms", "unscaled-target", on="regression")
def incomes(parts: Parts) -> None:
    on_targets(parts, lambda y: (10 + 1.2 * y).exp())
