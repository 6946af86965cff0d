"""More faults of the network: starts by hand, layers at the wrong place, signals cut short."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from setups import Parts, stack
from torch import Tensor, nn

from faults import fault
from faults._surgery import again, on_inputs, rows, swap, weighted

# The start


@fault("recurrent-weights-all-a-tenth", "symmetric-initialisation", on="gru")
def recurrent_weights_all_a_tenth(parts: Parts) -> None:
    """`for p in model.parameters(): nn.init.constant_(p, 0.1)`."""
    for each in parts.model.parameters():
        nn.init.constant_(each, 0.1)


@fault("attention-of-ones", "symmetric-initialisation", "weights-too-large", on="transformer",
       why="all rows are equal, and of a size that no initialiser gives")  # fmt: skip
def attention_of_ones(parts: Parts) -> None:
    for name, each in parts.model.named_parameters():
        if each.ndim > 1 and "embed" not in name and name != "place":
            nn.init.ones_(each)


@fault("drawn-between-minus-one-and-one", "weights-too-large", "initial-loss-off",
       on="lenet deep-relu segmentation",
       why="the first loss far above guessing is what the weights do")  # fmt: skip
def drawn_between_minus_one_and_one(parts: Parts) -> None:
    again(parts, lambda weight: weight.uniform_(-1, 1))


@fault("drawn-a-hundredth-wide", "weights-too-small", "vanishing-gradients",
       on="deep-relu deep-tanh segmentation",
       why="weights so small are why the gradient fades")  # fmt: skip
def drawn_a_hundredth_wide(parts: Parts) -> None:
    again(parts, lambda weight: weight.normal_(0, 0.01))


@fault("hidden-biases-of-eight", "saturated-at-start", "saturated-units", on="deep-tanh",
       why="saturated at the start and ever after")  # fmt: skip
def hidden_biases_of_eight(parts: Parts) -> None:
    _biases(parts, 8.0)


@fault("biases-of-minus-thirty", "dead-at-start", "dead-relu",
       on="lenet regression binary deep-relu segmentation",
       why="dead at the start and ever after")  # fmt: skip
def biases_of_minus_thirty(parts: Parts) -> None:
    _biases(parts, -30.0)


def _biases(parts: Parts, value: float) -> None:
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.bias.fill_(value)


class Negated(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(-self.inner(x))


@fault("negated-and-rectified-again", "dead-at-start", "dead-relu", "constant-output",
       on="mlp regression", why="all three are the one fact that nothing gets through")  # fmt: skip
def negated_and_rectified_again(parts: Parts) -> None:
    model: Any = parts.model
    model[2] = Negated(model[2])


# Activations


@fault("norms-for-activations", "missing-nonlinearity", on="binary regression autoencoder")
def norms_for_activations(parts: Parts) -> None:
    """A normalisation was put where the activation stood."""
    widths = iter([each.weight.shape[0] for each in weighted(parts.model)])
    swap(parts.model, nn.ReLU, lambda _: nn.BatchNorm1d(int(next(widths))))
    if any(isinstance(each, nn.Sigmoid) for each in parts.model):
        _widths_of_the_autoencoder(parts)


def _widths_of_the_autoencoder(parts: Parts) -> None:
    model: Any = parts.model
    for part in model:
        for place, each in enumerate(part.children()):
            if isinstance(each, nn.BatchNorm1d):
                part[place] = nn.BatchNorm1d(part[place - 1].out_features)


@fault("clipped-where-nothing-comes", "missing-nonlinearity", on="regression binary")
def clipped_where_nothing_comes(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Hardtanh(-100, 100))


@fault("roots-for-activations", "nonfinite", on="mlp regression segmentation")
def roots_for_activations(parts: Parts) -> None:
    """The square root of what is negative as often as not."""

    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sqrt()

    swap(parts.model, nn.ReLU, lambda _: Root())


# What is trained


class MadeInForward(nn.Module):
    """`x = nn.Linear(64, 64)(x)` within forward: another layer at every call."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.sides = (layer.in_features, layer.out_features)

    def forward(self, x: Tensor) -> Tensor:
        return nn.Linear(*self.sides)(x)


