"""Still more faults of the network: what stands in its code though nobody meant it."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from setups import Attention, Parts, Recurrent, stack
from torch import Tensor, nn

from faults import fault
from faults._surgery import again, swap, then, weighted

# The start


@fault("one-seed-for-every-unit", "symmetric-initialisation", "duplicate-filters",
       on="mlp regression segmentation",
       why="units of equal weights stay alike but for what their biases make of it")  # fmt: skip
def one_seed_for_every_unit(parts: Parts) -> None:
    """`torch.manual_seed(0)` within the function that draws a unit."""
    with torch.no_grad():
        for each in weighted(parts.model):
            weight: Any = each.weight
            weight.copy_(weight[:1].expand_as(weight).clone())


@fault("variance-taken-for-deviation", "weights-too-small", "vanishing-gradients",
       on="deep-relu deep-tanh", why="weights so small are why the gradient fades")  # fmt: skip
def variance_taken_for_deviation(parts: Parts) -> None:
    again(parts, lambda weight: weight.normal_(0, 2 / weight[0].numel()))


@fault("multiplied-by-the-fan-in", "weights-too-large", "saturated-at-start", "initial-loss-off",
       on="autoencoder mlp binary",
       why="weights so large saturate a sigmoid, and lift the first loss")  # fmt: skip
def multiplied_by_the_fan_in(parts: Parts) -> None:
    again(parts, lambda weight: weight.normal_(0, (weight[0].numel() / 2) ** 0.5))


@fault("recurrent-weights-of-five", "weights-too-large", "saturated-at-start", "saturated-units",
       on="gru", why="gates that are shut or open for good, by weights so large")  # fmt: skip
def recurrent_weights_of_five(parts: Parts) -> None:
    for name, each in parts.model.named_parameters():
        if "weight_" in name:
            nn.init.normal_(each, std=5)


@fault("sigmoids-of-wide-weights", "saturated-at-start", "weights-too-large",
       "saturated-units", on="regression deep-relu",
       why="what saturates them is the size of the weights")  # fmt: skip
def sigmoids_of_wide_weights(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Sigmoid())
    for each in weighted(parts.model)[:-1]:
        nn.init.normal_(each.weight, std=4)


@fault("all-clipped-at-six", "saturated-at-start", "dead-at-start", "constant-output",
       on="lenet regression", why="flat above six, for every sample")  # fmt: skip
def all_clipped_at_six(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.ReLU6())
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.bias.fill_(20)


@fault("a-threshold-nobody-reaches", "dead-at-start", "dead-relu", "constant-output",
       on="segmentation binary deep-relu", why="one fact: nothing gets over it")  # fmt: skip
def a_threshold_nobody_reaches(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Threshold(20.0, 0.0))


# Activations


@fault("leaky-by-one", "missing-nonlinearity", on="segmentation regression binary")
def leaky_by_one(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.LeakyReLU(1.0))


class Thrown(nn.Module):
    """`F.relu(x)`, and what it gives is not kept."""

    def forward(self, x: Tensor) -> Tensor:
        F.relu(x)
        return x


@fault("activations-not-kept", "missing-nonlinearity", on="regression binary autoencoder")
def activations_not_kept(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: Thrown())


# What is trained


class Overwritten(nn.Module):
    def __init__(self, body: nn.Module, features: int, out: int) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Sequential(nn.Linear(features, 1), nn.ReLU(), nn.Linear(1, out))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        h = self.body(x)
        h = self.shortcut(x)
        return h  # noqa: RET504  (the fault)


@fault("a-branch-overwritten", "unused-parameters", "bottleneck",
       "too-little-capacity", on="regression mlp",
       why="what is left is a branch of one unit; the other one is never trained")  # fmt: skip
def a_branch_overwritten(parts: Parts) -> None:
    linear = weighted(parts.model)
    wide, out = linear[0].in_features, linear[-1].out_features
    parts.model = Overwritten(parts.model, wide, out)


class ByHand(nn.Module):
    """Weights kept as plain tensors: nothing registers them."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.w = layer.weight.detach().clone().requires_grad_()
        self.b = layer.bias.detach().clone().requires_grad_()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w, self.b)


@fault(
    "weights-that-are-plain-tensors", "unregistered-parameters", on="regression binary deep-tanh"
)
def weights_that_are_plain_tensors(parts: Parts) -> None:
    model: Any = parts.model
    for place, each in list(enumerate(model))[:-1]:
        if isinstance(each, nn.Linear):
            model[place] = ByHand(each)


