"""The optimizer of a traced step: by name, as a class, or one that its user made."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from netwright.core.errors import SettingError, UnknownNameError
from netwright.inspection.pretended import Pretender

OptimizerChoice = str | type[Optimizer] | Optimizer | None

_NAMED: dict[str, tuple[type[Optimizer], dict[str, float]]] = {
    "sgd": (SGD, {"lr": 0.01}),
    "momentum": (SGD, {"lr": 0.01, "momentum": 0.9}),
    "adam": (Adam, {}),
    "adamw": (AdamW, {}),
}


def named(choice: OptimizerChoice) -> str:
    """`choice` in a word: its name, its class, or "none".

    >>> named("adam"), named(SGD), named(None)
    ('adam', 'SGD', 'none')
    """
    if choice is None:
        return "none"
    if isinstance(choice, str):
        return choice
    return (choice if isinstance(choice, type) else type(choice)).__name__


def check(choice: OptimizerChoice, model: nn.Module) -> None:
    """Raises `UnknownNameError` or `SettingError` for what `bound` could not bind."""
    if isinstance(choice, str):
        if choice not in _NAMED:
            raise UnknownNameError("optimizer", choice, _NAMED)
    elif isinstance(choice, Optimizer):
        _check_own(choice, model)
    elif choice is not None and not (isinstance(choice, type) and issubclass(choice, Optimizer)):
        raise SettingError(
            "The optimizer is a {kind}, not a name, a class of torch.optim, or an optimizer.",
            hint="Names: {names}.",
            kind=type(choice).__name__,
            names=", ".join(_NAMED),
        )
    if _wants_closure(choice):
        raise SettingError(
            "{kind} runs the network again within its step: that is not one step to trace.",
            hint="Its memory at the gradients:  optimizer=None",
            kind=named(choice),
        )


def bound(choice: OptimizerChoice, twin: nn.Module, pretender: Pretender) -> Optimizer | None:
    """`choice` over the weights of `twin`; one of the caller's is copied onto their twins."""
    if choice is None:
        return None
    if isinstance(choice, Optimizer):
        return pretender.optimizer(choice)
    kind: Any
    kind, options = _NAMED[choice] if isinstance(choice, str) else (choice, _needed(choice))
    trained = [each for each in twin.parameters() if each.requires_grad]
    made: Optimizer = kind(trained, **options)
    return made


def _needed(kind: type[Optimizer]) -> dict[str, float]:
    """A rate for a class that has none of its own; memory does not depend on it."""
    rate = inspect.signature(kind).parameters.get("lr")
    return {"lr": 0.01} if rate is not None and rate.default is inspect.Parameter.empty else {}


def _wants_closure(choice: OptimizerChoice) -> bool:
    if choice is None or isinstance(choice, str):
        return False
    closure = inspect.signature(choice.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _check_own(optimizer: Optimizer, model: nn.Module) -> None:
    own = {id(each) for each in model.parameters()}
    if not any(id(each) in own for group in optimizer.param_groups for each in group["params"]):
        raise SettingError(
            "The optimizer holds no weight of this model.",
            hint="It may have been made before the model was copied or moved; make it anew.",
        )
