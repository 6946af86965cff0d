"""One network under several initialisers and activations: the initial state of each pair."""

from __future__ import annotations

import collections
import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.inspection.initial_state import initial_state
from netwright.nn.activations import ACTIVATIONS, ActivationName, activation
from netwright.nn.initialisation import initialise, last_layer
from netwright.nn.initialisers import INITIALISERS
from netwright.optim.untouched import untouched
from netwright.records.initial_state import InitialState


def initial_states(
    model: nn.Module | Callable[[ActivationName], nn.Module],
    batch: Any,
    *,
    initialisers: Sequence[str] = (),
    activations: Sequence[str] = (),
    target: Tensor | None = None,
    loss: Callable[..., Tensor] | None = None,
    name: str = "",
    seed: int = 0,
) -> tuple[InitialState, ...]:
    """`initial_state` of `model` for each activation and, within it, each initialiser.

    Each is measured on a copy with weights drawn from `seed`. `model` is a network, whose
    activation modules are exchanged in the copy; or a function that makes one for the name of an
    activation, as a registered network with its option `act` does. Without `activations` a
    network keeps its own; without `initialisers` all registered ones are compared. The gain is
    matched to the activation, and 1 for the last layer.

    Raises `UnknownNameError` for a name nobody registered, `SettingError` for a network without
    activation modules to exchange, for a copy that cannot be made, and what `initial_state` does.

    >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    >>> both = initial_states(model, torch.randn(8, 64), initialisers=["he", "constant"])
    >>> [(each.initialiser, each.activation, each.verdict) for each in both]
    [('he', 'relu', 'steady'), ('constant', 'relu', 'alike')]
    """
    chosen = [INITIALISERS.get(each) for each in initialisers] or list(INITIALISERS)
    acts: list[ActivationName | None] = [
        cast(ActivationName, ACTIVATIONS.get(each).name) for each in activations
    ]
    if not acts:
        acts = [None if isinstance(model, nn.Module) else "relu"]
    found = []
    with untouched():  # the random states
        for act in acts:
            for initialiser in chosen:
                torch.manual_seed(seed)
                made, used = _made(model, act, name)
                images = _images(batch) if initialiser.facts.get("images") else None
                head = last_layer(made)
                initialise(made, used, name=initialiser.name, head=head, images=images)
                state = initial_state(made, batch, target, loss, name=name)
                found.append(
                    dataclasses.replace(state, initialiser=initialiser.name, activation=used)
                )
    return tuple(found)


def replace_activations(model: nn.Module, act: ActivationName) -> int:
    """Exchange each activation module within `model` for a fresh `act`; how many there were.

    Modules of the registered kinds are; functions that a forward calls itself are out of reach.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> replace_activations(model, "tanh"), model[1]
    (1, Tanh())
    """
    exchanged, kinds = 0, _kinds()
    for module in model.modules():
        for name, child in list(module.named_children()):
            if type(child) in kinds:
                setattr(module, name, activation(act))
                exchanged += 1
    return exchanged


def activation_of(model: nn.Module) -> ActivationName:
    """The registered activation that most activation modules of `model` are; else ReLU.

    >>> activation_of(nn.Sequential(nn.Linear(2, 2), nn.Tanh()))
    'tanh'
    """
    kinds = _kinds()
    seen = collections.Counter(kinds[type(m)] for m in model.modules() if type(m) in kinds)
    return seen.most_common(1)[0][0] if seen else "relu"


def _kinds() -> dict[type[nn.Module], ActivationName]:
    return {
        type(entry.target()): cast(ActivationName, entry.name)
        for entry in reversed(list(ACTIVATIONS))
    }


def _images(batch: Any) -> Tensor:
    """A copy of what the network reads first, for an initialiser that looks at it."""
    given = next(iter(batch.values())) if isinstance(batch, Mapping) else batch
    first: Tensor = given[0] if isinstance(given, tuple) else given
    return first.detach().clone()


def _made(
    model: nn.Module | Callable[[ActivationName], nn.Module],
    act: ActivationName | None,
    name: str,
) -> tuple[nn.Module, ActivationName]:
    if not isinstance(model, nn.Module):
        used = act or "relu"
        return model(used), used
    try:
        copied = copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise SettingError(
            "{model} cannot be copied: {reason}.",
            hint="Give a function that makes it instead: lambda act: ...",
            model=name or type(model).__name__,
            reason=str(error).partition("\n")[0].rstrip("."),
        ) from error
    if act is not None and not replace_activations(copied, act):
        raise SettingError(
            "{model} has no activation module that could be exchanged.",
            hint="Give a function that makes the network for an activation: lambda act: ...",
            model=name or type(model).__name__,
        )
    return copied, act or activation_of(copied)
