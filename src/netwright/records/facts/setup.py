"""Who is looked at: the model, its optimizers, the plan, and the kind of loop they live in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netwright.records.facts import fact

Task = Literal["classification", "binary", "multilabel", "regression", "segmentation", "unknown"]

Loop = Literal["plain", "lightning", "fabric", "accelerate", "huggingface", "netwright"]

Special = Literal["", "adversarial", "reinforcement", "bootstrapped", "several-losses"]
"""A loop in which no single loss is made smaller: rules on its fall do not apply. In a game one
loss runs through a player who is not stepped on it; targets that are bootstrapped come from a copy
of the network, which follows it; rewards weigh log-probabilities up and down."""


@dataclass(frozen=True, kw_only=True)
class GroupFact:
    """One parameter group of an optimizer, as it is set at the first step. `eps`, `beta1` and
    `beta2` are None where the optimizer has none; `momentum` is 0 where it has none."""

    lr: float
    params: int
    numel: int
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    beta1: float | None = None
    beta2: float | None = None
    eps: float | None = None
    maximize: bool = False
    """The optimizer climbs."""
    meant: float | None = None
    """The rate that the optimizer was given, before a schedule or the loop changed it."""
    names: tuple[str, ...] = ()
    """Paths of its parameters in the model, "" for one that the model does not have."""


@dataclass(frozen=True, kw_only=True)
class OptimizerFact:
    kind: str
    groups: tuple[GroupFact, ...]

    @property
    def lr(self) -> float:
        """The largest rate among its groups."""
        return max((each.lr for each in self.groups), default=0.0)


@fact("setup")
@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is known before the first step. None stands for what nobody said."""

    model: str
    params: int
    trainable: int
    optimizers: tuple[OptimizerFact, ...] = ()
    task: Task = "unknown"
    special: Special = ""
    loss_group: int = 0
    """A number that the patients of a program have in common whose optimizers are stepped on one
    loss (an encoder and a decoder); 0 for one alone."""
    loop: Loop = "plain"
    batch: int | None = None
    train_samples: int | None = None
    val_samples: int | None = None
    steps_per_epoch: int | None = None
    epochs: int | None = None
    planned_steps: int | None = None
    device: str = "cpu"
    precision: str = "float32"
    compiled: bool = False
    pretrained: bool = False
    """Weights that were loaded rather than drawn: some may be frozen on purpose."""
    versions: tuple[tuple[str, str], ...] = ()

    @property
    def lr(self) -> float | None:
        """The largest rate of all optimizers."""
        return max((each.lr for each in self.optimizers), default=None)
