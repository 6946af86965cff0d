"""How answers meet their targets: in another order, by another measure, cut off, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from setups import Parts, Training, validate
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from faults import fault
from faults._surgery import draws, on_targets, one_output, rows, then

LossOf = Callable[[nn.Module, Tensor, Tensor], Tensor]


def stepped(parts: Parts, loss_of: LossOf) -> None:
    """The plain loop, with a loss of model, inputs and targets."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = loss_of(model, x, y)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault("focal-loss-of-a-softmax", "softmax-before-cross-entropy", on="transformer mlp")
def softmax_before_focal(parts: Parts) -> None:
    then(parts, nn.Softmax(1))

    def loss(output: Tensor, y: Tensor) -> Tensor:
        each = F.cross_entropy(output, y, reduction="none")
        return ((1 - (-each).exp()) ** 2 * each).mean()

    parts.loss = loss


@fault("scores-held-within-one", "output-activation-mismatch", on="bn-mlp deep-relu")
def hard_tanh(parts: Parts) -> None:
    then(parts, nn.Hardtanh())


@fault("log-sigmoid-on-centred-targets", "output-activation-mismatch", on="regression")
def log_sigmoid(parts: Parts) -> None:
    then(parts, nn.LogSigmoid())


@fault("quantiles-of-a-relu", "output-activation-mismatch", on="regression")
def relu_before_quantiles(parts: Parts) -> None:
    then(parts, nn.ReLU())
    parts.loss = lambda output, y: torch.maximum(0.5 * (y - output), 0.5 * (output - y)).mean()


@fault("direction-and-not-size", "loss-mismatch", on="regression")
def direction(parts: Parts) -> None:
    """A cosine says nothing of how large the answers are."""
    parts.loss = lambda output, y: 1 - F.cosine_similarity(output, y, dim=1).mean()


@fault(
    "logarithms-of-centred-targets",
    "loss-mismatch",
    "nonfinite",
    on="regression autoencoder",
    why="a loss for amounts: below -1 there is no logarithm, and the loss is no number",
)
def logarithms(parts: Parts) -> None:
    if parts.train[1].shape[1] == 64:
        parts.model = parts.model[:-1]
        on_targets(parts, lambda y: 3 * (y - 0.5))
    parts.loss = lambda output, y: (output.log1p() - y.log1p()).square().mean()


@fault("a-hinge-turned-round", "loss-sign", on="binary segmentation")
def margin(parts: Parts) -> None:
    parts.loss = lambda output, y: (1 + (2 * y - 1) * output).clamp(min=0).mean()


@fault(
    "the-rate-times-minus-one",
    "loss-sign",
    "scheduler-misuse",
    on="mlp autoencoder",
    why="a schedule that turns the rate round: every step goes uphill",
)
def rate_turned_round(parts: Parts) -> None:
    parts.schedule, parts.schedule_every = lambda o, *_: LambdaLR(o, lambda _: -1.0), "step"


@fault(
    "sorted-by-length-and-not-put-back",
    "labels-inconsistent",
    "wrong-dimension",
    "batch-mixing",
    on="gru transformer",
    why="the answers stand in another order than the"
    " targets: each meets the target of another sample",
)
def sorted_by_length(parts: Parts) -> None:
    def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        order = x.flatten(1).float().sum(1).argsort()
        return parts.loss(model(x[order]), y)

    stepped(parts, loss_of)


@fault(
    "labels-rolled-in-the-batch",
    "labels-inconsistent",
    "wrong-dimension",
    on="lenet mlp",
    why="each sample meets the label of its neighbour: a roll over the wrong axis",
)
def labels_rolled(parts: Parts) -> None:
    stepped(parts, lambda model, x, y: parts.loss(model(x), y.roll(1, 0)))


@fault("targets-lying-on-their-side", "silent-broadcast", on="regression")
def on_their_side(parts: Parts) -> None:
    """(N, 1) against (1, N)."""
    one_output(parts)
    parts.loss = lambda output, y: (output - y.T).square().mean()


@fault(
    "accuracy-for-a-loss",
    "loss-ignores-parameters",
    "weights-do-not-change",
    "detached-graph",
    on="mlp gru",
    why="its gradient is 0 everywhere: no weight moves by it",
)
def accuracy_for_a_loss(parts: Parts) -> None:
    parts.loss = lambda output, y: 1 - (output.argmax(1) == y).float().mean() + 0.0 * output.sum()


@fault(
    "numbered-from-minus-one",
    "labels-shifted",
    "labels-out-of-range",
    on="lenet transformer",
    why="-1 is no class: out of range, by a shift",
)
def from_minus_one(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (x, y - 1))


@fault("one-class-mostly-called-another", "label-noise", on="lenet gru")
def mostly_called_another(parts: Parts) -> None:
    x, y = parts.train
    other = (torch.rand(y.shape, generator=draws(parts)) < 0.6) & (y == 3)
    parts.train = x, torch.where(other, 1, y)


@fault(
    "large-targets-by-a-forgiving-loss",
    "unscaled-target",
    "learning-rate-too-low",
    on="regression autoencoder",
    why="the pull is the same from afar: to get there takes many times the steps, or the rate",
)
def large_by_forgiving(parts: Parts) -> None:
    if parts.train[1].shape[1] == 64:
        parts.model = parts.model[:-1]
    on_targets(parts, lambda y: 400 * y)
    parts.loss = nn.SmoothL1Loss()


@fault("ever-fewer-of-each", "class-imbalance", on="gru transformer")
def ever_fewer(parts: Parts) -> None:
    x, y = parts.train
    kept = torch.rand(len(y), generator=draws(parts)) < 0.14 ** y.float()
    parts.train = rows((x, y), kept.nonzero()[:, 0])


@fault(
    "only-the-first-two-columns",
    "underfitting",
    "bottleneck",
    "too-little-capacity",
    "dead-feature",
    on="binary regression lenet",
    why="the model reads a part of its input alone: what the rest tells is lost, it underfits",
)
def first_columns(parts: Parts) -> None:
    class First(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            kept = torch.zeros_like(x)
            kept[..., :2] = x[..., :2]
            return self.model(kept)

    parts.model = First(parts.model)


@fault("a-pair-to-judge-by", "validation-too-small", on="binary", hurts="honesty")
def two_rows(parts: Parts) -> None:
    parts.val = rows(parts.val, torch.arange(2))


@fault(
    "grain-by-class",
    "shortcut",
    "split-leakage",
    on="lenet resnet",
    why="the grain of the photographs tells the class, a leak of the label",
)
def grainier(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        noise = torch.rand(x.shape, generator=draws(parts)) - 0.5
        setattr(parts, name, (x + 0.12 * y.reshape(-1, 1, 1, 1) * noise, y))


@fault(
    "ten-of-each-for-very-long",
    "overfitting",
    "too-much-capacity",
    on="bn-mlp gru",
    why="few rows and many epochs: overfitting, by too much capacity for them",
)
def ten_of_each(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(40))
    parts.batch, parts.schedule = 20, None
    parts.epochs *= 12
