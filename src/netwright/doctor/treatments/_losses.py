"""Losses around a loss: each gives it something else than it was given. They can be copied and
saved with the course."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from netwright.doctor.treatments._answers import are_probabilities
from netwright.doctor.trials.course import Loss

Called = Callable[..., Any]
Rewritten = Callable[[Called, tuple[Any, ...], dict[str, Any]], Any]

LIKELIHOODS: tuple[Called, ...] = (
    F.cross_entropy, F.log_softmax, torch.log_softmax, Tensor.log_softmax,
)  # fmt: skip
"""What takes logits over classes."""

OF_LOGITS: tuple[Called, ...] = (
    F.binary_cross_entropy_with_logits, torch.binary_cross_entropy_with_logits, F.logsigmoid,
)  # fmt: skip


class Rewrites(TorchFunctionMode):
    """Torch's functions are called through `rewritten(function, args, kwargs)` meanwhile."""

    def __init__(self, rewritten: Rewritten) -> None:
        super().__init__()
        self.rewritten = rewritten

    def __torch_function__(
        self, func: Called, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return self.rewritten(func, args, kwargs or {})


def logarithm(probabilities: Tensor) -> Tensor:
    """Finite of 0 too."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


def logit(probabilities: Tensor) -> Tensor:
    """Finite of 0 and 1 too."""
    least = torch.finfo(probabilities.dtype).eps
    return probabilities.clamp(least, 1 - least).logit()


@dataclass(frozen=True)
class OfLogarithms:
    """The loss of the logarithms of outputs that are probabilities: logits, but for a constant a
    row, which no loss of a softmax sees. log_softmax(log p) = log p."""

    loss: Loss

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return self.loss(logarithm(output), target)


@dataclass(frozen=True)
class OfLogits:
    """The loss of the log-odds of outputs that are probabilities. sigmoid(logit(p)) = p."""

    loss: Loss

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return self.loss(logit(output), target)


@dataclass(frozen=True)
class SoftmaxOnce:
    """The loss, in which cross-entropy is given the logarithm of what is a softmax already."""

    loss: Loss

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        with Rewrites(_softmax_once):
            return self.loss(output, target)


def _softmax_once(func: Called, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func in LIKELIHOODS and args and are_probabilities(args[0].detach()):
        args = (logarithm(args[0]), *args[1:])
    return func(*args, **kwargs)


@dataclass(frozen=True)
class SigmoidOnce:
    """The loss, in which a sigmoid before the binary loss of logits is undone."""

    loss: Loss

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        with Rewrites(_sigmoid_once):
            return self.loss(output, target)


def _sigmoid_once(func: Called, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func in OF_LOGITS and args and bool(((args[0] >= 0) & (args[0] <= 1)).all()):
        args = (logit(args[0]), *args[1:])
    return func(*args, **kwargs)


@dataclass(frozen=True)
class Negative:
    """The loss with the other sign."""

    loss: Loss

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return -self.loss(output, target)


@dataclass(frozen=True)
class OfNegatives:
    """The loss of the outputs with the other sign: of a margin that was turned round."""

    loss: Loss

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return self.loss(-output, target)


@dataclass(frozen=True)
class InSpreads:
    """The loss of outputs and targets less `mean`, in units of `spread`, a number or one each."""

    loss: Loss
    mean: tuple[float, ...]
    spread: tuple[float, ...]

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        mean, spread = (output.new_tensor(each) for each in (self.mean, self.spread))
        return self.loss((output - mean) / spread, (target - mean) / spread)


@dataclass(frozen=True)
class CrossEntropy:
    """Of logits (N, C, ...) and class numbers (N, ...), or one-hot rows of any type. `weight` has
    one number a class, `smoothing` is the part of a label that is spread over all."""

    weight: tuple[float, ...] = ()
    smoothing: float = 0.0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        if target.shape == output.shape:
            target = target.to(output.dtype)
        else:
            target = target.reshape(len(output), *output.shape[2:]).long()
        weight = output.new_tensor(self.weight) if self.weight else None
        return F.cross_entropy(output, target, weight, label_smoothing=self.smoothing)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Of logits and targets of 0 and 1 in any one shape."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output, target.to(output.dtype).view_as(output))


@dataclass(frozen=True)
class Squares:
    """The mean squared difference."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, target.to(output.dtype).view_as(output))


@dataclass(frozen=True)
class ForgivingDistance:
    """Smooth L1: squares near the target, distances further off."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(output, target.to(output.dtype).view_as(output))


@dataclass(frozen=True)
class GeneralisedCrossEntropy:
    """(1 - p^q) / q of the probability p of what is right: cross-entropy as q goes to 0, and the
    absolute error at 1, which forgives what is wrong for ever (Zhang & Sabuncu 2018, eq. 6).

    Of logits over classes, or of one logit and targets of 0 and 1.
    """

    q: float = 0.7

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        if target.shape == output.shape and target.is_floating_point():
            signs = torch.where(target > 0.5, output, -output)
            log_p = F.logsigmoid(signs)
        else:
            at = target.reshape(len(output), 1, *output.shape[2:]).long()
            log_p = output.log_softmax(1).gather(1, at.clamp(min=0))[at >= 0]
        return ((1 - (self.q * log_p).exp()) / self.q).mean()


@dataclass(frozen=True)
class Weighed:
    """The loss, in which calls of torch's losses over classes weigh each by `weights`, and those
    of the binary loss positives by the second over the first."""

    loss: Loss
    weights: tuple[float, ...]

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        def rewritten(func: Called, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            weight = output.new_tensor(self.weights)
            if func in BY_CLASS and len(args) < 3 and kwargs.get("weight") is None:
                kwargs = {**kwargs, "weight": weight}
            if func in BY_CLASS and len(args) > 2 and args[2] is None:
                args = (*args[:2], weight, *args[3:])
            if func is F.binary_cross_entropy_with_logits and kwargs.get("pos_weight") is None:
                kwargs = {**kwargs, "pos_weight": weight[1:] / weight[0]}
            return func(*args, **kwargs)

        with Rewrites(rewritten):
            return self.loss(output, target)


BY_CLASS: tuple[Called, ...] = (F.cross_entropy, F.nll_loss)


@dataclass(frozen=True)
class WithPriors:
    """The loss of logits plus the logarithms of the classes' shares: what is learned is then the
    answer as if all classes were as common (Menon et al. 2021, Long-tail learning via logit
    adjustment, eq. 10). One number for a single logit: the log-odds of the share."""

    loss: Loss
    priors: tuple[float, ...]

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        shape = [1, -1, *[1] * (output.ndim - 2)] if output.ndim > 1 else [-1]
        return self.loss(output + output.new_tensor(self.priors).reshape(shape), target)
