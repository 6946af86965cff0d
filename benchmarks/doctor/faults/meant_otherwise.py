"""Samples, batches and steps that do what is written, which is not what was meant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from setups import Parts, Training
from torch import Tensor, nn

from faults import fault
from faults._surgery import draws, on_inputs, rows, swap
from faults._turns import a_step, fed, looped
from faults.spoilt import first

# In what order


@fault("grouped-by-class-each-epoch", "unshuffled-data", on="binary lenet")
def grouped_by_class(parts: Parts) -> None:
    """Class after class, the classes in another order each epoch, samples shuffled within."""
    by = draws(parts)

    def batches(_: Any) -> Iterator[tuple[Tensor, Tensor]]:
        y = parts.train[1].reshape(len(parts.train[1]), -1)[:, 0].long()
        rank = torch.randperm(int(y.max()) + 1, generator=by)[y]
        chance = torch.rand(len(y), generator=by)
        for which in (rank + 0.999 * chance).argsort().split(parts.batch):
            yield rows(parts.train, which)

    fed(parts, batches)


@fault("low-classes-then-high-ones", "unshuffled-data", on="mlp resnet")
def low_then_high(parts: Parts) -> None:
    """Two files, one after the other, each well mixed."""
    parts.train = rows(parts.train, (parts.train[1] >= 5).long().argsort(stable=True))
    parts.shuffle = False


@fault(
    "windows-that-move-by-one",
    "stuck-data-feed",
    "duplicate-samples",
    on="lenet regression",
    why="each batch is the one before but for a sample: the rest of the data never comes",
)
def windows_by_one(parts: Parts) -> None:
    def batches(loader: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for place in range(len(loader)):
            yield rows(parts.train, torch.arange(place, place + parts.batch))

    fed(parts, batches)


# What is in a sample


@fault(
    "a-crop-beside-the-digit",
    "constant-input",
    "dead-feature",
    on="mlp resnet",
    why="nearly all that is left is the same in all samples",
)
def beside_the_digit(parts: Parts) -> None:
    def change(x: Tensor) -> Tensor:
        return torch.cat([x[..., :1], torch.zeros_like(x[..., 1:])], -1)

    on_inputs(parts, change)


@fault(
    "a-flat-image-over-its-own-spread", "nonfinite-input", "nonfinite", on="lenet segmentation",
    why="0 / 0 in the samples that are blank",
)  # fmt: skip
def over_own_spread(parts: Parts) -> None:
    x, y = parts.train
    x = x.clone()
    x[::200] = 0
    parts.train = x, y

    def change(x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return ((flat - flat.mean(1, True)) / flat.std(1, keepdim=True)).reshape(x.shape)

    on_inputs(parts, change)


OTHERWISE = ("inconsistent-preprocessing", "distribution-shift")
WHY = "validation is not what was trained on: treated otherwise, or drawn otherwise"


@fault("normalised-in-the-batch-loop-only", *OTHERWISE, on="mlp resnet segmentation", why=WHY)
def normalised_in_the_loop(parts: Parts) -> None:
    parts.augment = lambda x: (x - 0.7) / 0.1


@fault("sampled-half-as-often-later", *OTHERWISE, on="gru", why=WHY)
def half_the_rate(parts: Parts) -> None:
    on_inputs(parts, lambda x: x[:, ::2].repeat_interleave(2, 1), "val test")


@fault("collected-in-a-narrow-range", *OTHERWISE, on="regression binary", why=WHY)
def narrow_range(parts: Parts) -> None:
    x = parts.train[0]
    near = (x[:, :4].abs() < 0.8).all(1).nonzero()[:, 0]
    parts.train = rows(parts.train, near)


# What samples do to each other


@fault(
    "rolled-along-the-wrong-axis",
    "batch-mixing",
    "wrong-dimension",
    on="gru autoencoder",
    why="an axis slip: each sample gets a part of its neighbour",
)
def rolled(parts: Parts) -> None:
    first(parts, lambda x: x + x.roll(1, 0))


@fault("columns-blanked-by-chance", "destructive-augmentation", on="regression binary")
def columns_blanked(parts: Parts) -> None:
    parts.augment = lambda x: x * (torch.rand(x.shape) < 0.25)


@fault("pixels-put-in-any-order", "destructive-augmentation", on="mlp lenet")
def pixels_in_any_order(parts: Parts) -> None:
    def augment(x: Tensor) -> Tensor:
        order = torch.rand(len(x), x[0].numel()).argsort(1)
        return x.flatten(1).gather(1, order).reshape(x.shape)

    parts.augment = augment


# Modes and scores


class ByHand(nn.Module):
    """A dropout that knows of no mode."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) > 0.5) * 2


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1.5 * torch.randn_like(x)