@fault("a-new-layer-at-each-forward", "unregistered-parameters", on="regression mlp lenet")
def a_new_layer_at_each_forward(parts: Parts) -> None:
    model: Any = parts.model
    places = [n for n, each in enumerate(model) if isinstance(each, nn.Linear)]
    place = places[-2]
    model[place] = MadeInForward(model[place])


class InDict(nn.Module):
    """A model whose hidden layers are kept in a dictionary."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.head = layers[-1]
        self.layers = {str(n): each for n, each in enumerate(layers[:-1])}

    def forward(self, x: Tensor) -> Tensor:
        for each in self.layers.values():
            x = each(x)
        return self.head(x)


@fault("layers-under-their-names", "unregistered-parameters", on="segmentation deep-relu binary")
def layers_under_their_names(parts: Parts) -> None:
    parts.model = InDict(list(parts.model))


@fault("frozen-up-to-the-middle", "frozen-parameters", on="segmentation autoencoder deep-tanh")
def frozen_up_to_the_middle(parts: Parts) -> None:
    layers = weighted(parts.model)
    for each in layers[: len(layers) - 2]:
        each.requires_grad_(False)


class FirstAgain(nn.Module):
    """Several layers of one size, of which the loop calls the first each time."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.inner = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for _ in self.inner:
            x = F.relu(self.inner[0](x))
        return x


@fault("the-first-of-the-blocks-each-time", "unused-parameters", on="deep-relu")
def the_first_of_the_blocks_each_time(parts: Parts) -> None:
    model: Any = parts.model
    linear = weighted(model)
    parts.model = nn.Sequential(
        nn.Flatten(), linear[0], nn.ReLU(), FirstAgain(linear[1:-1]), linear[-1]
    )


# Width


@fault("through-a-single-unit", "bottleneck", "too-little-capacity", on="mlp gru deep-relu",
       why="one unit is the bottleneck, and with it the network cannot fit")  # fmt: skip
def through_a_single_unit(parts: Parts) -> None:
    model: Any = parts.model
    head = model.head if hasattr(model, "head") else model[-1]
    narrow = nn.Sequential(
        nn.Linear(head.in_features, 1), nn.Tanh(), nn.Linear(1, head.out_features)
    )
    if hasattr(model, "head"):
        model.head = narrow
    else:
        model[-1] = narrow


@fault("pooled-to-a-single-place", "bottleneck", "too-little-capacity", "underfitting",
       on="segmentation",
       why="what lies where is lost in the middle, so that the network cannot fit")  # fmt: skip
def pooled_to_a_single_place(parts: Parts) -> None:
    layers = list(parts.model)
    layers[6:6] = [nn.AdaptiveAvgPool2d(1), nn.Upsample(size=(4, 4))]
    parts.model = nn.Sequential(*layers)


@fault("two-hidden-units", "too-little-capacity", "bottleneck", "underfitting",
       on="regression", why="one want by three names")  # fmt: skip
def two_hidden_units(parts: Parts) -> None:
    parts.model = stack([8, 2, 2, 3])


@fault("fifty-images", "overfitting", "too-much-capacity", on="lenet resnet",
       why="too many weights for so few images show in the gap")  # fmt: skip
def fifty_images(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(50))
    parts.epochs *= 12


# Norms


@fault("norms-over-two-samples", "batchnorm-small-batch", "noisy-gradients", on="bn-mlp",
       why="two samples are too few for the norm and for the gradient")  # fmt: skip
def norms_over_two_samples(parts: Parts) -> None:
    parts.batch = 2
    parts.drop_last = True
    parts.epochs = 2


