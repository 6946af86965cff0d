"""What a script is made from: the settings of a recipe, and a list of those it has carried out."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any

from netwright.core.config import settings_of, show
from netwright.core.errors import SettingError
from netwright.core.languages import Series
from netwright.core.registry import Entry, Registry
from netwright.models import MODELS
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES
from netwright.tasks.annotated import LEFT_OPEN
from netwright.tasks.assembling import GROUPS
from netwright.tasks.recipe import General
from netwright.tasks.scripts.text import Call
from netwright.tasks.settings import Resolved

_WITHOUT_NUMBERS = {"run.checkpoint_every", "run.keep"}
"""Settings that change no number: a script keeps no checkpoints."""


class Material:
    """The recipe as the sections of a script read it.

    Reading a setting is a promise to carry it out; `refuse_the_rest` holds the others against
    their defaults. Along the way it gathers what the sections import.
    """

    def __init__(self, resolved: Resolved, *, spec: str, stem: str) -> None:
        self.resolved = resolved
        self.recipe = resolved.recipe
        self.spec = spec
        self.stem = stem
        self.imports: set[str] = {"import json", "import math", "import torch"}
        self.faults: list[str] = []
        self._read: set[str] = set(_WITHOUT_NUMBERS)

    # What is asked by several sections.

    @property
    def left_open(self) -> bool:
        """Whether the recipe leaves its data to the command line."""
        return self.resolved.origins["data.name"] == LEFT_OPEN

    @property
    def own_model(self) -> bool:
        """Whether the network is a factory of the user's."""
        return self.recipe.model.name not in MODELS

    @property
    def optimizer(self) -> Entry[Any]:
        return OPTIMIZERS.get(self.recipe.optim.name)

    @property
    def closure(self) -> bool:
        """Whether the optimizer asks for the loss several times."""
        return bool(self.optimizer.facts.get("closure"))

    @property
    def passes(self) -> int:
        """Passes that make one step."""
        return int(self.value("optim.accumulate"))

    @property
    def schedule(self) -> Entry[Any]:
        return SCHEDULES.get(self.recipe.sched.name)

    @property
    def network(self) -> str:
        """The variable with the network that is evaluated and kept."""
        return "model" if self.value("run.ema") is None else "average"

    # Settings.

    def value(self, name: str) -> Any:
        """A setting, which the script thereby carries out."""
        self._read.add(name)
        value = self.resolved.values.get(name)
        return list(value) if isinstance(value, tuple) else value

    def is_default(self, name: str) -> bool:
        """Whether the recipe has a setting and leaves it as it is by itself."""
        known = self._defaults
        return name in known and show(known[name]) == show(self.resolved.values.get(name))

    def options(self, group: str, *, without: Collection[str] = ()) -> dict[str, Any]:
        """The settings of the leaf chosen in `group` that differ from their defaults, all read."""
        names = [name for name in getattr(self.recipe, group).options if name not in without]
        values = {name: self.value(f"{group}.{name}") for name in names}
        return {n: v for n, v in values.items() if not self.is_default(f"{group}.{n}")}

    def refuse_the_rest(self) -> None:
        """Raise `SettingError` for what no line of the script carries out."""
        left = [
            f"{name}={show(value)}"
            for name, value in self.resolved.values.items()
            if name not in self._read and not self.is_default(name)
        ]
        if self.faults or left:
            raise SettingError(
                "This cannot be written as a plain script: {settings}.",
                hint="A copy as YAML can have it:  netwright cp {recipe} {file}",
                settings=Series([*self.faults, *left], between=", "),
                recipe=self.spec,
                file=f"{self.stem}.yaml",
            )

    @functools.cached_property
    def _defaults(self) -> Mapping[str, Any]:
        found = {each.name: each.default for each in settings_of(General)}
        for name, group in GROUPS.items():
            chosen = self.resolved.values.get(f"{name}.name")
            family: Registry[Any] | None = group.family
            leaf = family.get(str(chosen)).options if family and chosen in family else None
            for options in (group.common, leaf):
                if options is not None:
                    found |= {f"{name}.{each.name}": each.default for each in settings_of(options)}
        return found

    # Imports.

    def take(self, module: str, *names: str) -> None:
        """Note `from module import names`."""
        self.imports |= {f"from {module} import {name}" for name in names}

    def take_leaf(self, entry: Entry[Any], options: Mapping[str, Any]) -> tuple[str, Call]:
        """The name of a leaf's function and the call that makes its options, both imported."""
        assert entry.options is not None, entry.name
        self.take(entry.target.__module__, entry.target.__name__)
        return entry.target.__name__, self.take_options(entry, options)

    def take_options(self, entry: Entry[Any], options: Mapping[str, Any]) -> Call:
        assert entry.options is not None, entry.name
        self.take(entry.options.__module__, entry.options.__name__)
        return Call(entry.options.__name__, keywords=options)

    def import_lines(self) -> list[str]:
        """The imports as isort orders them: modules before names, the standard library first."""
        whole = sorted(each for each in self.imports if each.startswith("import "))
        others = [each for each in whole if each.startswith("import torch")]
        names: dict[str, list[str]] = {}
        for each in self.imports - set(whole):
            _, module, _, name = each.split()
            names.setdefault(module, []).append(name)
        taken = [
            f"from {module} import "
            + ", ".join(sorted(names[module], key=lambda name: (name[0].islower(), name)))
            for module in sorted(names)
        ]
        return [*(each for each in whole if each not in others), "", *others, *taken]