class Copied(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return copy.deepcopy(self.body)(x)


@fault("a-copy-of-the-layers-each-time", "unregistered-parameters", "unused-parameters",
       "detached-graph", "loss-ignores-parameters", on="regression deep-relu",
       why="what runs is another each time; what is held is never used")  # fmt: skip
def a_copy_of_the_layers_each_time(parts: Parts) -> None:
    layers = list(parts.model)
    parts.model = nn.Sequential(Copied(nn.Sequential(*layers[:-1])), layers[-1])


@fault("a-head-of-zeros-and-frozen", "frozen-parameters", "constant-output",
       "loss-ignores-parameters", on="mlp gru",
       why="frozen at zero it gives the same to all, and moves nothing before it")  # fmt: skip
def a_head_of_zeros_and_frozen(parts: Parts) -> None:
    head = weighted(parts.model)[-1]
    nn.init.zeros_(head.weight)
    head.weight.requires_grad_(False)


# Width


class Largest(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax(1, keepdim=True)


@fault("the-largest-feature-and-no-more", "bottleneck", "too-little-capacity",
       on="mlp bn-mlp deep-tanh", why="one number is the narrow place")  # fmt: skip
def the_largest_feature_and_no_more(parts: Parts) -> None:
    model: Any = parts.model
    model[-1] = nn.Sequential(Largest(), nn.Linear(1, 10))


@fault("two-channels-pooled-to-a-point", "bottleneck", "too-little-capacity", on="lenet",
       why="two numbers for ten classes")  # fmt: skip
def two_channels_pooled_to_a_point(parts: Parts) -> None:
    parts.model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 2, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip


@fault("one-filter-a-layer", "too-little-capacity", "bottleneck", "underfitting", on="lenet",
       why="one want by three names")  # fmt: skip
def one_filter_a_layer(parts: Parts) -> None:
    parts.model = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(),
        nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 10),
    )  # fmt: skip


@fault("a-state-of-one-number", "bottleneck", "too-little-capacity", "underfitting", on="gru",
       why="a state of one number is too little, and all passes it")  # fmt: skip
def a_state_of_one_number(parts: Parts) -> None:
    parts.model = Recurrent(width=1)


@fault("tokens-of-four-numbers", "too-little-capacity", "bottleneck", "underfitting",
       on="transformer", why="one want by three names")  # fmt: skip
def tokens_of_four_numbers(parts: Parts) -> None:
    parts.model = Attention(width=4)


# Norms and dropout


@fault("norms-that-keep-nothing", "batchnorm-bad-momentum", on="bn-mlp resnet")
def norms_that_keep_nothing(parts: Parts) -> None:
    """Momentum 0: the statistics of the start for ever."""
    for each in parts.model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.momentum = 0.0


@fault("scores-normalised-by-the-batch", "batchnorm-on-output", on="gru deep-relu binary")
def scores_normalised_by_the_batch(parts: Parts) -> None:
    out = weighted(parts.model)[-1].out_features
    then(parts, nn.BatchNorm1d(out, affine=False))


@fault("most-of-the-inputs-dropped", "over-regularised", "underfitting", on="lenet deep-tanh",
       why="what is dropped is why it does not fit")  # fmt: skip
def most_of_the_inputs_dropped(parts: Parts) -> None:
    parts.model = nn.Sequential(nn.Dropout(0.97), parts.model)


# Signal flow


class Masked(nn.Module):
    """A mask that was built the wrong way round: it lets nothing through."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask


@fault("a-mask-of-zeros", "constant-output", "dead-at-start", "loss-ignores-parameters",
       on="mlp segmentation", why="nothing of the input gets past it")  # fmt: skip
def a_mask_of_zeros(parts: Parts) -> None:
    layers = list(parts.model)
    parts.model = nn.Sequential(*layers[:3], Masked(), *layers[3:])


@fault("thirty-tanh-layers-drawn-small", "vanishing-gradients", "weights-too-small",
       on="binary regression", why="weights so small are why the gradient fades")  # fmt: skip
def thirty_tanh_layers_drawn_small(parts: Parts) -> None:
    linear = weighted(parts.model)
    wide, out = linear[0].in_features, linear[-1].out_features
    parts.model = stack([wide, *[32] * 30, out], nn.Tanh)


@fault("each-answer-over-its-spread", "nonfinite", on="binary")
def each_answer_over_its_spread(parts: Parts) -> None:
    class Over(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / x.std(1, keepdim=True)

    then(parts, Over())


@fault("percent-of-zero", "nonfinite", on="autoencoder")
def percent_of_zero(parts: Parts) -> None:
    parts.loss = lambda output, target: ((output - target).abs() / target).mean()


@fault("softmax-by-hand-of-large-scores", "nonfinite", "weights-too-large", "initial-loss-off",
       "unscaled-input", on="lenet mlp",
       why="scores so large overflow an exponential that nobody bounds")  # fmt: skip
def softmax_by_hand_of_large_scores(parts: Parts) -> None:
    class Loud(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2000 * x

    def loss(output: Tensor, target: Tensor) -> Tensor:
        odds = output.exp()
        chances = odds / odds.sum(1, keepdim=True)
        return -torch.log(chances[torch.arange(len(target)), target] + 1e-8).mean()

    then(parts, Loud())
    parts.loss = loss
