"""From dotted names and values to a recipe: defaults filled in, every value validated at once.

What a group of settings may hold depends on the leaf its name chooses: `optim.momentum` is a
setting of `sgd` and unknown to `adamw`. All faults are collected before any is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.core.config import Setting, build, settings_of, show
from netwright.core.errors import SettingError, UnknownNameError, nearest
from netwright.core.languages import Phrase, Series
from netwright.core.registry import Registry
from netwright.data.opening import DataOptions
from netwright.data.sources import SOURCES
from netwright.models import MODELS
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.losses import LOSSES
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES, ScheduleCommon
from netwright.tasks import TASKS
from netwright.tasks.recipe import Choice, DoctorOptions, General, ModelCommon, Recipe, RunOptions
from netwright.tasks.transfer import TransferOptions


@dataclass(frozen=True)
class Group:
    """A nested group of settings: its common fields, and the family its name is looked up in."""

    common: type | None
    family: Registry[Any] | None
    default: str | None
    open_names: bool = False
    """Whether a name outside the family can be right (a path, a factory)."""


GROUPS: Mapping[str, Group] = {
    "data": Group(DataOptions, SOURCES, None, open_names=True),
    "model": Group(ModelCommon, MODELS, "resnet20", open_names=True),
    "optim": Group(None, OPTIMIZERS, "adamw"),
    "sched": Group(ScheduleCommon, SCHEDULES, "one-cycle"),
    "init": Group(None, INITIALISERS, None),
    "loss": Group(None, LOSSES, "cross_entropy"),
    "transfer": Group(TransferOptions, None, None),
    "run": Group(RunOptions, None, None),
    "doctor": Group(DoctorOptions, None, None),
}


def assemble(values: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
    """The recipe that `values` (dotted names) describe, and the full list of its values.

    Raises one `SettingError` that lists every fault.
    """
    assembly = _Assembly(values)
    recipe = assembly.recipe()
    return recipe, assembly.full


class _Assembly:
    """One recipe in the making: what was given, what it came to, and what is wrong with it."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.full: dict[str, Any] = {}
        self.faults: list[object] = []

    def recipe(self) -> Recipe:
        known = (*GROUPS, "aug")
        for name in self.values:
            group, dot, _ = name.partition(".")
            if dot and group not in known:
                self.faults.append(_no_such_group(name, group, known))
        top = {name: value for name, value in self.values.items() if "." not in name}
        for name in [each for each in top if each not in _names(General)]:
            self.faults.append(_no_such_top_setting(name))
            del top[name]
        general = self._built(General, top, "")
        if general is not None and general.task not in TASKS:
            self.faults.append(UnknownNameError("task", general.task, TASKS.names()).phrase)
        made: dict[str, Any] = {"general": general}
        made["data"] = self._data()
        for name in ("model", "optim", "sched", "loss"):
            made[name] = self._choice(name)
        given = self._inside("init").get("name") not in (None, "none")
        made["init"] = self._choice("init") if given else None
        made["model_common"] = self._common("model")
        made["sched_common"] = self._common("sched")
        made["aug"] = self._augmentations()
        made["transfer"] = self._built(TransferOptions, self._inside("transfer"), "transfer.")
        made["run"] = self._built(RunOptions, self._inside("run"), "run.")
        made["doctor"] = self._built(DoctorOptions, self._inside("doctor"), "doctor.")
        if self.faults:
            raise SettingError("{faults}", faults=Series(dict.fromkeys(self.faults)))
        return Recipe(**made)

    def _inside(self, group: str) -> dict[str, Any]:
        """The values of a group, by the names they have inside it."""
        return {
            name.partition(".")[2]: value
            for name, value in self.values.items()
            if name.startswith(f"{group}.")
        }

    def _data(self) -> DataOptions | None:
        inner = self._inside("data")
        chosen = inner.get("name")
        if chosen is None:
            self.faults.append(Phrase("No data: give DATA, or data.name in the recipe."))
            return None
        common = _names(DataOptions) - {"source"}
        given = {name: value for name, value in inner.items() if name in common}
        special = {name: value for name, value in inner.items() if name not in common}
        options = self._built(DataOptions, {**given, "source": special}, "data.")
        self.full.pop("data.source", None)
        if isinstance(chosen, str) and chosen in SOURCES and not is_layout(chosen):
            self._leaf_options(SOURCES.get(chosen).options, special, common, "data.")
        else:  # whose settings these are is known when the data are opened
            self.full |= {f"data.{name}": value for name, value in special.items()}
        return options

    def _common(self, name: str) -> Any:
        common = GROUPS[name].common
        assert common is not None
        names = _names(common)
        given = {key: value for key, value in self._inside(name).items() if key in names}
        return self._built(common, given, f"{name}.")

    def _choice(self, name: str) -> Choice | None:
        group, prefix = GROUPS[name], f"{name}."
        assert group.family is not None
        inner = self._inside(name)
        chosen = inner.pop("name", group.default)
        if not isinstance(chosen, str):
            self.faults.append(
                Phrase(
                    "{name}: {value} is not allowed: expected {expected}.",
                    name=f"{prefix}name",
                    value=show(chosen),
                    expected=Phrase("text"),
                )
            )
            return None
        common = _names(group.common) if group.common is not None else set()
        special = {key: value for key, value in inner.items() if key not in common}
        self.full[f"{prefix}name"] = chosen
        if chosen in group.family:
            entry = group.family.get(chosen)
            self.full[f"{prefix}name"] = entry.name
            options = self._leaf_options(entry.options, special, common, prefix)
            return Choice(name=entry.name, options=MappingProxyType(options))
        if not group.open_names or not is_path_or_factory(chosen):
            family = group.family
            error = UnknownNameError(family.kind, chosen, family.names(), listing=family.listing)
            self.faults.append(error.phrase)
            return None
        self.full |= {f"{prefix}{key}": value for key, value in special.items()}
        return Choice(name=chosen, options=MappingProxyType(special))

    def _leaf_options(
        self, options: type | None, given: Mapping[str, Any], common: set[str], prefix: str
    ) -> dict[str, Any]:
        known = _names(options) if options is not None else set()
        for name in given:
            if name not in known:
                leaf = self.values.get(f"{prefix}name", self.full.get(f"{prefix}name"))
                self.faults.append(_no_such_setting(prefix, name, leaf, known | common | {"name"}))
        if options is None:
            return {}
        sane = {name: value for name, value in given.items() if name in known}
        built = self._built(options, sane, prefix)
        return {} if built is None else _as_dict(built)

    def _augmentations(self) -> Mapping[str, Any]:
        asked = self._inside("aug")
        try:
            Augmentation(asked)
        except SettingError as error:
            self.faults.append(error.phrase)
        self.full |= {f"aug.{name}": value for name, value in asked.items()}
        return MappingProxyType(asked)

    def _built(self, cls: type, inner: Mapping[str, Any], prefix: str) -> Any:
        """An instance of `cls`, its values noted under their dotted names; None if at fault."""
        try:
            built: Any = build(cls, inner, prefix=prefix)
        except SettingError as error:
            self.faults.append(error.phrase)
            return None
        self.full |= {f"{prefix}{name}": value for name, value in _as_dict(built).items()}
        return built


