"""The gradients of one batch: in one pass or several, over one rank or several, in the precision
of the run.

    result = gradients.compute(batch, step)    # each parameter has its gradient now
    result.loss, result.predicted              # what they came from

A pass takes images through the network and the gradient of their loss back. Several make the same
step with less memory, several ranks make it faster; what is left in the parameters is always the
gradient of the whole batch, times the scale of a float16 run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.core.keyed import key
from netwright.data.batches import Batch, Whole
from netwright.optim.accumulation import accumulate
from netwright.optim.loss_scale import LossScale
from netwright.tasks.mixed_labels import loss_of
from netwright.tasks.passes import Passes, PassTooLargeError
from netwright.tasks.speed import Speed
from netwright.train.memory import MEMORY_ERRORS, is_out_of_memory
from netwright.train.ranks import Ranks
from netwright.train.synced_norm import Together
from netwright.train.updates import Norm

if TYPE_CHECKING:
    from netwright.train.sharding import Shards

Predicted: TypeAlias = list[tuple[Tensor, Tensor]]
"""Logits of each pass, detached, and the classes they should have named."""


@dataclass
class BatchResult:
    """What the gradients of a batch came from."""

    loss: Tensor
    """Of the whole batch, detached."""
    predicted: Predicted
    counted: tuple[int, int] | None = None
    """Right predictions and images of all ranks; None where no others have a share."""


class BatchGradients:
    """Takes the gradients of batches for the training of one network."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        passes: Passes,
        *,
        seed: int,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        """`optimizer` knows the parameters; `loss` is that of logits and classes, a mean over
        images where `passes` cut a batch."""
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.passes = passes
        self.device = device
        self.ranks = ranks
        self.norms: Together | None = None
        """The batch norms, where they see the images of all ranks."""
        self.shards: Shards | None = None
        """The network, where each rank has only its rows of the weights."""
        self.seed = seed
        self._own = (ranks.rank,) if ranks.rank else ()  # each rank drops other units
        # GoogLeNet has; asked once, for a module answers slowly about what it has not.
        self._has_heads_half_way = hasattr(model, "aux_logits") and hasattr(model, "aux_weight")
        self.set_speed(Speed())

    def set_speed(self, speed: Speed) -> None:
        """How gradients are computed from now on; evaluations stay in float32, not compiled."""
        self.speed = speed
        self.scale = LossScale() if speed.fp16 else None
        speed.switch(self.device)
        self._network = speed.prepare(self.model)

    @property
    def norm_of(self) -> Norm | None:
        """How the norm of the gradients is taken where this rank has a part of them only."""
        return self.shards.norm if self.shards is not None else None

    def compute(self, batch: Batch, step: int) -> BatchResult:
        """Add the gradient of the batch to each parameter's own.

        Dropout and whatever else draws from torch's generator is a function of (seed, step).
        """
        _seed_generators(key(self.seed, "noise", step, *self._own), self.device)
        predicted: Predicted = []
        with self._joined_up():
            if batch.whole is not None:
                return self._over_ranks(batch, predicted)
            if self.passes.count == 1:
                loss = self._in_one_pass(batch, predicted)
            else:
                loss = self._in_passes(batch, predicted)
        return BatchResult(loss, predicted)

    def compute_fitting(self, batch: Batch, step: int) -> BatchResult:
        """`compute`; begun again in smaller passes, now and from now on, where memory runs out."""
        if self._is_joined_up:  # no rank can begin a step again by itself
            return self.compute(batch, step)
        return self.passes.taken(
            lambda: self.compute(batch, step),
            images=len(batch.target),
            step=step,
            forget=self.optimizer.zero_grad,
        )

    @property
    def _is_joined_up(self) -> bool:
        """Whether the passes of the ranks wait for each other."""
        return self.norms is not None or self.shards is not None

    def _joined_up(self) -> contextlib.AbstractContextManager[Any]:
        """The block of the passes of a step."""
        if not self._is_joined_up:
            return contextlib.nullcontext()
        stack = contextlib.ExitStack()
        for each in (self.norms, self.shards):
            if each is not None:
                stack.enter_context(each.computing())
        return stack

    def _over_ranks(self, batch: Batch, predicted: Predicted) -> BatchResult:
        """Gradients, loss and right predictions of this rank's share, added up to the whole."""
        failed = False
        try:
            loss = self._in_passes(batch, predicted)
        except MEMORY_ERRORS as error:
            if not is_out_of_memory(error) or self._is_joined_up:
                raise
            failed = True  # which the others, who wait for this rank's gradients, must hear of
        if failed:
            self.optimizer.zero_grad(set_to_none=True)
            predicted.clear()
            loss = torch.zeros(())
        right = sum(int((logits.argmax(1) == target).sum()) for logits, target in predicted)
        seen = sum(len(target) for _, target in predicted)
        numbers = [float(loss), right, seen, failed]
        if self.shards is not None:
            sums = self.shards.add_gradients(numbers)
        else:
            groups = self.optimizer.param_groups
            parameters = [each for group in groups for each in group["params"]]
            sums = self.ranks.add_gradients(parameters, numbers)
        if sums[3]:
            raise PassTooLargeError("out of memory in a pass of some rank")
        return BatchResult(loss.new_tensor(sums[0]), predicted, (int(sums[1]), int(sums[2])))

    def _in_one_pass(self, batch: Batch, predicted: Predicted) -> Tensor:
        loss = self._forward(batch, predicted)
        (loss if self.scale is None else loss * self.scale.factor).backward()
        return loss.detach()

    def _in_passes(self, batch: Batch, predicted: Predicted) -> Tensor:
        """The same in parts; each counts by what its mean was divided by, or, where images are
        mixed and have two labels, by its images (`loss_of` weighs the labels)."""
        divisor: Callable[[Tensor], float] | None = getattr(self.loss, "divisor", None)
        if batch.second is not None:
            divisor = None
        whole, weight = batch.whole, None
        if whole is not None:
            weight = float(len(whole.target)) if divisor is None else divisor(whole.target)
        return accumulate(
            lambda part: self._forward(
                batch.part(part), predicted, whole=batch if whole is None else whole
            ),
            len(batch.target),
            self.passes.count,
            divisor=None if divisor is None else lambda part: divisor(batch.target[part]),
            whole=weight,
            scale=1.0 if self.scale is None else self.scale.factor,
            weightless=(lambda part: self._of_no_weight(batch.part(part), predicted))
            if self._is_joined_up
            else None,
        )

    def _of_no_weight(self, part: Batch, predicted: Predicted) -> Tensor:
        """A pass that the others wait for, though its images count for nothing."""
        return self._logits(part, predicted).sum() * 0

    def _forward(
        self, batch: Batch, predicted: Predicted, *, whole: Batch | Whole | None = None
    ) -> Tensor:
        """The loss of a batch, or of a part of the `whole`."""
        loss = loss_of(self.loss, self._logits(batch, predicted), batch, whole=whole)
        return self._with_heads(loss, batch, whole) if self._has_heads_half_way else loss

    def _logits(self, batch: Batch, predicted: Predicted) -> Tensor:
        """The network's answer to a batch, which joins those `predicted`."""
        with self.speed.computing(self.device):
            logits = self._network(self.speed.images(batch.images))
        if self.speed.is_mixed:
            logits = logits.float()
        predicted.append((logits.detach(), batch.target))
        return logits

    def _with_heads(self, loss: Tensor, batch: Batch, whole: Batch | Whole | None) -> Tensor:
        """`loss`, and that of each head half-way by its weight."""
        model: Any = self.model
        for logits in model.aux_logits:
            loss = loss + model.aux_weight * loss_of(self.loss, logits.float(), batch, whole=whole)
        return loss


def _seed_generators(number: int, device: torch.device) -> None:
    # torch.manual_seed does the same for every device at 15 times the cost.
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(number)
