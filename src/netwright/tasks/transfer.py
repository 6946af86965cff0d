"""Transfer learning: which stages of a trained network are held still, and how fast others move.

    netwright train flowers/ resnet18 model.weights=resnet18.pth transfer.freeze=3
    netwright train flowers/ resnet18 model.weights=resnet18.pth transfer.freeze=all

Early stages see edges and textures that any photograph has; late ones see what the first task
asked for (Yosinski et al. 2014). A new head begins with random weights and its first gradients
would undo both: so the stages are held still until it knows something, or for ever, or move
slower the nearer they are to the input (Howard & Ruder 2018, sections 3.2 and 3.3).

What is frozen is a function of the step, so a run that goes on needs to know its step only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from netwright.core.config import Amount, config, setting
from netwright.core.errors import SettingError
from netwright.core.events import Noted
from netwright.nn.initialisation import last_layer
from netwright.nn.stages import Stage, has_statistics, stages


@config
class TransferOptions:
    """How a network that begins with trained weights is trained on."""

    freeze: Amount | Literal["all"] = setting(
        0.0,
        help="epochs in which the head alone is trained; all never trains anything else",
        unit="epochs",
    )
    unfreeze: Literal["at-once", "gradual"] = setting(
        "at-once",
        help="what follows: all stages at once, or one more every `freeze` epochs, from the head "
        "down",
    )
    rate_of_layers: float = setting(
        1.0,
        gt=0,
        le=1,
        help="factor of the rate from each stage to the one before it, from the head down",
        search=(0.7, 1.0),
    )
    norm: Literal["train", "frozen", "recompute"] = setting(
        "train",
        help="running statistics of norms: train moves those of stages that are trained; frozen "
        "keeps those of the weights; recompute measures them on the training images first",
    )

    images: Literal["auto", "imagenet", "data"] = setting(
        "auto",
        help="how images are normalised: auto as the weights say, else by the training data; "
        "imagenet by the mean and deviation that most public weights were trained with",
    )

    def __post_init__(self) -> None:
        if self.unfreeze == "gradual" and self.freeze in (0, "all"):
            raise SettingError(
                "transfer.unfreeze=gradual needs a number of epochs: transfer.freeze is {freeze}.",
                hint="transfer.freeze=1 then trains one stage more in each epoch.",
                freeze=self.freeze,
            )

    @property
    def asked(self) -> bool:
        """Whether anything differs from training all alike."""
        return (self.freeze, self.rate_of_layers, self.norm) != (0, 1, "train")


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """The stages of one network under its options; `freeze_steps` is None where all stay frozen."""

    stages: Sequence[Stage]
    head: Sequence[str]
    freeze_steps: int | None
    gradual: bool
    rate: float
    norm: Literal["train", "frozen", "recompute"]

    def frozen(self, step: int) -> int:
        """How many stages, counted from the input, are frozen in step number `step`.

        >>> plan = Transfer(stages=[None] * 3, head=(), freeze_steps=10, gradual=True, rate=1.0,
        ...                 norm="train")
        >>> [plan.frozen(step) for step in (0, 9, 10, 20, 30, 99)]
        [3, 3, 2, 1, 0, 0]
        """
        count = len(self.stages)
        if self.freeze_steps is None:
            return count
        if step < self.freeze_steps:
            return count
        if not self.gradual:
            return 0
        return max(0, count - step // self.freeze_steps)

    def differ(self, step: int, other: int) -> bool:
        """Whether in two steps other stages are frozen."""
        return self.frozen(step) != self.frozen(other)

    @property
    def opened_at(self) -> int | None:
        """The first step in which everything is trained; None if there is none."""
        if self.freeze_steps is None:
            return None
        return self.freeze_steps * (len(self.stages) if self.gradual else 1)

    def factors(self) -> dict[str, float]:
        """The factor of the rate of each parameter outside the head; empty if all are 1.

        The last stage has the factor `rate`, the one before it `rate` squared.
        """
        if self.rate == 1:
            return {}
        count = len(self.stages)
        return {
            name: self.rate ** (count - i)
            for i, stage in enumerate(self.stages)
            for name in stage.parameters
        }

    def begins(self) -> dict[str, int]:
        """The first step in which each parameter outside the head is trained; empty if all begin
        at once."""
        if not self.freeze_steps:
            return {}
        return {
            name: begin
            for stage, begin in zip(self.stages, self._first_steps(), strict=True)
            if begin is not None
            for name in stage.parameters
        }

    def _first_steps(self) -> list[int | None]:
        """The first step in which each stage is trained, None for never."""
        count, steps = len(self.stages), self.freeze_steps
        return [
            None if steps is None else steps * (count - i if self.gradual else 1)
            for i in range(count)
        ]

    def hold(self, model: nn.Module, step: int) -> None:
        """Freeze and unfreeze for step number `step`; `model` is in training mode.

        A frozen stage asks for no gradient and its norms are in evaluation mode: else its output
        would change though its weights do not.
        """
        frozen = self.frozen(step)
        parameters, modules = dict(model.named_parameters()), dict(model.named_modules())
        for i, stage in enumerate(self.stages):
            for name in stage.parameters:
                parameters[name].requires_grad_(i >= frozen)
            for name in stage.norms:
                modules[name].train(self.norm != "frozen" and i >= frozen)
        if self.norm == "frozen":  # those of the head too
            for module in modules.values():
                if has_statistics(module):
                    module.eval()

    def notes(self, model: nn.Module, *, lr: float, steps: int | None) -> list[Noted]:
        """What will be trained when, and how fast, for the user; the run has `steps` steps, None
        for a rehearsal, which is too short for any plan."""
        notes = []
        total = sum(each.numel() for each in model.parameters())
        sizes = {name: each.numel() for name, each in model.named_parameters()}
        below = sum(sizes[name] for stage in self.stages for name in stage.parameters)
        counted = {"count": len(self.stages), "params": below, "all": total}
        if steps and self.freeze_steps is not None and self.freeze_steps >= steps:
            notes.append(
                _note(
                    "WARN",
                    "the head alone is trained: the run ends at step {steps}, and all below it is "
                    "frozen up to step {frozen} (transfer.freeze)",
                    steps=steps,
                    frozen=self.freeze_steps,
                )
            )
        elif self.freeze_steps is None:
            notes.append(
                _note(
                    "NOTE",
                    "frozen for the whole run: all below the head (stages: {count}; parameters: "
                    "{params:,} of {all:,})",
                    **counted,
                )
            )
        elif self.freeze_steps and self.gradual:
            notes.append(
                _note(
                    "NOTE",
                    "frozen up to step {steps}: all below the head (stages: {count}; parameters: "
                    "{params:,} of {all:,}); then one stage less at a time, none from step {last} "
                    "on",
                    steps=self.freeze_steps,
                    last=self.opened_at,
                    **counted,
                )
            )
            if steps is not None and self.opened_at is not None and self.opened_at >= steps:
                notes.append(
                    _note(
                        "WARN",
                        "the run ends at step {steps}, before all is trained; stages frozen to "
                        "its end, from the input on: {left} (transfer.unfreeze=gradual)",
                        steps=steps,
                        left=self.frozen(steps - 1),
                    )
                )
        elif self.freeze_steps:
            notes.append(
                _note(
                    "NOTE",
                    "frozen up to step {steps}: all below the head (stages: {count}; parameters: "
                    "{params:,} of {all:,}); then none",
                    steps=self.freeze_steps,
                    **counted,
                )
            )
        if self.rate < 1 and self.stages and self.freeze_steps is not None:
            notes.append(
                _note(
                    "NOTE",
                    "the rate falls by {factor} a stage toward the input: {high} in the head, "
                    "{low} in {first}",
                    factor=self.rate,
                    high=f"{lr:.3g}",
                    low=f"{lr * self.rate ** len(self.stages):.3g}",
                    first=self.stages[0].name,
                )
            )
        if self.rate < 1 and self.freeze_steps is None:
            notes.append(
                _note(
                    "WARN",
                    "transfer.rate_of_layers={rate} changes nothing: transfer.freeze=all trains "
                    "the head alone",
                    rate=self.rate,
                )
            )
        if self.norm == "frozen":
            template = "norms keep the running statistics of the weights"
        elif self.norm == "recompute":
            template = "the running statistics of norms were measured on training images first"
        else:
            return notes
        return [*notes, _note("NOTE", template)]

    def to_json(self) -> dict[str, Any]:
        """What `model.json` keeps of it, under `transfer`."""
        factors = self.factors()
        return {
            "head": list(self.head),
            "freeze_steps": self.freeze_steps,
            "gradual": self.gradual,
            "norm": self.norm,
            "stages": [
                {
                    "name": each.name,
                    "parameters": len(each.parameters),
                    "rate": factors.get(each.parameters[0], 1.0),
                    "trained_from": begin,
                }
                for each, begin in zip(self.stages, self._first_steps(), strict=True)
            ],
        }


def plan_transfer(
    model: nn.Module, options: TransferOptions, *, head: Collection[str], steps_per_epoch: int
) -> Transfer | None:
    """The stages of `model` under `options`; None where they ask for nothing.

    `head` names the tensors that begin anew; where there are none the layer that makes the logits
    is the head. Raises `SettingError` where there is nothing to freeze, and no norm to keep.
    """
    if not options.asked:
        return None
    named = [name for name, _ in model.named_parameters() if name in set(head)]
    if not named:
        last = last_layer(model)
        mine = {id(each) for each in last.parameters()} if last is not None else set()
        named = [name for name, each in model.named_parameters() if id(each) in mine]
    never = [name for name, each in model.named_parameters() if not each.requires_grad]
    found = stages(model, head={*named, *never})  # what its author froze stays so
    if not found:
        raise SettingError(
            "transfer: the network has nothing below its head that could be held or slowed.",
            hint="Leave transfer.* out.",
        )
    if options.norm != "train" and not any(has_statistics(each) for each in model.modules()):
        raise SettingError(
            "transfer.norm: the network has no norms with running statistics.",
            hint="Leave it out. (In some published weights they are folded into the convolutions.)",
        )
    freeze = options.freeze
    freeze_steps = (
        None if isinstance(freeze, str) else max(round(freeze * steps_per_epoch), int(freeze > 0))
    )
    return Transfer(
        stages=found,
        head=named,
        freeze_steps=freeze_steps,
        gradual=options.unfreeze == "gradual",
        rate=options.rate_of_layers,
        norm=options.norm,
    )


def refuse_untrained(options: TransferOptions, *, weights: str | None, registered: bool) -> None:
    """Raise `SettingError` where random weights would be kept; a network of the user's own may
    bring trained ones."""
    if weights is not None or not registered:
        return
    kept = "transfer.freeze" if options.freeze != 0 else "transfer.norm"
    if options.freeze != 0 or options.norm == "frozen":
        raise SettingError(
            "{setting} keeps what a network has learned, and this one begins with random weights.",
            hint="Say where it starts from: model.weights=FILE, a run, or ADAPTER:FILE.",
            setting=kept,
        )


def _note(word: str, template: str, **values: Any) -> Noted:
    return Noted(word=word, template=template, values=values)