def settings_schema() -> dict[str, Any]:
    """A JSON schema of recipe files, for the completion of editors."""
    properties: dict[str, Any] = {each.name: _schema(each) for each in settings_of(General)}
    for name, group in GROUPS.items():
        inner: dict[str, Any] = {}
        if group.family is not None:
            known = {"enum": group.family.names()}
            inner["name"] = {"anyOf": [known, {"type": "string"}]} if group.open_names else known
        for each in _all_settings(group):
            inner.setdefault(each.name, _schema(each))
        nested = {"type": "object", "properties": inner, "additionalProperties": group.open_names}
        properties[name] = (
            nested if group.family is None else {"anyOf": [{"type": "string"}, nested]}
        )
    properties["aug"] = {
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    entry.name: _schema(settings_of(entry.options)[0])
                    for entry in AUGMENTATIONS
                    if entry.options is not None
                },
                "additionalProperties": False,
            },
            {"type": "null"},
        ]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Netwright recipe",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def is_layout(name: str) -> bool:
    """Whether a source is a layout of files: its name alone is no data."""
    return not SOURCES.get(name).facts.get("built_in")


def is_path_or_factory(name: str) -> bool:
    """Whether a name outside a family can be meant: a factory, or a path."""
    return ":" in name or "/" in name or Path(name).exists()


def _no_such_top_setting(name: str) -> Phrase:
    """`lr` is not a setting, but the last part of one: `optim.lr`; `modle` is nearly a group."""
    inner: dict[str, list[str]] = {}
    for group, about in GROUPS.items():
        for each in _all_settings(about):
            inner.setdefault(each.name, []).append(f"{group}.{each.name}")
    exact = list(dict.fromkeys(inner.get(name, [])))
    outer = [*_names(General), *GROUPS, "aug"]
    near = exact or nearest(name, outer)
    if not near:
        near = [spelled for each in nearest(name, inner) for spelled in dict.fromkeys(inner[each])]
    if near:
        return Phrase(
            "{name}: no such setting. Did you mean {near}?",
            name=name,
            near=Series(near[:3], between=" or "),
        )
    return Phrase(
        "{name}: no such setting. Known: {known}.", name=name, known=", ".join(sorted(outer))
    )


def _no_such_group(name: str, group: str, known: tuple[str, ...]) -> Phrase:
    near = nearest(group, known)
    if near:
        return Phrase(
            "{name}: no such group of settings. Did you mean {near}?", name=name, near=near[0]
        )
    return Phrase(
        "{name}: no such group of settings. Known: {known}.", name=name, known=", ".join(known)
    )


def _no_such_setting(prefix: str, name: str, leaf: str, known: set[str]) -> Phrase:
    near = nearest(name, known)
    if near:
        return Phrase(
            "{name}: no such setting of {leaf}. Did you mean {near}?",
            name=f"{prefix}{name}",
            leaf=leaf,
            near=Series((f"{prefix}{each}" for each in near), between=" or "),
        )
    return Phrase(
        "{name}: no such setting of {leaf}. Known: {known}.",
        name=f"{prefix}{name}",
        leaf=leaf,
        known=", ".join(sorted(known)),
    )


def _names(cls: type) -> set[str]:
    return {each.name for each in settings_of(cls)}


def _as_dict(built: Any) -> dict[str, Any]:
    return {each.name: getattr(built, each.name) for each in dataclasses.fields(built)}


def _all_settings(group: Group) -> list[Setting]:
    found = list(settings_of(group.common)) if group.common is not None else []
    for entry in group.family or ():
        if entry.options is not None:
            found += settings_of(entry.options)
    return found


def _schema(each: Setting) -> dict[str, Any]:
    names = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
    schema: dict[str, Any] = {"description": each.help}
    if each.default is not None:
        schema["default"] = each.default
    if each.choices:
        schema["enum"] = list(each.choices)
    return schema | {names[bound]: value for bound, value in each.bounds.items()}
