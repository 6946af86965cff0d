"""Layers that run and are not heard, that are not trained, or that might as well not be there."""

from __future__ import annotations

from typing import Any

import torch
from setups import Parts, Training, stack, validate
from torch import Tensor, nn

from faults import fault
from faults._surgery import ACTIVATIONS, LINEAR, swap, weighted


class Forgetful(nn.Module):
    """A block that computes and hands on what it was given."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return x


class Hidden:
    """Keeps a module where `nn.Module` does not look for it."""

    def __init__(self, module: nn.Module) -> None:
        self.run = lambda x: module(x)


class Outside(nn.Module):
    """A model whose body lives in a function."""

    def __init__(self, body: Hidden, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body.run(x))


class Scaled(nn.Module):
    """A linear layer whose weight is a parameter times a number: no parameter any more."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach() * 10) * 0.1
        self.bias = nn.Parameter(layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


class Wide(nn.Module):
    """tanh, so far stretched that only its straight middle is used."""

    def forward(self, x: Tensor) -> Tensor:
        return 1000 * torch.tanh(x / 1000)


class LastInput(nn.Module):
    """A recurrent model whose head reads the input where the state was meant."""

    def __init__(self, old: Any) -> None:
        super().__init__()
        self.cell = old.cell
        self.head = nn.Linear(2, old.head.out_features)

    def forward(self, steps: Tensor) -> Tensor:
        self.cell(steps)
        return self.head(steps[:, -1])


@fault("a-tanh-stretched-straight", "missing-nonlinearity", on="regression binary segmentation")
def a_tanh_stretched_straight(parts: Parts) -> None:
    """Activations clipped softly, at a thousand."""
    swap(parts.model, ACTIVATIONS, lambda _: Wide())


@fault("an-activation-called-none", "missing-nonlinearity", on="binary autoencoder")
def an_activation_called_none(parts: Parts) -> None:
    """`{"relu": nn.ReLU, None: nn.Identity}[config.get("activation")]`."""
    swap(parts.model, ACTIVATIONS, lambda _: nn.Identity())


@fault("one-activation-for-eight-layers", "missing-nonlinearity", "too-little-capacity",
       "bottleneck", "underfitting", on="regression binary",
       why="of eight linear layers seven are one: four units are all that bends")  # fmt: skip
def one_activation_for_eight_layers(parts: Parts) -> None:
    """Linear layers in a row, and one activation within."""
    into, out = weighted(parts.model)[0].in_features, weighted(parts.model)[-1].out_features
    straight = [nn.Linear(into, 32), nn.Linear(32, 32), nn.Linear(32, 4)]
    after = [nn.Linear(4, 32), nn.Linear(32, 32), nn.Linear(32, out)]
    parts.model = nn.Sequential(*straight, nn.ReLU(), *after)


@fault("blocks-that-hand-on-their-input", "unused-parameters", "missing-nonlinearity",
       on="regression binary",
       why="parameters that nothing comes of; what is left is linear")  # fmt: skip
def blocks_that_hand_on_their_input(parts: Parts) -> None:
    """`self.inner(x)` where `x = x + self.inner(x)` was meant."""
    first, last = weighted(parts.model)[0], weighted(parts.model)[-1]
    width = first.out_features
    blocks = [Forgetful(nn.Sequential(nn.Linear(width, width), nn.ReLU())) for _ in range(3)]
    parts.model = nn.Sequential(first, *blocks, nn.Linear(width, last.out_features))


@fault("head-on-the-input", "unused-parameters", "too-little-capacity", "bottleneck",
       on="gru", why="the cell runs and nothing reads it; two numbers are too little")  # fmt: skip
def head_on_the_input(parts: Parts) -> None:
    parts.model = LastInput(parts.model)


@fault("a-body-within-a-function", "unregistered-parameters", on="mlp lenet")
def a_body_within_a_function(parts: Parts) -> None:
    body = parts.model[:-1]
    for each in weighted(body):
        nn.init.normal_(each.weight, std=0.02)
    parts.model = Outside(Hidden(body), parts.model[-1])


@fault("a-parameter-times-a-tenth", "unregistered-parameters", on="regression binary mlp")
def a_parameter_times_a_tenth(parts: Parts) -> None:
    """`self.weight = nn.Parameter(torch.randn(n, m)) * 0.1`."""
    swap(parts.model, nn.Linear, Scaled)


@fault("an-unfreezing-that-never-comes", "frozen-parameters", on="resnet gru deep-tanh")
def an_unfreezing_that_never_comes(parts: Parts) -> None:
    """The body waits for an epoch that is not among those of the run."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        body = list(model.parameters())[:-2]
        for epoch in range(1, parts.epochs + 1):
            for each in body:
                each.requires_grad_(epoch > 30)
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            validate(training)

    for each in weighted(parts.model)[:-1]:
        nn.init.normal_(each.weight, std=0.02)
    parts.loop, parts.schedule = loop, None


@fault("weights-frozen-and-biases-not", "frozen-parameters", on="transformer autoencoder mlp")
def weights_frozen_and_biases_not(parts: Parts) -> None:
    """`requires_grad = "bias" in name`, from a recipe for fine-tuning."""
    for name, each in parts.model.named_parameters():
        each.requires_grad_("bias" in name)


@fault("all-but-the-last-two-detached", "detached-graph", "frozen-parameters",
       "unused-parameters", "loss-ignores-parameters", on="segmentation deep-relu autoencoder",
       why="no gradient comes to what lies before: it stays as if it were frozen")  # fmt: skip
def all_but_the_last_two_detached(parts: Parts) -> None:
    """Features computed under `torch.no_grad()`, as of a trained extractor; it is not trained."""
    layers = [each for each in parts.model.modules() if isinstance(each, LINEAR)]
    for each in layers[: len(layers) - 1]:
        nn.init.normal_(each.weight, std=0.02)
    inner = layers[-2]
    inner.register_forward_hook(lambda module, given, out: out.detach())


@fault("each-layer-given-the-input", "unused-parameters", "missing-nonlinearity",
       "too-little-capacity", on="regression binary",
       why="each takes the network's input: only the last counts, a linear one")  # fmt: skip
def each_layer_given_the_input(parts: Parts) -> None:
    """`for layer in self.layers: out = layer(x)`."""

    class Loop(nn.Module):
        def __init__(self, into: int, out: int) -> None:
            super().__init__()
            self.layers = nn.ModuleList([stack([into, 48]) for _ in range(4)])
            self.head = nn.Linear(48, out)

        def forward(self, x: Tensor) -> Tensor:
            kept = x
            for layer in self.layers:
                kept = layer(x)
            return self.head(kept)

    layers = weighted(parts.model)
    parts.model = Loop(layers[0].in_features, layers[-1].out_features)
