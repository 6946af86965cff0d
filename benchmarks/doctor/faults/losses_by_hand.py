"""Losses that somebody wrote, or took over from another task: what they say of the outputs is not
what was meant."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import on_targets, then


@fault("two-heads-that-vote", "softmax-before-cross-entropy", on="gru bn-mlp")
def two_heads(parts: Parts) -> None:
    """Two networks vote with their probabilities, and the loss takes those for logits."""

    class Vote(nn.Module):
        def __init__(self, body: nn.Module, width: int, classes: int) -> None:
            super().__init__()
            self.body = body
            self.one, self.other = nn.Linear(width, classes), nn.Linear(width, classes)

        def forward(self, x: Tensor) -> Tensor:
            features = self.body(x)
            return (self.one(features).softmax(1) + self.other(features).softmax(1)) / 2

    model: Any = parts.model
    head = model.head if hasattr(model, "head") else model[-1]
    if hasattr(model, "head"):
        model.head = nn.Identity()
    else:
        model[-1] = nn.Identity()
    parts.model = Vote(model, head.in_features, head.out_features)


@fault("softmax-with-smoothed-labels", "softmax-before-cross-entropy", on="deep-tanh resnet")
def softmax_smoothed(parts: Parts) -> None:
    then(parts, nn.Softmax(1))
    parts.loss = nn.CrossEntropyLoss(label_smoothing=0.1)


@fault(
    "stable-formula-of-probabilities", "sigmoid-before-bce-with-logits", on="binary segmentation"
)
def stable_formula(parts: Parts) -> None:
    """The formula that is stable for logits, written out, and a sigmoid in the model."""
    then(parts, nn.Sigmoid())
    parts.judge = sure_above_half
    parts.loss = lambda z, y: (z.clamp(min=0) - z * y + (-z.abs()).exp().log1p()).mean()


@fault("focal-loss-of-probabilities", "sigmoid-before-bce-with-logits", on="segmentation binary")
def focal(parts: Parts) -> None:
    then(parts, nn.Sigmoid())
    parts.judge = sure_above_half

    def loss(output: Tensor, y: Tensor) -> Tensor:
        each = F.binary_cross_entropy_with_logits(output, y, reduction="none")
        return ((1 - (-each).exp()) ** 2 * each).mean()

    parts.loss = loss


@torch.no_grad()
def sure_above_half(parts: Parts, model: nn.Module) -> tuple[float, float]:
    """The outputs read as the probabilities that they were meant to be."""
    model.eval()
    x, y = parts.test
    logit = model(x).clamp(1e-6, 1 - 1e-6).logit()
    assert parts.healthy is not None
    return parts.score(logit, y), float(parts.healthy(logit, y))


@fault(
    "cross-entropy-of-real-targets",
    "loss-mismatch",
    on="regression autoencoder",
)
def cross_entropy_of_real_targets(parts: Parts) -> None:
    """Torch takes float targets for probabilities of classes, whatever they are."""
    parts.loss = nn.CrossEntropyLoss()


@fault(
    "binary-loss-of-real-targets",
    "loss-mismatch",
    on="regression autoencoder",
)
def binary_loss_of_real_targets(parts: Parts) -> None:
    if parts.score.__name__ == "explained" and parts.train[1].shape[1] == 64:
        parts.model = parts.model[:-1]
        on_targets(parts, lambda y: (y - 0.3) / 0.37)
    parts.loss = nn.BCEWithLogitsLoss()


@fault("a-loss-for-counts", "loss-mismatch", on="regression")
def poisson(parts: Parts) -> None:
    parts.loss = nn.PoissonNLLLoss()


@fault(
    "a-softmax-over-one-channel",
    "loss-mismatch",
    on="segmentation",
)
def single_channel(parts: Parts) -> None:
    """(N, 1, H, W) against (N, 1, H, W): a softmax over one channel is 1, and the loss is 0."""
    parts.loss = nn.CrossEntropyLoss()


@fault("divergence-of-plain-scores", "loss-mismatch", on="deep-tanh resnet")
def divergence_of_scores(parts: Parts) -> None:
    """The divergence wants the logarithms of probabilities and is given the scores."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        return F.kl_div(output, F.one_hot(y, 10).float(), reduction="batchmean")

    parts.loss = loss


