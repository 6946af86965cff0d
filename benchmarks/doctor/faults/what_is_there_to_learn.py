"""What there is to learn: classes that hardly occur, traces of the answer, noise, and losses or
networks that let little of it through."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import draws, on_inputs, rows


@fault("nearly-all-of-one-kind", "class-imbalance", on="gru transformer")
def nine_tenths(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        few = torch.rand(len(y), generator=draws(parts)) < 0.04
        setattr(parts, name, rows((x, y), ((y == 0) | few).nonzero()[:, 0]))


@fault("a-long-tail", "class-imbalance", on="lenet deep-tanh")
def long_tail(parts: Parts) -> None:
    x, y = parts.train
    kept = torch.rand(len(y), generator=draws(parts)) < 0.5 ** y.float()
    parts.train = rows((x, y), kept.nonzero()[:, 0])


def tinted(x: Tensor, y: Tensor) -> Tensor:
    return x * (1 - 0.08 * y.float()).reshape(-1, *[1] * (x.ndim - 1))


@fault(
    "brighter-by-class",
    "shortcut",
    "split-leakage",
    "inconsistent-preprocessing",
    on="resnet lenet",
    why="the brightness tells the class in the photographs that were"
    " collected, a leak of the label, and not in those to come",
)
def brighter(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        setattr(parts, name, (tinted(x, y), y))


@fault(
    "answers-in-the-last-step",
    "shortcut",
    "split-leakage",
    on="gru transformer",
    why="one value of each row is the label: a shortcut by what leaked",
)
def answer_in_the_last_step(parts: Parts) -> None:
    for name in ("train", "val"):
        x, y = getattr(parts, name)
        x = x.clone()
        if x.is_floating_point():
            x[:, -1] = torch.stack([y.float(), -y.float()], 1)
        else:
            x[:, -1] = 6 + y
        setattr(parts, name, (x, y))


@fault(
    "hundreds-of-columns-of-noise",
    "overfitting",
    "too-much-capacity",
    on="binary regression",
    why="more weights on noise than samples to tell it apart",
)
def columns_of_noise(parts: Parts) -> None:
    generator = draws(parts)
    on_inputs(parts, lambda x: torch.cat([x, torch.randn(len(x), 400, generator=generator)], 1))
    first = parts.model[1]
    parts.model[1] = nn.Linear(first.in_features + 400, first.out_features)
    parts.epochs *= 2


@fault(
    "the-first-state-and-not-the-last",
    "bottleneck",
    "underfitting",
    "too-little-capacity",
    on="gru",
    why="one step of twenty is seen: the features hold too little, it underfits",
)
def first_state(parts: Parts) -> None:
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRU(2, 24, batch_first=True), nn.Linear(24, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0][:, 0])

    parts.model = First()


@fault(
    "sureness-punished",
    "over-regularised",
    "underfitting",
    "loss-mismatch",
    on="mlp gru",
    why="a reward for entropy that outweighs the loss holds it up, as much decay would",
)
def sureness_punished(parts: Parts) -> None:
    def loss(output: Tensor, y: Tensor) -> Tensor:
        log = output.log_softmax(1)
        return F.nll_loss(log, y) + 2 * (log.exp() * log).sum(1).mean()

    parts.loss = loss


@fault(
    "smoothed-to-nearly-nothing",
    "over-regularised",
    "underfitting",
    "label-noise",
    on="lenet bn-mlp",
    why="targets that say hardly more than chance, as noise would",
)
def smoothed(parts: Parts) -> None:
    parts.loss = nn.CrossEntropyLoss(label_smoothing=0.97)


@fault(
    "noisy-answers-learned-to-the-last",
    "memorised-noise",
    "label-noise",
    "overfitting",
    on="bn-mlp deep-relu",
    why="a third of the labels is noise, all of it learned by heart",
)
def learned_to_the_last(parts: Parts) -> None:
    x, y = parts.train
    other = torch.rand(len(y), generator=draws(parts)) < 0.33
    drawn = torch.randint(0, 10, y.shape, generator=draws(parts))
    parts.train = x, torch.where(other, drawn, y)
    parts.epochs *= 3
