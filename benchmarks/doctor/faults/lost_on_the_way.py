"""What the network throws away: narrow places, norms in the wrong place, outputs of one value."""

from __future__ import annotations

from typing import Any

import torch
from setups import Parts, Training, stack, validate
from torch import Tensor, nn

from faults import fault
from faults._surgery import rows, swap, then, weighted

NARROW = ("bottleneck", "too-little-capacity", "underfitting")


class Apply(nn.Module):
    """A function of a tensor, as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def normed(parts: Parts) -> None:
    """Batch norm after each hidden linear layer, if the model has none."""
    model: Any = parts.model
    layers: list[nn.Module] = []
    for each in model:
        layers.append(each)
        if isinstance(each, nn.Linear) and each is not weighted(model)[-1]:
            layers.append(nn.BatchNorm1d(each.out_features))
    parts.model = nn.Sequential(*layers)


@fault("a-code-of-one-number", *NARROW, on="autoencoder",
       why="64 pixels through one number: narrow, and too small to fit")  # fmt: skip
def a_code_of_one_number(parts: Parts) -> None:
    parts.model = nn.Sequential(stack([64, 48, 1]), stack([1, 48, 64]), nn.Sigmoid())


@fault("a-stride-wider-than-its-kernel", *NARROW, on="lenet resnet",
       why="four pixels of 64 are read: the rest is lost")  # fmt: skip
def a_stride_wider_than_its_kernel(parts: Parts) -> None:
    """A convolution of 1 by 1 in steps of 4: a patch embedding with its numbers mixed up."""
    out = 10
    parts.model = nn.Sequential(
        nn.Conv2d(1, 24, 1, stride=4), nn.ReLU(), nn.Flatten(),
        nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, out),
    )  # fmt: skip


@fault("the-length-of-the-features-alone", *NARROW, on="mlp gru deep-tanh",
       why="one number is left of all features")  # fmt: skip
def the_length_of_the_features_alone(parts: Parts) -> None:
    """`x.norm(dim=1, keepdim=True)` where `x / x.norm(...)` was meant."""
    head = weighted(parts.model)[-1]
    length = Apply(lambda x: x.norm(dim=1, keepdim=True))
    new = nn.Sequential(length, nn.Linear(1, head.out_features))
    swap(parts.model, nn.Linear, lambda each: new if each is head else each)


@fault("the-first-columns-only", *NARROW, "dead-feature", "unused-parameters",
       on="regression binary",
       why="what the other columns say is not read: the rest cannot fit it")  # fmt: skip
def the_first_columns_only(parts: Parts) -> None:
    """`x[:, :2]`, left in from a plot."""
    layers = weighted(parts.model)
    model: Any = parts.model
    cut = Apply(lambda x: x[:, :2])
    parts.model = nn.Sequential(cut, nn.Linear(2, layers[0].out_features), *list(model)[2:])


@fault("the-first-step-only", *NARROW, on="gru",
       why="of twenty steps the first state is read: it has seen one")  # fmt: skip
def the_first_step_only(parts: Parts) -> None:
    """`states[:, 0]` where `states[:, -1]` was meant."""
    model: Any = parts.model

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = model.cell, model.head

        def forward(self, steps: Tensor) -> Tensor:
            return self.head(self.cell(steps)[0][:, 0])

    parts.model = First()


@fault("sixty-rows-for-all-its-weights", "too-much-capacity", "overfitting",
       on="transformer deep-relu", why="it learns sixty rows by heart")  # fmt: skip
def sixty_rows_for_all_its_weights(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(60))
    parts.batch, parts.schedule = 20, None
    parts.epochs *= 5


@fault("added-up-from-batches-of-two", "batchnorm-small-batch", "noisy-gradients",
       on="bn-mlp binary",
       why="norms know two samples at a time however many are added up: noise")  # fmt: skip
def added_up_from_batches_of_two(parts: Parts) -> None:
    """Gradient accumulation for a small card; the norms are forgotten."""
    if not any(isinstance(each, nn.BatchNorm1d) for each in parts.model.modules()):
        normed(parts)
    parts.batch, parts.drop_last, parts.schedule = 2, True, None

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(4):
            model.train()
            for number, (x, y) in enumerate(training.train):
                loss = parts.loss(model(x), y) / 16
                loss.backward()
                if number % 16 == 15:
                    optimizer.step()
                    optimizer.zero_grad()
            validate(training)

    parts.loop = loop


@fault("one-sample-left-over", "batchnorm-small-batch", on="bn-mlp binary")
def one_sample_left_over(parts: Parts) -> None:
    """The last batch of the epoch is one sample, and batch norm raises."""
    if not any(isinstance(each, nn.BatchNorm1d) for each in parts.model.modules()):
        normed(parts)
    parts.train = rows(parts.train, torch.arange(64 * 12 + 1))


@fault("momentum-of-a-thousandth", "batchnorm-bad-momentum", on="bn-mlp resnet")
def momentum_of_a_thousandth(parts: Parts) -> None:
    for each in parts.model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.momentum = 0.001


@fault("channels-dropped-ahead-of-norms", "dropout-before-batchnorm", "over-regularised",
       "underfitting", on="resnet bn-mlp",
       why="the norms learn the variance of what is dropped; much is dropped")  # fmt: skip
def channels_dropped_ahead_of_norms(parts: Parts) -> None:
    swap(parts.model, nn.Dropout, lambda _: nn.Identity())
    swap(parts.model, nn.BatchNorm2d,
         lambda each: nn.Sequential(nn.Dropout2d(0.7), each))  # fmt: skip
    swap(parts.model, nn.BatchNorm1d,
         lambda each: nn.Sequential(nn.Dropout(0.7), each))  # fmt: skip


@fault("answers-normalised", "batchnorm-on-output", on="segmentation autoencoder binary")
def answers_normalised(parts: Parts) -> None:
    """A helper that puts a norm after every layer, the last one too."""
    model: Any = parts.model
    if model[-1].__class__ is nn.Sigmoid:
        parts.model = nn.Sequential(*model[:-1], nn.BatchNorm1d(64, affine=False), model[-1])
    elif isinstance(model[-1], nn.Conv2d):
        then(parts, nn.InstanceNorm2d(1))
    else:
        then(parts, nn.BatchNorm1d(1, affine=False))


@fault("the-first-sample-for-all", "constant-output", "batch-mixing", "bottleneck",
       on="mlp regression gru",
       why="outputs are those of the batch's first sample, whatever stands below it")  # fmt: skip
def the_first_sample_for_all(parts: Parts) -> None:
    """`x[0]` for a look at a sample, and a broadcast that hides it."""
    parts.model = nn.Sequential(Apply(lambda x: x[:1].expand_as(x)), parts.model)


@fault("pixels-cast-to-integers", "constant-output", "constant-input", "bottleneck",
       "dead-feature", "too-little-capacity", on="mlp lenet autoencoder",
       why="between 0 and 1 there is no other integer: nothing is left of an image")  # fmt: skip
def pixels_cast_to_integers(parts: Parts) -> None:
    parts.model = nn.Sequential(Apply(lambda x: x.long().float()), parts.model)


@fault("signs-for-features", "constant-output", "detached-graph", "loss-ignores-parameters",
       "frozen-parameters", "vanishing-gradients", "bottleneck", "too-little-capacity",
       "dead-at-start", on="mlp regression",
       why="a sign has no slope: all before it gets a gradient of zero")  # fmt: skip
def signs_for_features(parts: Parts) -> None:
    """Binary codes without a straight-through estimate."""
    model: Any = parts.model
    narrow = Apply(torch.sign)
    for each in weighted(model)[:-1]:
        nn.init.normal_(each.weight, std=0.02)
    parts.model = nn.Sequential(*model[:-1], Apply(lambda x: x[:, :6]), narrow,
                                nn.Linear(6, model[-1].out_features))  # fmt: skip
