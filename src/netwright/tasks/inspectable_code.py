"""A network from code of the user's, a factory or one that a file made, as an inspectable."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from netwright.core.errors import SettingError
from netwright.core.factories import Factory, call_factory
from netwright.records.inspection import Shape
from netwright.tasks.inspectable_network import Inspectable, drawn


def of_factory(
    factory: Factory, spec: str, options: Mapping[str, Any], sample: Shape | None
) -> Inspectable:
    """The module a factory of the user's returns; what it can be told of the input, it is."""
    if isinstance(factory.call, nn.Module):  # a network that the file made itself
        if options:
            raise SettingError(
                "{spec} is a network that was made already: leave {settings} out.",
                spec=spec,
                settings=" ".join(f"model.{each}" for each in options),
            )
        network = factory.call
        return Inspectable(
            name=_brief(spec), make=lambda: network, sample=sample or _preferred(network)
        )
    offered: dict[str, Any] = {}
    if sample is not None and len(sample) == 3:
        offered = {"in_channels": sample[0], "input_size": sample[1:]}
    needed = _required(factory.call)
    if "num_classes" in needed:
        offered["num_classes"] = 10
    if "in_channels" in needed:
        offered.setdefault("in_channels", 3)
    if "input_size" in needed and "input_size" not in offered:
        raise SettingError(
            "{spec} is built for a size of image: say which.",
            hint="Give --input, as in --input 3x224x224.",
            spec=spec,
        )
    made = drawn(lambda: called(factory, offered, options))
    return Inspectable(name=_brief(spec), make=lambda: made, sample=sample or _preferred(made))


def called(factory: Factory, offered: Mapping[str, Any], options: Mapping[str, Any]) -> nn.Module:
    """The module that `factory` returns for what it takes of `offered`, and all of `options`.

    Raises `SettingError` where it returns none, or a class.
    """
    with contextlib.redirect_stdout(sys.stderr):  # code of the user's may print
        module = call_factory(factory, offered, wanted=options)
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise SettingError(
            "{name} returned the class {kind}; expected an instance of it.",
            hint="Return {kind}(...).",
            name=factory.spec,
            kind=module.__name__,
        )
    if not isinstance(module, nn.Module):
        raise SettingError(
            "{name} returned {kind}; expected a torch.nn.Module.",
            name=factory.spec,
            kind=type(module).__name__,
        )
    return module


def _preferred(module: nn.Module) -> Shape | None:
    """The input a module says that it takes, as those of timm do."""
    facts = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    size = facts.get("input_size") if isinstance(facts, Mapping) else None
    if isinstance(size, tuple | list) and all(isinstance(each, int) for each in size):
        return tuple(size)
    return None


def _required(call: Callable[..., Any]) -> set[str]:
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # a built-in that does not tell
        return set()
    return {each.name for each in parameters if each.default is each.empty}


def _brief(spec: str) -> str:
    """`net.py:Net` of a path however long."""
    place, _, name = spec.rpartition(":")
    return f"{Path(place).name}:{name}" if place.endswith(".py") else spec
