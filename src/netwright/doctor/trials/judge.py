"""What a training is worth: one number of its outputs, the higher the better, that no treatment
can move by changing the loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from netwright.doctor.patient import tensors_in

Kind = Literal["accuracy", "balanced accuracy", "accuracy of labels", "R2", "metric"]

UNEVEN = 3.0
"""The commonest class this many times the rarest: then every class counts alike."""

MOST_CLASSES = 10_000

FEW = 16
"""Numbers a sample that count as targets of their own, each with the same weight."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """`threshold` is from where on an output says yes, of outputs that say yes or no; `yes` is from
    where on a target does.

    >>> judge = Judge(kind="accuracy")
    >>> judge.score([judge.reduced(torch.eye(3), torch.tensor([0, 1, 1]))])
    0.6666666666666666
    """

    kind: Kind
    threshold: float = 0.0
    yes: float = 0.5
    metric: Callable[[Tensor, Tensor], float] | None = field(default=None, repr=False)
    place: int = 0
    """Of outputs that are made of several tensors, which one is judged."""

    def reduced(self, output: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept of one batch until all are there: predictions and truth, on the CPU."""
        if not isinstance(output, Tensor):
            output = list(tensors_in(output))[self.place]
        output, target = output.detach(), target.detach()
        if self.kind in ("accuracy", "balanced accuracy"):
            truth = target
            if target.shape == output.shape:  # one-hot rows
                truth = target.argmax(1)
            said, truth = output.argmax(1).flatten().cpu(), truth.flatten().long().cpu()
            return said[truth >= 0], truth[truth >= 0]  # what is below is left out of the loss too
        if self.kind == "accuracy of labels":
            said = (output > self.threshold).reshape(len(output), -1)
            return said.cpu(), (target > self.yes).reshape(len(target), -1).cpu()
        if self.kind == "R2" and output.numel() == target.numel():
            output, target = output.reshape(len(output), -1), target.reshape(len(target), -1)
        return output.cpu(), target.cpu()

    def score(self, parts: Sequence[tuple[Tensor, Tensor]]) -> float:
        """Of all batches; minus infinity where an output is not finite."""
        said = torch.cat([each for each, _ in parts])
        truth = torch.cat([each for _, each in parts])
        if self.metric is not None:
            found = float(self.metric(said, truth))
            return found if math.isfinite(found) else -math.inf
        if self.kind == "R2":
            return _explained(said.double(), truth.double())
        if self.kind == "accuracy":
            return float((said == truth).double().mean())
        if self.kind == "balanced accuracy":
            classes = truth.unique()
            return float(
                torch.stack([(said[truth == c] == c).double().mean() for c in classes]).mean()
            )
        return _of_labels(said, truth)

    def guessing(self, targets: Sequence[Tensor]) -> float:
        """The score of one answer for all, the best there is; minus infinity by a metric, of which
        nobody knows that.

        >>> Judge(kind="accuracy").guessing([torch.tensor([0, 0, 1])])
        0.6666666666666666
        """
        if self.kind == "metric":
            return -math.inf
        if self.kind == "R2":
            return 0.0
        if self.kind == "accuracy of labels":
            return 0.5
        truth = torch.cat([_classes(each) for each in targets])
        counts = truth[truth >= 0].bincount()
        if not len(counts):
            return 0.0
        if self.kind == "balanced accuracy":
            return 1 / int((counts > 0).sum())
        return float(counts.max()) / int(counts.sum())

    def doubt(self, score: float, samples: int) -> float:
        """The standard error of a score on so many samples, by the binomial law; 0 of what is no
        share, for which the spread over seeds alone speaks.

        Two more of each kind are counted (Agresti and Coull): of few errors, or none, the plain law
        takes the luck for nothing.

        >>> round(Judge(kind="accuracy").doubt(1.0, 480), 4)
        0.0029
        """
        if not math.isfinite(score) or self.kind in ("R2", "metric"):
            return 0.0
        share = (min(max(score, 0.0), 1.0) * samples + 2) / (samples + 4)
        return math.sqrt(share * (1 - share) / (samples + 4))

    def reading(self, threshold: float) -> Judge:
        return dataclasses.replace(self, threshold=threshold)