@fault("momentum-as-another-framework-means-it", "batchnorm-bad-momentum", on="bn-mlp resnet")
def momentum_as_another_framework_means_it(parts: Parts) -> None:
    """0.999 keeps the past there, and forgets it here."""
    for each in parts.model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.momentum = 0.999
    parts.batch = 24


@fault("a-layer-norm-of-one-unit", "constant-output", "batchnorm-on-output", on="binary",
       why="the one number of each sample less its own mean is zero")  # fmt: skip
def a_layer_norm_of_one_unit(parts: Parts) -> None:
    parts.model.append(nn.LayerNorm(1))


@fault("dropout-before-every-norm", "dropout-before-batchnorm", "over-regularised", "underfitting",
       on="bn-mlp resnet",
       why="the spread that the norm learns is that of dropout, which is strong")  # fmt: skip
def dropout_before_every_norm(parts: Parts) -> None:
    swap(parts.model, nn.BatchNorm1d, lambda n: nn.Sequential(nn.Dropout(0.8), n))
    swap(parts.model, nn.BatchNorm2d, lambda n: nn.Sequential(nn.Dropout(0.8), n))


# Signal flow


@fault("a-dozen-sigmoid-layers", "vanishing-gradients", "saturated-at-start",
       on="regression binary mlp", why="a sigmoid passes on a quarter at best")  # fmt: skip
def a_dozen_sigmoid_layers(parts: Parts) -> None:
    linear = weighted(parts.model)
    wide, out = linear[0].in_features, linear[-1].out_features
    parts.model = stack([wide, *[32] * 12, out], nn.Sigmoid)


@fault("a-state-that-doubles", "exploding-gradients", "weights-too-large", "nonfinite",
       "initial-loss-off", on="gru",
       why="a state that doubles at each step: the weight, and its gradient")  # fmt: skip
def a_state_that_doubles(parts: Parts) -> None:
    model: Any = parts.model
    model.cell = nn.RNN(2, 24, nonlinearity="relu", batch_first=True)
    nn.init.eye_(model.cell.weight_hh_l0)
    with torch.no_grad():
        model.cell.weight_hh_l0 *= 2


@fault("log-of-probability-zero", "nonfinite", on="mlp")
def log_of_probability_zero(parts: Parts) -> None:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        kinds = F.one_hot(target, output.shape[1]).float()
        return -(kinds * torch.log(torch.softmax(output / 0.01, 1))).sum(1).mean()

    parts.loss = loss


@fault("samples-over-their-own-spread", "nonfinite", "nonfinite-input", "constant-input",
       on="mlp lenet resnet",
       why="a blank image over its spread of zero is no number any more")  # fmt: skip
def samples_over_their_own_spread(parts: Parts) -> None:
    parts.train[0][::300] = 0

    class Standardised(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            spread = x.flatten(1).std(1)[:, None, None, None]
            mean = x.flatten(1).mean(1)[:, None, None, None]
            return self.inner((x - mean) / spread)

    parts.model = Standardised(parts.model)


@fault("nearly-all-dropped", "over-regularised", "underfitting", on="bn-mlp binary",
       why="what is dropped is why it does not fit")  # fmt: skip
def nearly_all_dropped(parts: Parts) -> None:
    swap(parts.model, nn.Dropout, lambda _: nn.Dropout(0.99))


@fault("small-random-features-frozen", "frozen-parameters", on="regression mlp")
def small_random_features_frozen(parts: Parts) -> None:
    model: Any = parts.model
    linear = weighted(model)
    wide: Any = linear[0].in_features
    first = nn.Linear(wide, 6).requires_grad_(False)
    model[1], model[3] = first, nn.Linear(6, model[3].out_features)


@fault("tanh-of-large-pixels", "unscaled-input", "saturated-at-start", "saturated-units",
       on="deep-tanh", why="pixels of hundreds are why the units are flat")  # fmt: skip
def tanh_of_large_pixels(parts: Parts) -> None:
    on_inputs(parts, lambda x: x * 60 - 20)
