"""Faults of the signal: it fades, explodes, saturates, is cut off."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import ACTIVATIONS, LINEAR, on_inputs, swap
from networks import Recurrent, small_lenet, small_resnet


@fault(
    "deep-sigmoids",
    "vanishing-gradients",
    "saturated-at-start",
    on="deep-tanh deep-relu",
    why="each sigmoid passes at most a quarter of the gradient on, as a saturated unit does",
)
def deep_sigmoids(parts: Parts) -> None:
    swap(parts.model, ACTIVATIONS, lambda _: nn.Sigmoid())
    for each in parts.model.modules():
        if isinstance(each, LINEAR):
            each.reset_parameters()


@fault(
    "a-recurrent-weight-that-explodes",
    "exploding-gradients",
    "weights-too-large",
    on="gru",
    why="the recurrent weight is too large, so that the gradient explodes in time",
)
def a_recurrent_weight_that_explodes(parts: Parts) -> None:
    """A plain recurrent cell with ReLU whose state doubles in each step; no clipping."""
    parts.clip = None
    parts.model.cell = nn.RNN(2, 24, batch_first=True, nonlinearity="relu")
    parts.optimizer = lambda weights, rate: torch.optim.SGD(weights, lr=0.01, momentum=0.9)
    with torch.no_grad():
        parts.model.cell.weight_hh_l0.copy_(1.6 * torch.eye(24))


@fault(
    "a-residual-path-that-doubles",
    "exploding-gradients",
    "weights-too-large",
    "initial-loss-off",
    on="deep-relu",
    why="without a norm each block doubles the signal: too large, backward as forward",
)
def a_residual_path_that_doubles(parts: Parts) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(40, 40)
            nn.init.normal_(self.inner.weight, std=0.3)

        def forward(self, x: Tensor) -> Tensor:
            return x + F.relu(self.inner(x))

    parts.model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 40), *[Block() for _ in range(14)], nn.Linear(40, 10)
    )
    parts.optimizer = lambda weights, rate: torch.optim.SGD(weights, lr=0.02, momentum=0.9)


@fault(
    "killed-by-a-large-rate",
    "dead-relu",
    "learning-rate-too-high",
    on="mlp lenet regression",
    why="the rate throws the biases so low that no unit answers any more",
)
def killed_by_a_large_rate(parts: Parts) -> None:
    parts.rate *= 60


@fault(
    "killed-by-the-first-steps",
    "dead-relu",
    "dead-at-start",
    "learning-rate-too-high",
    on="deep-relu mlp",
    why="one bad step at the start, and the units are dead; its rate is what was too high",
)
def one_bad_step(parts: Parts) -> None:
    """A first step a thousand times too large, as by a warm-up that is upside down."""
    parts.schedule = lambda optimizer, epochs, steps: torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 400.0 if step < 2 else 1.0
    )
    parts.schedule_every = "step"


@fault(
    "inputs-that-saturate",
    "unscaled-input",
    "saturated-at-start",
    "saturation",
    on="deep-tanh",
    why="inputs that are too large saturate the first tanh",
)
def inputs_that_saturate(parts: Parts) -> None:
    on_inputs(parts, lambda x: 150 * x - 40)


@fault(
    "most-filters-cut-off",
    "dead-filters",
    "dead-relu",
    "dead-at-start",
    on="lenet resnet",
    why="filters without a response are dead units of a convolution",
)
def most_filters_cut_off(parts: Parts) -> None:
    """A mask of an older pruning is still applied: all but one filter of each layer."""

    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            keep = torch.zeros(x.shape[1])
            keep[0] = 1
            return x * keep[:, None, None]

    model = small_lenet() if len(list(parts.model.children())) == 9 else small_resnet()
    layers = list(model.children())
    at = 2 if isinstance(layers[1], nn.ReLU) else 3
    parts.model = nn.Sequential(*layers[:at], Masked(), *layers[at:])


@fault(
    "embedding-frozen-by-no-grad",
    "detached-graph",
    "loss-ignores-parameters",
    "unused-parameters",
    on="transformer gru lenet",
    why="no_grad in the forward pass: parameters before it get no gradient, by each name",
)
def part_under_no_grad(parts: Parts) -> None:
    class Cut(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> object:
            with torch.no_grad():
                return self.inner(x)

    if isinstance(parts.model, Recurrent):
        parts.model.cell = Cut(parts.model.cell)
    elif isinstance(parts.model, nn.Sequential):
        layers = list(parts.model.children())
        parts.model = nn.Sequential(Cut(nn.Sequential(*layers[:-1])), layers[-1])
    else:
        parts.model.embed = Cut(parts.model.embed)
        parts.model.encoder = Cut(parts.model.encoder)


@fault(
    "features-detached",
    "detached-graph",
    "loss-ignores-parameters",
    "unused-parameters",
    on="regression deep-tanh autoencoder",
    why="a detach in the forward pass: parameters before it get no gradient, by each name",
)
def features_detached(parts: Parts) -> None:
    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach()

    layers = list(parts.model.children())
    parts.model = nn.Sequential(*layers[:-2], Detached(), *layers[-2:])