@fault("a-dropout-written-by-hand", "wrong-mode", on="mlp deep-relu")
def dropout_by_hand(parts: Parts) -> None:
    last = [name for name, each in parts.model.named_children() if isinstance(each, nn.ReLU)][-1]
    setattr(parts.model, last, nn.Sequential(nn.ReLU(), ByHand(), ByHand()))


@fault("noise-in-both-modes-alike", "wrong-mode", on="lenet regression")
def noise_never_off(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Sequential(nn.ReLU(), Noisy()))


MISREAD = "metric-misread"


def scored(parts: Parts, right: Callable[[Tensor, Tensor], Tensor], over: int) -> None:
    """A validation whose score is the number of right answers over `over`."""

    def end(training: Training) -> None:
        training.model.eval()
        found = 0
        with torch.no_grad():
            for x, y in training.val:
                output = training.model(x)
                parts.loss(output, y)
                found += int(right(output, y))
        training.reported.append(found / over)

    looped(parts, end=end)


@fault("logits-rounded-to-an-answer", MISREAD, on="binary", hurts="honesty")
def rounded_logits(parts: Parts) -> None:
    scored(parts, lambda output, y: (output.round() == y).sum(), len(parts.val[1]))


@fault("divided-by-whole-batches", MISREAD, on="mlp gru", hurts="honesty")
def whole_batches(parts: Parts) -> None:
    parts.val = rows(parts.val, torch.arange(parts.batch + 6))
    scored(parts, lambda output, y: (output.argmax(1) == y).sum(), 2 * parts.batch)


# Steps, and what they leave


@fault(
    "a-second-optimizer-of-the-same-weights",
    "double-backward-or-step",
    "learning-rate-too-high",
    "divergence",
    on="mlp deep-tanh",
    why="each gradient is stepped on by both: as if the rate were that much higher",
)
def second_optimizer(parts: Parts) -> None:
    parts.rate *= 4
    made: list[Any] = []

    def step(training: Training, x: Tensor, y: Tensor) -> None:
        if not made:
            made.append(parts.optimizer(training.model.parameters(), parts.rate))
        a_step(training, x, y)
        made[0].step()

    looped(parts, step)


@fault("hidden-maps-kept-on-a-list", "memory-growth", on="resnet lenet", hurts="memory")
def maps_on_a_list(parts: Parts) -> None:
    """Feature maps as plain tensors, for a picture that nobody draws."""

    def wired(training: Training) -> None:
        for each in training.model.modules():
            if isinstance(each, nn.ReLU):
                each.register_forward_hook(
                    lambda _, __, output: (
                        training.kept.append(output.detach().repeat(1, 4, 1, 1))
                        if output.ndim == 4
                        else None
                    )
                )

    parts.wired = wired


@fault("a-pause-before-every-batch", "data-starvation", on="lenet gru", hurts="seconds")
def pause(parts: Parts) -> None:
    """A reader written by hand that waits for its server."""

    def batches(loader: Any) -> Iterator[Any]:
        for each in loader:
            time.sleep(0.04)
            yield each

    fed(parts, batches)


@fault(
    "rounded-by-each-checkpoint",
    "nondeterministic-restart",
    "loss-spike",
    on="mlp resnet",
    why="what is loaded is not what was reached: the loss leaps at each restart",
)
def rounded_by_checkpoints(parts: Parts) -> None:
    def begin(training: Training, epoch: int) -> None:
        if epoch:
            state = training.model.state_dict()
            training.model.load_state_dict({k: (v * 4).round() / 4 for k, v in state.items()})
        training.model.train()

    looped(parts, begin=begin)