def judge_for(
    output: Tensor,
    targets: Sequence[Tensor],
    *,
    loss: str,
    logits: bool = False,
    metric: Callable[[Tensor, Tensor], float] | None = None,
) -> Judge:
    """The judge that fits the targets, of which `targets` are some batches. `loss` is the name of
    torch's function that the loss calls, "" if it calls none; `logits` says that the loss is for
    outputs of any size (`pulls_one_way`). Outputs that are all probabilities are read at a half
    even there: that the loss is wrong is no reason to read them wrongly."""
    if metric is not None:
        return Judge(kind="metric", metric=metric)
    target = targets[0]
    truth = torch.cat([each.flatten() for each in targets])
    over_classes = output.ndim > 1 and 1 < output.shape[1] <= MOST_CLASSES
    shape = (output.shape[0], *output.shape[2:])
    one_hot = (
        over_classes
        and target.shape == output.shape
        and bool(((target == 0) | (target == 1)).all() and (target.sum(1) == 1).all())
    )
    if one_hot:
        return Judge(kind="accuracy")
    whole = not target.is_floating_point() or bool((truth == truth.round()).all())
    if over_classes and whole and target.numel() == math.prod(shape):
        return Judge(kind=_by_class(truth))
    of_labels = bool(((truth == 0) | (truth == 1)).all())
    low, high = float(truth.min()), float(truth.max())
    if not of_labels and "binary" in loss and low < high:  # written with other numbers
        of_labels = bool(((truth == low) | (truth == high)).all())
    if target.is_floating_point() and of_labels:
        sure = bool(((output >= 0) & (output <= 1)).all())
        logits = (logits or "with_logits" in loss or "soft_margin" in loss) and not sure
        middle = 0.5 if low >= 0 and high <= 1 else (low + high) / 2
        return Judge(kind="accuracy of labels", threshold=0.0 if logits else 0.5, yes=middle)
    return Judge(kind="R2")


def pulls_one_way(loss: Callable[[Tensor, Tensor], Tensor], target: Tensor) -> bool:
    """Whether a loss is for logits: of a target of 0 it falls on the one side of 0, and rises on
    the other, as no distance does. One of the wrong sign counts as well.

    >>> pulls_one_way(torch.nn.BCEWithLogitsLoss(), torch.ones(4, 1))
    True
    >>> pulls_one_way(torch.nn.MSELoss(), torch.ones(4, 1))
    False
    """
    none = torch.zeros_like(target)
    try:
        with torch.no_grad():
            under, at, over = (float(loss(none + size, none)) for size in (-3.0, 0.0, 3.0))
    except Exception:  # somebody's loss, of outputs that it was not made for
        return False
    return (under - at) * (over - at) < 0


def _by_class(truth: Tensor) -> Kind:
    counts = truth[truth >= 0].long().bincount()
    counts = counts[counts > 0]
    return "balanced accuracy" if int(counts.max()) > UNEVEN * int(counts.min()) else "accuracy"


def _explained(said: Tensor, truth: Tensor) -> float:
    """The share of the variance that is explained: the mean over a few targets, over all numbers
    together where they are many (an image)."""
    if said.shape != truth.shape or not bool(said.isfinite().all()):
        return -math.inf
    left, spread = (said - truth).square().sum(0), (truth - truth.mean(0)).square().sum(0)
    if spread.numel() <= FEW and bool((spread > 0).all()):
        return float((1 - left / spread).mean())  # targets in units of their own
    return 1 - float(left.sum()) / max(float(spread.sum()), 1e-30)


def _of_labels(said: Tensor, truth: Tensor) -> float:
    """The mean over labels of the accuracy on those that are and those that are not."""
    found = []
    for one, true in zip(said.T, truth.T, strict=True):
        halves = [(one[true == side] == side).double().mean() for side in (True, False)]
        found += [each for each in halves if not bool(each.isnan())]
    return float(torch.stack(found).mean())


def _classes(target: Tensor) -> Tensor:
    """Class numbers, of one-hot targets too."""
    hot = target.is_floating_point() and target.ndim > 1
    return (target.argmax(1) if hot else target).flatten().long().cpu()
