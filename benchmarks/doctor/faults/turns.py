"""Lines of a loop that are not what they look like: modes, scores, steps, what is kept."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from setups import Parts, Training, validate
from torch import Tensor, nn

from faults import fault
from faults._surgery import swap
from faults._turns import a_step, looped

# Modes


class Always(nn.Module):
    """Dropout by the function, whose `training` is true where nobody gives it."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5)


@fault("dropout-by-the-function", "wrong-mode", on="mlp binary")
def dropout_by_the_function(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Sequential(nn.ReLU(), Always()))


@fault("norms-set-to-evaluation", "wrong-mode", on="resnet bn-mlp")
def norms_in_evaluation(parts: Parts) -> None:
    """A recipe of fine-tuning, on a network that was never trained."""

    def begin(training: Training, _: int) -> None:
        training.model.train()
        for each in training.model.modules():
            if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
                each.eval()

    parts.rate *= 3
    looped(parts, begin=begin)


@fault("no-eval-before-the-score", "wrong-mode", on="bn-mlp transformer", hurts="honesty")
def no_eval(parts: Parts) -> None:
    """A score in training mode, with a strong dropout."""
    swap(parts.model, nn.Dropout, lambda _: nn.Dropout(0.6))

    def end(training: Training) -> None:
        right = 0
        with torch.no_grad():
            for x, y in training.val:
                right += int((training.model(x).argmax(1) == y).sum())
        training.reported.append(right / len(parts.val[1]))

    looped(parts, end=end)


# Scores

MISREAD = "metric-misread"


def scored(parts: Parts, share: object) -> None:
    """A validation whose score is `share(outputs, targets)` of all, or of each batch."""

    def end(training: Training) -> None:
        training.model.eval()
        with torch.no_grad():
            shares = [float(share(training.model(x), y)) for x, y in training.val]
        training.reported.append(sum(shares) / len(shares))

    looped(parts, end=end)


@fault("answers-against-a-column", MISREAD, on="binary", hurts="honesty")
def row_against_column(parts: Parts) -> None:
    scored(parts, lambda output, y: ((output.squeeze(1) > 0).float() == y).float().mean())


@fault("the-argmax-of-one-logit", MISREAD, on="binary segmentation", hurts="honesty")
def argmax_of_one(parts: Parts) -> None:
    scored(parts, lambda output, y: (output.argmax(1, keepdim=True) == y).float().mean())


@fault("the-last-batch-only", MISREAD, on="mlp gru", hurts="honesty")
def last_batch_only(parts: Parts) -> None:
    """The line that adds up stands outside the loop; the last batch is a small one."""
    parts.val = tuple(each[: parts.batch * 3 + 3] for each in parts.val)
    parts.epochs = 3

    def end(training: Training) -> None:
        training.model.eval()
        with torch.no_grad():
            for x, y in training.val:
                output = training.model(x)
                right = (output.argmax(1) == y).float().mean()
        training.reported.append(float(right))

    looped(parts, end=end)


@fault("a-count-that-is-never-reset", MISREAD, on="lenet transformer", hurts="honesty")
def never_reset(parts: Parts) -> None:
    counts = [0, 0]

    def end(training: Training) -> None:
        training.model.eval()
        with torch.no_grad():
            for x, y in training.val:
                counts[0] += int((training.model(x).argmax(1) == y).sum())
                counts[1] += len(y)
        training.reported.append(counts[0] / counts[1])

    looped(parts, end=end)


# Steps

TWICE = "double-backward-or-step"


@fault(
    "one-step-for-each-group",
    TWICE,
    "learning-rate-too-high",
    "divergence",
    on="mlp regression",
    why="each gradient is stepped on six times: as if the rate were that much higher",
)
def step_for_each_group(parts: Parts) -> None:
    make = parts.optimizer
    parts.optimizer = lambda weights, rate: make([{"params": [each]} for each in weights], rate)
    parts.rate *= 3

    def step(training: Training, x: Tensor, y: Tensor) -> None:
        training.optimizer.zero_grad()
        parts.loss(training.model(x), y).backward()
        for _ in training.optimizer.param_groups:
            training.optimizer.step()

    looped(parts, step)


@fault(
    "a-closure-after-backward",
    TWICE,
    "gradients-never-cleared",
    "learning-rate-too-high",
    on="deep-tanh mlp",
    why="the closure adds its gradient to the one that is there: the step is twice as long",
)
def closure_after_backward(parts: Parts) -> None:
    parts.rate *= 5

    def step(training: Training, x: Tensor, y: Tensor) -> None:
        def closure() -> Tensor:
            loss = parts.loss(training.model(x), y)
            loss.backward()
            return loss

        training.optimizer.zero_grad()
        closure()
        training.optimizer.step(closure)

    looped(parts, step)


# What is kept

GROWS = "memory-growth"


@fault("the-mean-loss-with-its-graph", GROWS, on="lenet resnet", hurts="memory")
def total_with_graph(parts: Parts) -> None:
    total: list[Tensor] = [torch.zeros(())]

    def step(training: Training, x: Tensor, y: Tensor) -> None:
        training.optimizer.zero_grad()
        loss = parts.loss(training.model(x), y)
        loss.backward(retain_graph=True)
        training.optimizer.step()
        total[0] = total[0] + loss
        training.kept[:] = total

    looped(parts, step)


@fault("maps-kept-by-a-hook", GROWS, on="segmentation lenet", hurts="memory")
def kept_by_a_hook(parts: Parts) -> None:
    def wired(training: Training) -> None:
        for each in training.model.modules():
            if isinstance(each, nn.Conv2d):
                each.register_forward_hook(lambda _, __, output: training.kept.append(output))

    parts.wired = wired


@fault("a-snapshot-after-every-step", GROWS, on="mlp deep-relu", hurts="memory")
def snapshots(parts: Parts) -> None:
    def step(training: Training, x: Tensor, y: Tensor) -> None:
        a_step(training, x, y)
        training.kept.append(copy.deepcopy(training.model.state_dict()))

    looped(parts, step)


# What is resumed

RESUMED = ("nondeterministic-restart", "loss-spike")
WHY = "what was learned is gone at the restart: the loss leaps"


@fault("names-that-do-not-match-on-resume", *RESUMED, on="gru lenet", why=WHY)
def names_that_do_not_match(parts: Parts) -> None:
    """Saved from a wrapper, loaded with `strict=False` into a model made anew."""
    fresh = copy.deepcopy(parts.model)

    def begin(training: Training, epoch: int) -> None:
        if epoch == parts.epochs - 1:
            saved = {f"module.{name}": each for name, each in training.model.state_dict().items()}
            training.model.load_state_dict(fresh.state_dict())
            training.model.load_state_dict(saved, strict=False)
        training.model.train()

    looped(parts, begin=begin)


@fault("the-average-loaded-back", *RESUMED, on="resnet mlp", why=WHY)
def slow_average(parts: Parts) -> None:
    """The averaged weights are for judging; here the training goes on from them, each epoch."""
    kept = {name: each.clone() for name, each in parts.model.state_dict().items()}

    def step(training: Training, x: Tensor, y: Tensor) -> None:
        a_step(training, x, y)
        for name, each in training.model.state_dict().items():
            if each.is_floating_point():
                kept[name].lerp_(each, 1e-3)

    def end(training: Training) -> None:
        training.model.load_state_dict(kept)
        validate(training)

    looped(parts, step, end=end)
