"""Weights, biases and gates that begin where training cannot lead away from."""

from __future__ import annotations

import torch
from setups import Parts, stack
from torch import Tensor, nn

from faults import fault
from faults._surgery import ACTIVATIONS, again, on_inputs, swap, weighted

LARGE = ("weights-too-large", "saturated-at-start", "initial-loss-off", "exploding-gradients")


class Squash(nn.Module):
    """tanh of its input times a steepness."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        self.steepness = steepness

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.steepness * x)


@fault("two-units-tiled-across", "symmetric-initialisation", "duplicate-filters",
       on="mlp autoencoder lenet",
       why="copies of two units, within and without: they stay copies")  # fmt: skip
def two_units_tiled_across(parts: Parts) -> None:
    """A network widened by repeating its units, without the noise that parts them."""
    layers = weighted(parts.model)
    with torch.no_grad():
        for place, each in enumerate(layers):
            weight: Tensor = each.weight
            if place < len(layers) - 1:
                weight.copy_(weight[:2].repeat(len(weight) // 2, *[1] * (weight.ndim - 1)))
                each.bias.zero_()
            if place > 0:
                inner = weight.shape[1]
                if layers[place - 1].weight.ndim == 4 and weight.ndim == 2:
                    many = inner // len(layers[place - 1].weight)
                    weight.copy_(weight[:, : 2 * many].repeat(1, inner // (2 * many)))
                else:
                    weight.copy_(weight[:, :2].repeat(1, inner // 2, *[1] * (weight.ndim - 2)))


@fault("a-hidden-layer-of-zeros", "symmetric-initialisation", "dead-at-start", "constant-output",
       "weights-too-small", on="mlp autoencoder deep-relu segmentation",
       why="zero rows are alike, no unit answers, and so no input changes the output")  # fmt: skip
def a_hidden_layer_of_zeros(parts: Parts) -> None:
    """Zeroed as the last layer of a residual branch, where there is no residual."""
    each = weighted(parts.model)[1]
    nn.init.zeros_(each.weight)
    nn.init.zeros_(each.bias)


@fault("means-to-begin-with", "symmetric-initialisation", "duplicate-filters",
       on="resnet bn-mlp", why="all units are one, and stay it")  # fmt: skip
def means_to_begin_with(parts: Parts) -> None:
    """Every unit the mean of its inputs, as a neutral start."""
    with torch.no_grad():
        for each in weighted(parts.model):
            each.weight.fill_(1 / each.weight[0].numel())
            if each.bias is not None:
                each.bias.zero_()
    swap(parts.model, nn.Dropout, lambda _: nn.Identity())


@fault("orthogonal-with-a-gain-of-six", *LARGE, on="deep-relu deep-tanh gru segmentation",
       why="what grows saturates, or lifts the first loss")  # fmt: skip
def orthogonal_with_a_gain_of_six(parts: Parts) -> None:
    for each in parts.model.parameters():
        if each.ndim > 1:
            nn.init.orthogonal_(each, gain=6)


@fault("a-hundredth-of-the-usual-start", "weights-too-small", "vanishing-gradients",
       on="mlp deep-tanh segmentation", why="so small that the gradient fades")  # fmt: skip
def a_hundredth_of_the_usual_start(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model):
            each.weight.mul_(0.01)


@fault("a-gate-that-never-opens", "saturated-at-start", "constant-output", "saturated-units",
       "vanishing-gradients", "dead-at-start", on="gru",
       why="the update gate is one: the state stays zero whatever comes")  # fmt: skip
def a_gate_that_never_opens(parts: Parts) -> None:
    """A bias for remembering, far too large."""
    with torch.no_grad():
        for name, each in parts.model.named_parameters():
            if "cell.bias_ih" in name:
                third = len(each) // 3
                each[third : 2 * third] = 30


@fault("clips-far-outside", "saturated-at-start", "saturated-units", "weights-too-large",
       "dead-at-start", on="deep-tanh mlp autoencoder",
       why="weights so large that nearly every unit lies where its activation is flat")  # fmt: skip
def clips_far_outside(parts: Parts) -> None:
    """Hardtanh with weights of deviation ten."""
    swap(parts.model, ACTIVATIONS, lambda _: nn.Hardtanh())
    for each in weighted(parts.model)[:-1]:
        nn.init.normal_(each.weight, std=10)


@fault("biases-drawn-up-to-ten", "saturated-at-start", "saturated-units",
       "vanishing-gradients", on="deep-tanh autoencoder",
       why="each unit sits in a tail of its tanh, where hardly a gradient passes")  # fmt: skip
def biases_drawn_up_to_ten(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Tanh())
    for each in weighted(parts.model)[:-1]:
        nn.init.uniform_(each.bias, -10, 10)


@fault("steep-steps-for-activations", "saturated-at-start", "saturated-units",
       "vanishing-gradients", "exploding-gradients", "weights-too-large",
       on="mlp regression deep-tanh",
       why="flat, and steep between: tanh of weights that are fifty times too large")  # fmt: skip
def steep_steps_for_activations(parts: Parts) -> None:
    """A soft step with its temperature turned the wrong way."""
    swap(parts.model, ACTIVATIONS, lambda _: Squash(50.0))


@fault("rectified-before-the-first-layer", "dead-at-start", "constant-input", "constant-output",
       "bottleneck", on="mlp lenet gru",
       why="inputs below zero, and a ReLU on them: nothing is left")  # fmt: skip
def rectified_before_the_first_layer(parts: Parts) -> None:
    """Pixels moved to between -1 and 0, steps below zero; blocks that begin with an activation."""
    low = float(parts.train[0].max())
    on_inputs(parts, lambda x: x - low)
    parts.model = nn.Sequential(nn.ReLU(), parts.model)


@fault("thirty-layers-by-default", "vanishing-gradients", "weights-too-small", "constant-output",
       on="mlp binary regression",
       why="torch's own start shrinks by 1.7 a layer: after thirty nothing is left")  # fmt: skip
def thirty_layers_by_default(parts: Parts) -> None:
    into = weighted(parts.model)[0].in_features
    out = weighted(parts.model)[-1].out_features
    parts.model = stack([into, *[32] * 30, out])


@fault("only-positive-weights", "weights-too-large", "initial-loss-off", "symmetric-initialisation",
       "exploding-gradients", "learning-rate-too-high", on="deep-relu lenet resnet",
       why="all add up, layer by layer, and all units say the same")  # fmt: skip
def only_positive_weights(parts: Parts) -> None:
    """`torch.rand` where `torch.randn` was meant, divided by the root of the fan-in."""
    again(parts, lambda weight: weight.uniform_(0, 2 / weight[0].numel() ** 0.5))
