"""Faults of the network: its start, its parts, the signal through it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts, Recurrent, small_lenet, small_resnet, stack
from torch import Tensor, nn

from faults import fault
from faults._surgery import LINEAR, again, on_inputs, on_targets, rows, swap, then, weighted

ACTIVATIONS = (nn.ReLU, nn.Tanh)


# The start


@fault("all-weights-zero", "symmetric-initialisation", on="mlp lenet regression autoencoder")
def all_weights_zero(parts: Parts) -> None:
    again(parts, lambda weight: weight.zero_())


@fault("all-weights-alike", "symmetric-initialisation", on="mlp regression binary")
def all_weights_alike(parts: Parts) -> None:
    again(parts, lambda weight: weight.fill_(0.05))


@fault(
    "all-filters-alike",
    "symmetric-initialisation",
    "duplicate-filters",
    on="lenet segmentation",
    why="filters that start alike stay alike: one fault by two names",
)
def all_filters_alike(parts: Parts) -> None:
    """One random filter, copied to every channel of every layer."""
    again(parts, lambda weight: weight.copy_(weight[:1].expand_as(weight).clone()))


@fault("hidden-layers-zero", "symmetric-initialisation", on="deep-tanh binary")
def hidden_layers_zero(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.weight.zero_()  # type: ignore[operator, union-attr]


@fault(
    "normal-of-deviation-one",
    "weights-too-large",
    "saturated-at-start",
    "initial-loss-off",
    on="deep-tanh deep-relu",
    why="what the weights do: they saturate tanh, and blow up the first loss of ReLU",
)
def normal_of_deviation_one(parts: Parts) -> None:
    again(parts, lambda weight: nn.init.normal_(weight, std=1.0))


@fault(
    "three-times-he",
    "weights-too-large",
    "exploding-gradients",
    on="deep-relu",
    why="forward and backward grow by the same gain",
)
def three_times_he(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model):
            each.weight.mul_(3)  # type: ignore[operator, union-attr]


@fault(
    "uniform-from-0-to-1",
    "weights-too-large",
    "initial-loss-off",
    on="mlp lenet",
    why="too large, and the first loss is off by as much",
)
def uniform_from_0_to_1(parts: Parts) -> None:
    """`torch.rand` where `torch.randn` times a factor was meant."""
    again(parts, lambda weight: nn.init.uniform_(weight))


@fault(
    "normal-of-a-hundredth",
    "weights-too-small",
    "vanishing-gradients",
    on="deep-relu deep-tanh autoencoder segmentation",
    why="forward and backward shrink by the same gain",
)
def normal_of_a_hundredth(parts: Parts) -> None:
    again(parts, lambda weight: nn.init.normal_(weight, std=0.01))


@fault(
    "saturated-tanh",
    "saturated-at-start",
    "weights-too-large",
    "saturation",
    on="deep-tanh",
    why="weights that are too large saturate the tanh from the start",
)
def saturated_tanh(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.weight.mul_(6)  # type: ignore[operator, union-attr]


@fault(
    "biases-far-below-zero",
    "dead-at-start",
    "dead-relu",
    on="mlp lenet deep-relu regression",
    why="dead at the start and later: the same units",
)
def biases_far_below_zero(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.bias.fill_(-8.0)  # type: ignore[operator, union-attr]


@fault(
    "sigmoid-units-at-minus-12",
    "dead-at-start",
    "saturated-at-start",
    "vanishing-gradients",
    on="autoencoder binary",
    why="a sigmoid far below zero is saturated, and lets no gradient through",
)
def sigmoid_units_at_minus_12(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Sigmoid())
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.bias.fill_(-12.0)  # type: ignore[operator, union-attr]


# The parts


@fault("no-activations", "missing-nonlinearity", on="regression binary autoencoder segmentation")
def no_activations(parts: Parts) -> None:
    swap(parts.model, ACTIVATIONS, lambda _: nn.Identity())


@fault("activations-built-and-not-called", "missing-nonlinearity", on="regression lenet mlp")
def activations_not_called(parts: Parts) -> None:
    """They are modules of the model, but its forward leaves them out."""

    class Chain(nn.Module):
        def __init__(self, layers: nn.Module) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: Tensor) -> Tensor:
            for each in self.layers.children():
                if not isinstance(each, ACTIVATIONS):
                    x = each(x)
            return x

    parts.model = Chain(parts.model)


@fault(
    "blocks-that-are-not-called",
    "unused-parameters",
    "missing-nonlinearity",
    on="regression binary",
    why="what is left when the hidden layers are not called is an affine map",
)
def blocks_that_are_not_called(parts: Parts) -> None:
    class Skips(nn.Module):
        def __init__(self, body: nn.Module, features: int, out: int) -> None:
            super().__init__()
            self.body = body
            self.head = nn.Linear(features, out)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x)

    layers = weighted(parts.model)
    parts.model = Skips(parts.model, layers[0].in_features, layers[-1].out_features)  # type: ignore[arg-type]


class Listed(nn.Module):
    """Hidden layers in a plain list: no module knows of them."""

    def __init__(self, hidden: list[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.hidden = hidden
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        for each in self.hidden:
            x = each(x)
        return self.head(x)


@fault("layers-in-a-plain-list", "unregistered-parameters", on="mlp lenet regression deep-tanh")
def layers_in_a_plain_list(parts: Parts) -> None:
    layers = list(parts.model.children())
    parts.model = Listed(layers[:-1], layers[-1])


@fault("all-but-the-head-frozen", "frozen-parameters", on="regression lenet binary deep-relu")
def all_but_the_head_frozen(parts: Parts) -> None:
    """Frozen for a test, and never thawed: nothing here was trained before."""
    for each in weighted(parts.model)[:-1]:
        each.requires_grad_(False)


@fault(
    "a-group-of-rate-zero",
    "frozen-parameters",
    "stale-optimizer",
    on="regression deep-tanh",
    why="a rate of 0 freezes; a group far apart from the others is a slip of the optimizer",
)
def a_group_of_rate_zero(parts: Parts) -> None:
    make, head = parts.optimizer, weighted(parts.model)[-1]

    def optimizer(_: object, rate: float) -> torch.optim.Optimizer:
        own = {id(each) for each in head.parameters()}
        rest = [each for each in parts.model.parameters() if id(each) not in own]
        groups = [{"params": rest, "lr": 0.0}, {"params": list(head.parameters()), "lr": rate}]
        return make(groups, rate)

    parts.optimizer = optimizer


@fault(
    "two-units-in-the-middle",
    "bottleneck",
    "too-little-capacity",
    on="mlp lenet autoencoder",
    why="a layer that is too narrow is too little capacity at one place",
)
def two_units_in_the_middle(parts: Parts) -> None:
    if parts.model[0].__class__ is nn.Sequential:  # type: ignore[index]
        parts.model = nn.Sequential(stack([64, 48, 1]), stack([1, 48, 64]), nn.Sigmoid())
        return
    head = weighted(parts.model)[-1]
    wide, out = head.in_features, head.out_features
    parts.model = nn.Sequential(
        *list(parts.model.children())[:-1],  # type: ignore[arg-type]
        nn.Linear(wide, 2),
        nn.ReLU(),
        nn.Linear(2, out),  # type: ignore[arg-type]
    )


@fault(
    "one-channel-between-blocks",
    "bottleneck",
    "too-little-capacity",
    on="resnet segmentation",
    why="a layer that is too narrow is too little capacity at one place",
)
def one_channel_between_blocks(parts: Parts) -> None:
    layers = list(parts.model.children())
    middle = 4
    wide = 12 if isinstance(layers[0], nn.Conv2d) and layers[0].out_channels == 12 else 16
    squeeze = nn.Sequential(
        nn.Conv2d(wide, 1, 3, stride=1, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(1, wide, 1),
    )
    parts.model = nn.Sequential(*layers[:middle], squeeze, *layers[middle:])


@fault(
    "three-units-a-layer",
    "too-little-capacity",
    "underfitting",
    "bottleneck",
    on="mlp regression deep-relu binary",
    why="too small to fit is underfitting by its cause; each layer is narrow too",
)
def three_units_a_layer(parts: Parts) -> None:
    layers = weighted(parts.model)
    widths = [layers[0].in_features, *[3] * (len(layers) - 1), layers[-1].out_features]
    parts.model = stack(widths)  # type: ignore[arg-type]


@fault(
    "a-wide-network-on-forty-rows",
    "too-much-capacity",
    "overfitting",
    on="regression binary",
    why="too many parameters for the samples, which shows as overfitting",
)
def a_wide_network_on_forty_rows(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(40))
    wide = [weighted(parts.model)[0].in_features, 512, 512, weighted(parts.model)[-1].out_features]
    parts.model = stack(wide)  # type: ignore[arg-type]
    parts.epochs *= 6
    parts.batch = 20


# Batch norm


@fault("batch-norm-in-batches-of-two", "batchnorm-small-batch", on="bn-mlp resnet")
def batch_norm_in_batches_of_two(parts: Parts) -> None:
    parts.batch = 2
    parts.train = rows(parts.train, torch.arange(480))
    parts.epochs = 3


@fault("running-statistics-that-never-arrive", "batchnorm-bad-momentum", on="bn-mlp resnet")
def running_statistics_never_arrive(parts: Parts) -> None:
    """0.9999 was meant as the share that is kept, as in other frameworks."""
    for each in parts.model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.momentum = 1e-4


@fault("running-statistics-of-the-last-batch", "batchnorm-bad-momentum", on="bn-mlp resnet")
def running_statistics_of_the_last_batch(parts: Parts) -> None:
    for each in parts.model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.momentum = 1.0
    parts.batch = 6
    parts.epochs = 4


@fault("dropout-before-batch-norm", "dropout-before-batchnorm", on="bn-mlp mlp")
def dropout_before_batch_norm(parts: Parts) -> None:
    parts.model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(0.7),
        nn.BatchNorm1d(64),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(0.7),
        nn.BatchNorm1d(64),
        nn.Linear(64, 10),
    )


@fault("logits-normalised", "batchnorm-on-output", on="mlp lenet resnet")
def logits_normalised(parts: Parts) -> None:
    then(parts, nn.BatchNorm1d(10, affine=False))


@fault("targets-predicted-by-a-norm", "batchnorm-on-output", on="regression")
def targets_predicted_by_a_norm(parts: Parts) -> None:
    on_targets(parts, lambda y: 4 * y + 3)
    then(parts, nn.BatchNorm1d(3, affine=False))


@fault(
    "output-times-zero",
    "constant-output",
    "loss-ignores-parameters",
    "dead-at-start",
    on="mlp regression",
    why="a factor of 0 makes the output constant and cuts every gradient",
)
def output_times_zero(parts: Parts) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("share", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.share * x

    then(parts, Gate())


@fault(
    "everything-pooled-away",
    "constant-output",
    "bottleneck",
    "batch-mixing",
    on="lenet",
    why="a mean over batch and pixels leaves one row for all: constant, and mixed",
)
def everything_pooled_away(parts: Parts) -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(0, keepdim=True).expand_as(x)

    layers = list(parts.model.children())
    parts.model = nn.Sequential(*layers[:-1], Mean(), layers[-1])


# The signal


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


@fault("log-of-zero", "nonfinite", on="mlp binary segmentation")
def log_of_zero(parts: Parts) -> None:
    """The cross-entropy written out: a confident wrong answer is log 0, minus infinity."""
    binary = parts.train[1].is_floating_point()

    def loss(output: Tensor, y: Tensor) -> Tensor:
        if binary:
            p = (20 * output).sigmoid()
            return -(y * p.log() + (1 - y) * (1 - p).log()).mean()
        p = (40 * output).softmax(1)
        return -p.gather(1, y[:, None]).log().mean()

    parts.loss = loss


@fault("root-of-zero", "nonfinite", on="autoencoder regression")
def root_of_zero(parts: Parts) -> None:
    """The gradient of a root at 0 is infinite: one pixel that is right makes a NaN."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        error = (output - y) * ((output - y).abs() > 0.02)
        return error.square().sqrt().mean()

    parts.loss = loss


