"""How the training goes is wrong: slips as people make them in their own loops."""

from __future__ import annotations

import torch
from setups import Parts, Training, right, validate
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_
from torch.optim import SGD, Adam, RMSprop
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from faults import fault
from faults._surgery import rows, weighted

HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients")
LOW = ("learning-rate-too-low", "slow-convergence", "stopped-early")
WHY_HIGH = "what too high a rate does: the loss diverges or swings, units die"
WHY_LOW = "too low a rate is slow, and stops before it has arrived"


@fault(
    "adam-at-the-rate-of-sgd",
    *HIGH,
    "oscillating-loss",
    "dead-relu",
    on="resnet deep-tanh transformer",
    why=WHY_HIGH,
)
def adam_at_the_rate_of_sgd(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: Adam(weights, lr=0.2)


@fault(
    "sgd-at-an-adam-rate",
    *LOW,
    "weak-optimizer",
    on="lenet autoencoder segmentation",
    why="the rate that suits Adam is too low for plain SGD, which is the weaker of the two",
)
def plain_sgd_at_the_rate_of_adam(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: SGD(weights, lr=rate)


@fault(
    "rmsprop-with-much-momentum",
    *HIGH,
    "oscillating-loss",
    "weak-optimizer",
    "dead-relu",
    on="gru mlp autoencoder",
    why="a momentum of 0.99 makes the rate a hundred times what is set: it swings or diverges",
)
def rmsprop_with_much_momentum(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: RMSprop(weights, lr=5e-3, momentum=0.99)
    parts.clip = None


@fault(
    "plateau-schedule-fed-the-score",
    "scheduler-misuse",
    *LOW,
    "loss-plateau",
    on="mlp lenet gru",
    why="it lowers the rate while the score gets better: the plan is misread, the rate goes",
)
def plateau_fed_the_score(parts: Parts) -> None:
    """A schedule that waits for a minimum is given the accuracy, after every ten batches."""
    parts.schedule = None

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        schedule = ReduceLROnPlateau(optimizer, patience=0, factor=0.2)
        for _ in range(parts.epochs):
            model.train()
            for number, (x, y) in enumerate(training.train):
                optimizer.zero_grad()
                output = model(x)
                loss = parts.loss(output, y)
                loss.backward()
                optimizer.step()
                if number % 3 == 2:
                    schedule.step(float(right(output, y)) / len(y))
            validate(training)

    parts.loop = loop


@fault(
    "rate-lowered-by-hand-in-the-batch-loop",
    "scheduler-misuse",
    *LOW,
    "loss-plateau",
    on="deep-tanh regression gru",
    why="meant for epochs, done for batches: the rate is gone at once",
)
def lowered_by_hand(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
                for group in optimizer.param_groups:
                    group["lr"] *= 0.8
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "lambda-that-returns-the-rate",
    "scheduler-misuse",
    *LOW,
    on="regression gru lenet",
    why="the function is to return a factor and returns a rate: the product is far too low",
)
def lambda_returns_the_rate(parts: Parts) -> None:
    rate = parts.rate
    parts.schedule_every = "epoch"
    parts.schedule = lambda optimizer, epochs, steps: LambdaLR(
        optimizer, lambda epoch: rate * 0.97**epoch
    )


@fault(
    "all-weights-in-the-loss",
    "over-regularised",
    "underfitting",
    on="mlp lenet regression",
    why="a penalty of L1 many times the loss keeps every weight at zero: it underfits",
)
def sum_of_weights(parts: Parts) -> None:
    inner = parts.loss
    weights = [each.weight for each in weighted(parts.model)]

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return inner(output, target) + 0.05 * sum(each.abs().sum() for each in weights)

    parts.loss = loss


@fault(
    "a-decay-of-a-half-in-adam",
    "over-regularised",
    "underfitting",
    on="lenet regression autoencoder",
    why="decay as strong as the gradient: it underfits",
)
def decay_in_adam(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: Adam(weights, lr=rate, weight_decay=0.5)


@fault(
    "values-clipped-to-a-millionth",
    "clipping-every-step",
    "learning-rate-too-low",
    on="mlp deep-tanh resnet",
    why="what is left of each gradient makes steps of next to nothing",
)
def values_clipped(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                clip_grad_value_(model.parameters(), 1e-6)
                optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "divided-by-the-size-of-the-set",
    *LOW,
    on="mlp deep-tanh resnet",
    why=WHY_LOW,
)
def divided_by_the_size(parts: Parts) -> None:
    """A mean over the batch, divided by the number of samples once more."""
    inner, count = parts.loss, len(parts.train[0])
    parts.loss = lambda output, target: inner(output, target) / count


@fault(
    "the-sum-and-not-the-mean",
    *HIGH,
    "nonfinite",
    "oscillating-loss",
    "dead-relu",
    on="mlp deep-tanh resnet",
    why=WHY_HIGH + "; the sum is the mean at 64 times the rate",
)
def summed(parts: Parts) -> None:
    inner = parts.loss
    parts.loss = lambda output, target: inner(output, target) * len(target)


@fault(
    "sixteen-batches-added-up",
    *HIGH,
    "nonfinite",
    "oscillating-loss",
    "dead-relu",
    on="mlp deep-tanh resnet",
    why=WHY_HIGH + "; the sum of sixteen gradients is their mean at sixteen times the rate",
)
def sixteen_added_up(parts: Parts) -> None:
    parts.batch, parts.rate = 16, parts.rate * 3

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for number, (x, y) in enumerate(training.train):
                loss = parts.loss(model(x), y)
                loss.backward()
                if number % 16 == 15:
                    optimizer.step()
                    optimizer.zero_grad()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "step-after-the-loop",
    "optimizer-never-steps",
    "weights-do-not-change",
    *LOW,
    "wasteful-batch",
    on="mlp lenet gru regression",
    why="one step an epoch, all but the last gradient thrown away: it is slow, and ends too soon",
)
def step_outside(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
            optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "step-ahead-of-backward",
    "weights-do-not-change",
    "optimizer-never-steps",
    on="deep-relu binary gru",
    why="every step finds no gradient: it changes nothing, as if it had not been taken",
)
def step_ahead(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                optimizer.step()
                loss.backward()
            validate(training)

    parts.loop = loop


@fault(
    "weights-drawn-anew-each-epoch",
    "nondeterministic-restart",
    "loss-spike",
    "divergence",
    on="mlp gru lenet",
    why="what was learned is gone at each epoch: the loss leaps to the beginning",
)
def drawn_anew(parts: Parts) -> None:
    """The function that builds the epoch calls the one that resets the weights."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            for each in model.modules():
                if hasattr(each, "reset_parameters"):
                    each.reset_parameters()
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault("looked-in-and-stayed-in-evaluation", "wrong-mode", on="bn-mlp resnet")
def looked_in(parts: Parts) -> None:
    """A look at the validation data every five steps, after which nobody calls train()."""

    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        seen = 0
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
                seen += 1
                if seen % 3 == 0:
                    model.eval()
                    with torch.no_grad():
                        for a, _ in training.val:
                            model(a)
            validate(training)

    parts.loop, parts.schedule = loop, None


@fault(
    "a-body-under-no-grad",
    "detached-graph",
    "loss-ignores-parameters",
    "unused-parameters",
    "frozen-parameters",
    on="lenet deep-relu deep-tanh",
    why="the features come without a graph: the body gets no gradient, as if it were frozen",
)
def body_under_no_grad(parts: Parts) -> None:
    class Frozen(nn.Module):
        def __init__(self, layers: nn.Sequential) -> None:
            super().__init__()
            self.body, self.head = layers[:-1], layers[-1]

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                features = self.body(x)
            return self.head(features)

    assert isinstance(parts.model, nn.Sequential)
    parts.model = Frozen(parts.model)


@fault(
    "a-handful-of-samples",
    "overfitting",
    "too-much-capacity",
    on="binary regression gru",
    why="few rows and many epochs: overfitting, by too much capacity for them",
)
def a_handful(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(48))
    parts.batch, parts.schedule = 24, None
    parts.epochs *= 12


@fault("right-answers-over-the-training-set", "metric-misread", on="mlp gru", hurts="honesty")
def over_the_training_set(parts: Parts) -> None:
    def loop(training: Training) -> None:
        model, optimizer = training.model, training.optimizer
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                optimizer.step()
            model.eval()
            found = 0
            with torch.no_grad():
                for x, y in training.val:
                    output = model(x)
                    parts.loss(output, y).item()
                    found += int((output.argmax(1) == y).sum())
            training.reported.append(found / len(training.train.dataset))

    parts.loop = loop


@fault(
    "weights-in-bfloat16",
    "mixed-precision-trouble",
    "weights-do-not-change",
    "learning-rate-too-low",
    on="deep-relu lenet",
    why="steps are smaller than half a unit in the last place of the weights, and are rounded off",
)
def weights_in_bfloat16(parts: Parts) -> None:
    """Everything in bfloat16, at a rate of one in ten thousand."""
    inner = parts.model.to(torch.bfloat16)

    class Rounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.bfloat16()).float()

    parts.model = Rounded()
    parts.optimizer = lambda weights, _: SGD(weights, lr=2e-3, momentum=0.9)
