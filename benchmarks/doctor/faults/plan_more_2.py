"""Still more faults of rate, plan and loop: other optimizers, plans begun anew, gradients changed
by hand; and pairs of these with faults of data and output."""

from __future__ import annotations

import torch
from setups import Parts, Training, validate
from torch import nn
from torch.optim import SGD, Adadelta, Adagrad, Optimizer, Rprop
from torch.optim.lr_scheduler import CyclicLR, ExponentialLR, LambdaLR

from faults import data_faults, fault, output, pair, plan_more
from faults._surgery import draws, rows, then

JOINED = (data_faults, output, plan_more)

HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients")
LOW = ("learning-rate-too-low", "slow-convergence", "stopped-early")
WHY_HIGH = "what too high a rate does: the loss diverges or swings, units die"
WHY_LOW = "too low a rate is slow, and stops before it has arrived"


def changed(parts: Parts, change: object) -> None:
    """The loop, with something done to the gradients before each step."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                change(model)
                optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "a-schedule-made-anew-each-epoch",
    "scheduler-misuse",
    *LOW,
    on="transformer mlp regression",
    why="its warm-up begins again each time and is never over: the rate stays too low",
)
def schedule_anew(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] = parts.rate
        for _ in range(parts.epochs):
            schedule = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 5000))
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
                schedule.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "all-gradients-scaled-down-by-hand",
    *LOW,
    "clipping-every-step",
    on="mlp resnet deep-tanh",
    why="what is left of each gradient is too little at this rate",
)
def scaled_down(parts: Parts) -> None:
    def change(model: nn.Module) -> None:
        for each in model.parameters():
            if each.grad is not None:
                each.grad.mul_(2e-4)

    changed(parts, change)


@fault(
    "logits-dropped-out",
    "over-regularised",
    "underfitting",
    on="gru deep-relu binary",
    why="dropout of nearly all logits: each step learns for another network, and it underfits",
)
def logits_dropped(parts: Parts) -> None:
    then(parts, nn.Dropout(0.95))


@fault(
    "noise-on-every-gradient",
    "noisy-gradients",
    *HIGH,
    "oscillating-loss",
    "internal-drift",
    on="mlp lenet regression",
    why="the noise outweighs the gradient: at this rate the weights walk at random",
)
def noise_on_gradients(parts: Parts) -> None:
    generator = draws(parts)

    def change(model: nn.Module) -> None:
        for each in model.parameters():
            if each.grad is not None:
                each.grad.add_(torch.randn(each.shape, generator=generator), alpha=0.5)

    changed(parts, change)


@fault(
    "batches-of-two",
    "noisy-gradients",
    *HIGH,
    "oscillating-loss",
    "dead-relu",
    on="deep-tanh mlp resnet",
    why="noise that the rate does not average out: a smaller rate would do too",
)
def batches_of_two(parts: Parts) -> None:
    parts.batch, parts.epochs, parts.schedule, parts.rate = 2, 2, None, parts.rate * 2
    parts.train = rows(parts.train, torch.arange(600))


@fault(
    "accumulated-and-cleared-each-batch",
    "optimizer-never-steps",
    *LOW,
    "wasteful-batch",
    on="mlp lenet transformer",
    why="seven of eight gradients are thrown away: an eighth of the steps, each of one batch",
)
def accumulated_and_cleared(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for number, (x, y) in enumerate(training.train):
                optimizer.zero_grad()
                loss = parts.loss(model(x), y) / 8
                loss.backward()
                if number % 8 == 7:
                    optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "all-the-first-checkpoint-loaded-each-epoch",
    "nondeterministic-restart",
    "loss-spike",
    "divergence",
    on="resnet deep-relu binary",
    why="what was learned is gone at each epoch: the loss leaps to the beginning",
)
def first_checkpoint(parts: Parts) -> None:
    """The best checkpoint is to be loaded, and nobody ever writes a second one."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        kept = {name: each.clone() for name, each in model.state_dict().items()}
        for _ in range(parts.epochs):
            model.load_state_dict(kept)
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "a-range-test-left-in",
    "scheduler-misuse",
    *HIGH,
    "nonfinite",
    "oscillating-loss",
    "dead-relu",
    on="lenet bn-mlp gru",
    why="the rate grows from nothing to far too high until the run ends",
)
def range_test(parts: Parts) -> None:
    def make(optimizer: Optimizer, epochs: int, steps: int) -> object:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] = 1e-6
        return ExponentialLR(optimizer, 1e7 ** (1 / (epochs * steps)))

    parts.schedule, parts.schedule_every, parts.clip = make, "step", None


@fault(
    "all-cycles-up-to-a-rate-far-too-high",
    *HIGH,
    "scheduler-misuse",
    "oscillating-loss",
    "loss-spike",
    "nonfinite",
    "dead-relu",
    on="mlp deep-tanh autoencoder",
    why=WHY_HIGH + ", each time the cycle comes to its peak",
)
def cycles_too_high(parts: Parts) -> None:
    parts.schedule_every = "step"
    parts.schedule = lambda optimizer, epochs, steps: CyclicLR(
        optimizer, parts.rate, parts.rate * 60, step_size_up=12, cycle_momentum=False
    )


@fault(
    "all-momentum-damped-away",
    *LOW,
    "weak-optimizer",
    on="mlp resnet deep-tanh",
    why="damping takes all but a thousandth of each gradient: too short steps, a weak optimizer",
)
def damped_away(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: SGD(weights, lr=rate, momentum=0.9, dampening=0.999)


@fault(
    "adadelta-at-a-rate-of-adam",
    *LOW,
    "weak-optimizer",
    on="lenet regression gru",
    why="Adadelta wants a rate of about 1: with one of Adam's the steps are far too short",
)
def adadelta(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: Adadelta(weights, lr=1e-3)


@fault(
    "adagrad-at-a-rate-of-adam",
    *LOW,
    "weak-optimizer",
    on="deep-relu segmentation transformer",
    why="its steps shrink with their number: too short ones, by a weak optimizer for this rate",
)
def adagrad(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: Adagrad(weights, lr=3e-4)


@fault(
    "the-rprop-on-batches",
    "weak-optimizer",
    *HIGH,
    "noisy-gradients",
    "oscillating-loss",
    on="mlp lenet gru",
    why="it goes by the signs of whole-set gradients: on batches its steps follow chance",
)
def rprop(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: Rprop(weights, lr=1e-2)
    parts.clip = None


@fault(
    "biases-trained-and-nothing-else",
    "stale-optimizer",
    "frozen-parameters",
    on="mlp lenet regression",
    why="trainable weights that no optimizer holds: forgotten, or frozen by the way it is written",
)
def biases_only(parts: Parts) -> None:
    make = parts.optimizer
    parts.optimizer = lambda weights, rate: make([each for each in weights if each.ndim == 1], rate)


@fault(
    "a-few-samples-for-long",
    "overfitting",
    "too-much-capacity",
    on="lenet autoencoder segmentation",
    why="few rows and many epochs: overfitting, by too much capacity for them",
)
def few_for_long(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(24))
    parts.batch, parts.schedule = 12, None
    parts.epochs *= 6


pair("pixels-times-255", "step-ahead-of-backward", on="mlp deep-relu")
pair("softmax-in-the-model", "lambda-that-returns-the-rate", on="gru lenet")
pair("features-far-from-zero", "step-after-the-loop", on="regression gru")
pair("labels-of-other-rows", "the-sum-and-not-the-mean", on="mlp")
pair("softmax-in-the-model", "values-clipped-to-a-millionth", on="mlp")