@fault(
    "zero-by-zero",
    "nonfinite",
    "nonfinite-input",
    on="regression mlp",
    why="a row of zeros is normalised inside the model; the input is finite, yet its cause",
)
def zero_by_zero(parts: Parts) -> None:
    class Unit(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[5] = 0
        return x

    on_inputs(parts, change, "train")
    parts.model = nn.Sequential(Unit(), parts.model)


@fault(
    "half-precision-overflow",
    "nonfinite",
    "mixed-precision-trouble",
    on="regression",
    why="an overflow is not finite, and comes of half precision",
)
def half_precision_overflow(parts: Parts) -> None:
    """Activations pass through half precision at a scale of 30,000: above 2.2 they are infinite,
    and the next layer subtracts infinity from infinity."""

    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (30_000 * x).half().float() / 30_000

    layers = list(parts.model.children())
    parts.model = nn.Sequential(*layers[:3], Half(), *layers[3:])


@fault(
    "a-scale-that-grows-with-each-call",
    "internal-drift",
    "exploding-gradients",
    "divergence",
    "nonfinite",
    on="mlp gru",
    why="the drift ends in overflow; which of its ends is seen depends on when one looks",
)
def a_scale_that_grows(parts: Parts) -> None:
    """A buffer that is updated in the wrong direction."""

    class Drifts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.scale *= 1.03
            return x * self.scale

    if isinstance(parts.model, Recurrent):
        parts.model.head = nn.Sequential(Drifts(), parts.model.head)
    else:
        layers = list(parts.model.children())
        parts.model = nn.Sequential(*layers[:3], Drifts(), *layers[3:])


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
    "exponential-without-a-bound",
    "nonfinite",
    "exploding-gradients",
    "learning-rate-too-high",
    "output-activation-mismatch",
    on="regression autoencoder",
    why="exp overflows soon after its gradient explodes; a smaller rate would not reach it; a "
    "sigmoid of what is above -1 cannot come under 0.27",
)
def exponential_without_a_bound(parts: Parts) -> None:
    class Exp(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (12 * x).exp() - 1

    layers = list(parts.model.children())
    parts.model = nn.Sequential(*layers[:-1], Exp(), layers[-1])


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
        parts.model.cell = Cut(parts.model.cell)  # type: ignore[assignment]
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
