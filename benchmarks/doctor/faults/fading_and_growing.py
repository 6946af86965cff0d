"""Signals that fade or grow from layer to layer, from step to step of a row, or over training."""

from __future__ import annotations

from typing import Any

import torch
from setups import Parts, stack
from torch import Tensor, nn

from faults import fault
from faults._between import between
from faults._surgery import ACTIVATIONS, draws, swap, weighted

GROWS = ("exploding-gradients", "weights-too-large", "initial-loss-off", "nonfinite",
         "divergence", "learning-rate-too-high")  # fmt: skip
DRIFT = ("internal-drift", "divergence", "exploding-gradients", "nonfinite", "loss-spike")


class Times(nn.Module):
    """An activation with a factor behind it."""

    def __init__(self, inner: nn.Module, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.inner(x)


class Added(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        nn.init.kaiming_normal_(self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.layer(x))


@fault("factors-of-a-fiftieth", "vanishing-gradients", "weights-too-small",
       "constant-output", on="deep-tanh deep-relu segmentation",
       why="each layer leaves a fiftieth: what is so small fades")  # fmt: skip
def factors_of_a_fiftieth(parts: Parts) -> None:
    """A layer scale without the residual that it belongs to."""
    swap(parts.model, ACTIVATIONS, lambda each: Times(each, 0.02))


@fault("padded-behind-and-read-there", "vanishing-gradients", on="gru")
def padded_behind_and_read_there(parts: Parts) -> None:
    """Rows padded with zeros to the longest of another data set; the last state is read."""
    for split in ("train", "val", "test"):
        x, y = getattr(parts, split)
        setattr(parts, split, (torch.cat([x, torch.zeros(len(x), 150, 2)], 1), y))
    parts.epochs = 6


@fault("a-plain-recurrence-drawn-small", "vanishing-gradients", "weights-too-small", on="gru",
       why="twenty steps, each of which leaves a tenth")  # fmt: skip
def a_plain_recurrence_drawn_small(parts: Parts) -> None:
    model: Any = parts.model
    cell = nn.RNN(2, 24, batch_first=True)
    nn.init.normal_(cell.weight_hh_l0, std=0.005)
    nn.init.normal_(cell.weight_ih_l0, std=0.02)
    model.cell = cell
    for split in ("train", "val", "test"):
        x, y = getattr(parts, split)
        setattr(parts, split, (torch.cat([x, 0.1 * torch.randn(len(x), 15, 2,
                generator=draws(parts))], 1), y))  # fmt: skip


@fault("a-rectified-recurrence-of-gain-two", *GROWS, on="gru",
       why="the state doubles at each step: the output is huge, and its gradient too")  # fmt: skip
def a_rectified_recurrence(parts: Parts) -> None:
    model: Any = parts.model
    cell = nn.RNN(2, 24, batch_first=True, nonlinearity="relu")
    with torch.no_grad():
        cell.weight_hh_l0.copy_(2 * torch.eye(24))
    model.cell, parts.clip = cell, None


@fault("residuals-added-thirty-times", *GROWS, on="deep-relu regression mlp",
       why="each block adds as much as there is: after thirty it is huge")  # fmt: skip
def residuals_added_thirty_times(parts: Parts) -> None:
    """Residual blocks by He, with no norm, and no small start of the branch."""
    layers = weighted(parts.model)
    into, out = layers[0].in_features, layers[-1].out_features
    blocks = [Added(32) for _ in range(30)]
    parts.model = nn.Sequential(nn.Flatten(), nn.Linear(into, 32), *blocks, nn.Linear(32, out))


@fault("cubes-between-layers", *GROWS, on="regression deep-relu mlp",
       why="what is above one grows with its third power at each layer")  # fmt: skip
def cubes_between_layers(parts: Parts) -> None:
    class Cube(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x**3

    swap(parts.model, ACTIVATIONS, lambda _: Cube())
    for each in weighted(parts.model)[:-1]:
        nn.init.kaiming_normal_(each.weight)


@fault("a-penalty-on-activity", "over-regularised", "dead-relu", "constant-output",
       "underfitting", on="mlp lenet autoencoder",
       why="a penalty on activity so strong that no unit is worth its price")  # fmt: skip
def a_penalty_on_activity(parts: Parts) -> None:
    heard: list[Tensor] = []
    for each in parts.model.modules():
        if isinstance(each, nn.ReLU):
            each.register_forward_hook(lambda module, given, out: heard.append(out))
    inner = parts.loss

    def loss(output: Tensor, target: Tensor) -> Tensor:
        price = sum(each.abs().sum() / len(output) for each in heard)
        heard.clear()
        return inner(output, target) + price

    parts.loss = loss


@fault("clamped-to-a-hundredth-each-step", "over-regularised", "weights-too-small",
       "vanishing-gradients", "underfitting", "weights-do-not-change", "constant-output",
       on="mlp deep-tanh autoencoder",
       why="clamped so small: a bound too strong, behind which everything fades")  # fmt: skip
def clamped_to_a_hundredth_each_step(parts: Parts) -> None:
    """The clamp of a Wasserstein critic, copied with its loop."""

    def clamp(model: nn.Module) -> None:
        with torch.no_grad():
            for each in model.parameters():
                each.clamp_(-0.01, 0.01)

    between(parts, steps=clamp)


@fault("a-penalty-turned-into-a-prize", *DRIFT, "saturated-units", "loss-sign",
       "learning-rate-too-high", on="mlp deep-tanh regression",
       why="it pays for large weights: they grow without end")  # fmt: skip
def a_penalty_turned_into_a_prize(parts: Parts) -> None:
    inner, weights = parts.loss, [each for each in parts.model.parameters() if each.ndim > 1]

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return inner(output, target) - 0.05 * sum(each.square().sum() for each in weights)

    parts.loss = loss


@fault("half-as-large-again-each-epoch", *DRIFT, "saturated-units", "weights-too-large",
       on="deep-relu lenet deep-tanh",
       why="a renormalisation by the wrong factor: everything grows with every epoch")  # fmt: skip
def half_as_large_again_each_epoch(parts: Parts) -> None:
    def scale(model: nn.Module) -> None:
        with torch.no_grad():
            for each in weighted(model):
                each.weight.mul_(1.5)

    between(parts, epochs=scale)


@fault("filters-averaged-after-each-step", "duplicate-filters", "symmetric-initialisation",
       on="lenet segmentation mlp",
       why="all units of a layer are made one: copies, as if they had begun so")  # fmt: skip
def filters_averaged_after_each_step(parts: Parts) -> None:
    """An average of weights over the wrong axis."""

    def average(model: nn.Module) -> None:
        with torch.no_grad():
            for each in weighted(model)[:-1]:
                each.weight.copy_(each.weight.mean(0, keepdim=True).expand_as(each.weight))

    between(parts, steps=average)


@fault("a-variance-that-may-be-zero", "nonfinite", on="regression autoencoder")
def a_variance_that_may_be_zero(parts: Parts) -> None:
    """Errors weighed by a predicted variance, from a ReLU, with no floor."""
    out = parts.train[1].shape[1]
    body: Any = parts.model

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.spread = body, stack([out, 24, out])

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    parts.model = model = Both()

    def loss(output: Tensor, target: Tensor) -> Tensor:
        variance = torch.relu(model.spread(output))
        return ((output - target).square() / variance + variance.log()).mean()

    parts.loss = loss


@fault("an-inverted-padding-mask", "nonfinite", on="transformer")
def an_inverted_padding_mask(parts: Parts) -> None:
    """True where a word stands, not where none does: a row without padding is masked whole."""
    model: Any = parts.model

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, rows: Tensor) -> Tensor:
            x = self.inner.embed(rows) + self.inner.place[: rows.shape[1]]
            x = self.inner.encoder(x, src_key_padding_mask=rows != 0)
            return self.inner.head(self.inner.norm(x).mean(1))

    parts.model = Masked()


@fault("a-broken-power-of-what-is-negative", "nonfinite", "nonfinite-input", on="regression gru",
       why="a broken power of a value below zero is no number")  # fmt: skip
def a_broken_power_of_what_is_negative(parts: Parts) -> None:
    class Gamma(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x**0.7

    parts.model = nn.Sequential(Gamma(), parts.model)