@fault("right-class-made-unlikely", "loss-sign", on="mlp transformer")
def right_made_small(parts: Parts) -> None:
    parts.loss = lambda output, y: output.softmax(1).gather(1, y[:, None]).mean()


@fault("signal-to-noise-made-small", "loss-sign", on="autoencoder regression")
def signal_to_noise(parts: Parts) -> None:
    parts.loss = lambda output, y: -10 * F.mse_loss(output, y).log10()


@fault("gradients-reversed-after-the-head", "loss-sign", on="lenet regression")
def reversed_gradients(parts: Parts) -> None:
    """The layer for adversarial domains, where there is no adversary."""

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Tensor) -> Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(context: Any, *given: Tensor) -> Tensor:
            return -given[0]

    class Layer(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Reverse.apply(x)

    then(parts, Layer())


@fault(
    "an-axis-too-many",
    "silent-broadcast",
    on="autoencoder regression",
)
def axis_too_many(parts: Parts) -> None:
    """(N, 1, D) against (N, D) is compared as (N, N, D)."""

    class Between(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.unsqueeze(1)

    then(parts, Between())
    parts.loss = nn.SmoothL1Loss()
    parts.judge = without_the_axis


@torch.no_grad()
def without_the_axis(parts: Parts, model: nn.Module) -> tuple[float, float]:
    model.eval()
    x, y = parts.test
    output = model(x).squeeze(1)
    assert parts.healthy is not None
    return parts.score(output, y), float(parts.healthy(output, y))


@fault("masks-without-a-channel", "silent-broadcast", on="segmentation")
def masks_without_a_channel(parts: Parts) -> None:
    def loss(output: Tensor, y: Tensor) -> Tensor:
        p = output.sigmoid().clamp(1e-6, 1 - 1e-6)
        y = y.squeeze(1)
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    parts.loss = loss


@fault("hinge-of-a-row-and-a-column", "silent-broadcast", on="binary")
def hinge(parts: Parts) -> None:
    parts.loss = lambda output, y: (1 - (2 * y - 1) * output.squeeze(1)).clamp(min=0).mean()


@fault(
    "grad-required-of-the-loss",
    "loss-ignores-parameters",
    "detached-graph",
    on="mlp lenet",
    why="no path leads from the loss to the weights: the graph ends at the argmax",
)
def grad_required(parts: Parts) -> None:
    """What people write against "does not require grad"."""
    parts.loss = lambda output, y: F.l1_loss(output.argmax(1).float(), y.float()).requires_grad_()


@fault(
    "penalty-and-a-number",
    "loss-ignores-parameters",
    "detached-graph",
    on="lenet gru",
    why="the loss of the data is a number by then: its graph is cut",
)
def penalty_alone(parts: Parts) -> None:
    healthy, model = parts.loss, parts.model

    def loss(output: Tensor, y: Tensor) -> Tensor:
        penalty = sum((each.square().sum() for each in model.parameters()), torch.zeros(()))
        return healthy(output, y).item() + 1e-3 * penalty

    parts.loss = loss


@fault("means-compared-to-means", "wrong-dimension", on="regression autoencoder")
def means_compared(parts: Parts) -> None:
    """A mean over the batch before the loss: only the mean answer is judged."""
    parts.loss = lambda output, y: F.mse_loss(output.mean(0), y.mean(0))


@fault(
    "attention-down-the-batch",
    "wrong-dimension",
    "batch-mixing",
    on="gru",
    why="a softmax over the batch axis mixes the samples",
)
def attention_over_the_batch(parts: Parts) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 24, batch_first=True)
            self.gate, self.head = nn.Linear(24, 1), nn.Linear(24, 4)

        def forward(self, x: Tensor) -> Tensor:
            states, _ = self.cell(x)
            return self.head((states * self.gate(states).softmax(0)).sum(1))

    parts.model = Pooled()


@fault(
    "less-the-largest-of-the-batch",
    "wrong-dimension",
    "batch-mixing",
    on="mlp lenet",
    why="the maximum runs down the batch: a sample's answer hangs on its neighbours",
)
def largest_taken_off(parts: Parts) -> None:
    class Stable(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            z = z - z.max(0, keepdim=True).values
            return z / z.std(0, keepdim=True)

    then(parts, Stable())
