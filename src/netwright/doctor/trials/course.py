"""A training that can be begun anew: all that a treatment may change, in copies of its own."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from netwright.core.errors import NetwrightError
from netwright.doctor.trials.feed import Feed
from netwright.doctor.trials.judge import Judge
from netwright.doctor.trials.rebinding import rebound

MOST_GUESSED = 4000
"""Samples by which it is known what guessing is worth."""

Loss = Callable[[Tensor, Tensor], Tensor]


class NoCourseError(NetwrightError):
    """The training cannot be begun anew in a copy."""


@dataclass(eq=False, kw_only=True)
class Course:
    """The model, the optimizer and the schedule at their beginning, and the plan.

    Nobody trains the objects in it: a trial trains a copy. A treatment gets a copy too and changes
    it in place, so that what it was made from stays as it is, to the bit.

    `clip` is the greatest norm of the gradient, `epochs` how long the training is planned.
    """

    model: nn.Module
    optimizer: Optimizer
    loss: Loss
    train: Feed
    val: Feed
    judge: Judge
    epochs: int
    scheduler: LRScheduler | None = None
    scheduler_every: Literal["epoch", "step"] = "epoch"
    clip: float | None = None
    held_back: bool = False
    """Whether what judges is a part of the training data."""
    raised: Exception | None = None
    """What the loss raised on the first batch."""
    done: int = 0
    """Steps that lie behind it, where it is no beginning."""
    ends: int | None = None
    """The step after which it ends, where that is before the last epoch does."""
    asked: int = 0
    """Epochs that the caller asked for; a treatment may plan more, and says so."""

    def __post_init__(self) -> None:
        self.asked = self.asked or self.epochs

    @property
    def guessing(self) -> float:
        """The score of the best single answer, and two standard errors of luck: where the training
        as it is breaks off, a repair must end above that."""
        targets: list[Tensor] = []
        for _, target in self.val.batches():
            targets.append(target)
            if sum(map(len, targets)) >= MOST_GUESSED:
                break
        score = self.judge.guessing(targets)
        return score + 2 * self.judge.doubt(score, max(1, sum(map(len, targets))))

    @property
    def steps(self) -> int:
        """Of the whole training."""
        whole = self.epochs * self.train.steps
        return whole if self.ends is None else min(self.ends, whole)

    def copy(self) -> Course:
        """The same, with model, optimizer, schedule and loss of its own; data are shared. What was
        one tensor in several places is one tensor again, and a loss that reads the weights reads
        those of the copy."""
        memo: dict[int, Any] = {}
        whole = (self.model, self.optimizer, self.scheduler, self.loss)
        try:
            model, optimizer, scheduler, loss = copy.deepcopy(whole, memo)
            for name, each in vars(self.optimizer).items():
                # An optimizer is copied as it is pickled, without what its class adds; methods
                # that a schedule put on it stay behind.
                if name not in vars(optimizer) and not callable(each):
                    setattr(optimizer, name, copy.deepcopy(each, memo))
        except Exception as error:  # somebody's classes
            raise NoCourseError(
                "The training cannot be copied, so nothing can be tried on it: {reason}.",
                hint="Its findings hold advice. What deep-copies can be healed.",
                reason=f"{type(error).__name__}: {error}".partition("\n")[0],
            ) from error
        return dataclasses.replace(
            self, model=model, optimizer=optimizer, scheduler=scheduler, loss=rebound(loss, memo)
        )

    # What treatments ask and do

    @property
    def rate(self) -> float:
        """The highest learning rate of all groups."""
        return max(float(group.get("lr", 0.0)) for group in self.optimizer.param_groups)

    def scale_rates(self, factor: float) -> None:
        """Every group's rate, and what the schedule starts from, times `factor`."""
        for group in self.optimizer.param_groups:
            for name in ("lr", "initial_lr", "max_lr", "min_lr"):
                if name in group:
                    group[name] = group[name] * factor
        if self.scheduler is not None and hasattr(self.scheduler, "base_lrs"):
            self.scheduler.base_lrs = [each * factor for each in self.scheduler.base_lrs]

    def set_in_groups(self, **settings: Any) -> None:
        """Settings of the optimizer in each of its groups that has them."""
        for group in self.optimizer.param_groups:
            group.update({name: each for name, each in settings.items() if name in group})

    def replace_optimizer(self, made: type[Optimizer], **settings: Any) -> None:
        """Another optimizer for all that is trainable, in one group for each there was. The
        schedule goes on with it from the rates it has."""
        held = [list(group["params"]) for group in self.optimizer.param_groups]
        known = {id(each) for group in held for each in group}
        held[0] += [p for p in self.trainable if id(p) not in known]
        own = {id(each) for each in self.trainable}
        groups = [[p for p in group if id(p) in own] for group in held]
        self._take(made([{"params": each} for each in groups if each], **settings))

    def rebuild_optimizer(self) -> None:
        """The same optimizer with the same settings, holding what the model trains and no more.
        What it did not hold goes to its first group; moments of what it held are dropped."""
        self.sync_optimizer(anew=True)

    def sync_optimizer(self, *, anew: bool = False) -> None:
        """After a change of the model: parameters that are gone leave the optimizer, new ones
        come into its first group."""
        own = {id(each): each for each in self.trainable}
        for group in self.optimizer.param_groups:
            group["params"] = [each for each in group["params"] if id(each) in own]
        held = {id(each) for group in self.optimizer.param_groups for each in group["params"]}
        self.optimizer.param_groups[0]["params"] += [
            each for key, each in own.items() if key not in held
        ]
        for each in list(self.optimizer.state):
            if anew or id(each) not in own:
                del self.optimizer.state[each]
        if isinstance(self.optimizer, LBFGS):
            self.optimizer._params = self.optimizer.param_groups[0]["params"]
            self.optimizer._numel_cache = None

    def add_group(self, parameters: list[nn.Parameter], **settings: Any) -> None:
        """One more group of the optimizer, with its own moments kept. The schedule follows."""
        self.optimizer.param_groups.append({"params": parameters, **settings})
        self.sync_schedule()

    def sync_schedule(self) -> None:
        """After a change of the groups: the schedule starts from the rates that they start from."""
        groups = self.optimizer.param_groups
        if self.scheduler is not None and hasattr(self.scheduler, "base_lrs"):
            self.scheduler.base_lrs = [each.get("initial_lr", each["lr"]) for each in groups]
        lambdas = getattr(self.scheduler, "lr_lambdas", None)
        if lambdas:
            self.scheduler.lr_lambdas = [  # type: ignore[union-attr]
                lambdas[min(place, len(lambdas) - 1)] for place in range(len(groups))
            ]

    def _take(self, optimizer: Optimizer) -> None:
        """The optimizer in the place of the old one; its groups start at their own rates, which
        are the peak of a schedule that names one."""
        if self.scheduler is not None:
            old = self.optimizer.param_groups[0]
            for group in optimizer.param_groups:
                whole = float(group["lr"])
                for name in ("initial_lr", "min_lr", "max_lr"):
                    if "max_lr" in old and name in old:
                        group[name] = whole * old[name] / old["max_lr"]
                group.setdefault("initial_lr", whole)
            if hasattr(self.scheduler, "cycle_momentum"):
                self.scheduler.cycle_momentum = False
            self.scheduler.optimizer = optimizer
            if hasattr(self.scheduler, "base_lrs"):
                self.scheduler.base_lrs = [each["initial_lr"] for each in optimizer.param_groups]
        self.optimizer = optimizer

    @property
    def trainable(self) -> list[nn.Parameter]:
        return [each for each in self.model.parameters() if each.requires_grad]

    def replace_modules(self, modules: Mapping[str, nn.Module]) -> None:
        """Other modules in the places of those at these paths ("" is the model itself), on the
        device, in the precision and in the mode of the model. A module that stands in several
        places is replaced in all. The optimizer follows."""
        wanted = {id(self.model.get_submodule(path)): new for path, new in modules.items()}
        like = next(self.model.parameters(), None)
        for new in modules.values():
            if like is not None:
                new.to(device=like.device, dtype=like.dtype)
            new.train(self.model.training)
        if id(self.model) in wanted:
            self.model = wanted[id(self.model)]
        else:
            for parent in list(self.model.modules()):
                for name, child in parent._modules.items():
                    if child is not None and id(child) in wanted:
                        parent._modules[name] = wanted[id(child)]
        self.sync_optimizer()

    def modules_of(self, *kinds: type[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
        """The paths and modules of these kinds, in the order they are registered."""
        return (
            (path, each) for path, each in self.model.named_modules() if isinstance(each, kinds)
        )
