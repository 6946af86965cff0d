"""Settings: from defaults, recipe, file, environment and command line to one recipe.

Each source is a layer of dotted names; a later layer wins, and the origin of every value is
kept. A layer that chooses another leaf of a group (`optim=adamw` over a recipe with `sgd`)
also drops what lower layers said about the old leaf: a rate for SGD means nothing to AdamW.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.core import yaml_files
from netwright.core.config import Setting, build, flatten, settings_of, show
from netwright.core.errors import SettingError, UnknownNameError, nearest
from netwright.core.events import Noted
from netwright.core.registry import Registry
from netwright.data.opening import DataOptions
from netwright.data.sources import SOURCES
from netwright.models import MODELS
from netwright.nn.losses import LOSSES
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES, ScheduleCommon
from netwright.records.run import find_run
from netwright.tasks import TASKS
from netwright.tasks.recipe import Choice, General, Recipe, RunOptions

RECIPES = Path(__file__).parent.parent / "recipes"

_TOKEN = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class _Group:
    """A nested group of settings: its common fields, and the family its name is looked up in."""

    common: type | None
    family: Registry[Any] | None
    default: str | None
    open_names: bool = False
    """Whether a name outside the family can be right (a path, a factory)."""


GROUPS: Mapping[str, _Group] = {
    "data": _Group(DataOptions, SOURCES, None, open_names=True),
    "model": _Group(None, MODELS, "resnet20", open_names=True),
    "optim": _Group(None, OPTIMIZERS, "adamw"),
    "sched": _Group(ScheduleCommon, SCHEDULES, "one-cycle"),
    "loss": _Group(None, LOSSES, "cross_entropy"),
    "run": _Group(RunOptions, None, None),
}


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A recipe, every value of it by dotted name, and where each came from."""

    recipe: Recipe
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    notes: Sequence[Noted] = field(default=())

    def to_yaml(self) -> str:
        """The whole recipe as YAML, the origin of each value behind it as a comment."""
        return yaml_files.write(self.values, comments=self.origins)

    def plain(self) -> dict[str, Any]:
        """The values as numbers, texts and lists only."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in self.values.items()}


@dataclass(frozen=True)
class _Layer:
    origin: str
    values: Mapping[str, Any]


def resolve(
    *,
    data: str | None = None,
    model: str | None = None,
    config: str | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    environ: Mapping[str, str] | None = None,
    shorthands: Mapping[str, Any] = MappingProxyType({}),
) -> Resolved:
    """The recipe that these sources make together.

    `settings`: tokens `name=value` as on the command line, or a mapping as in Python (`__`
    stands for the dot). `config`: a YAML or JSON file, a run folder, or the name of a recipe.
    `shorthands`: what `--seed` and `--device` said. Raises `SettingError` with every fault.
    """
    notes: list[Noted] = []
    typed = tokens(settings) if not isinstance(settings, Mapping) else _from_python(settings)
    for name, value in shorthands.items():
        if value is not None and name in typed and show(typed[name]) != show(value):
            raise SettingError(
                "--{name} {left} and {name}={right} differ; give one of them.",
                name=name,
                left=value,
                right=show(typed[name]),
            )
    typed |= {name: value for name, value in shorthands.items() if value is not None}
    layers: list[_Layer] = []
    if config is not None:
        layers.append(_config_layer(config, notes))
    else:
        layers += _matching_recipe(data, model, typed, notes)
    layers.append(_Layer("environment", _from_environment(environ or os.environ)))
    if data is not None:
        layers.append(_Layer("command line", {"data.name": data}))
    if model is not None:
        layers.append(_Layer("command line", {"model.name": model}))
    layers.append(_Layer("command line", typed))
    return _merge(layers, notes)


def read_config(spec: str) -> Resolved:
    """The recipe in a file, a run folder, or of a registered recipe name, on its own."""
    notes: list[Noted] = []
    return _merge([_config_layer(spec, notes)], notes)


def changed(resolved: Resolved, changes: Mapping[str, Any]) -> Resolved:
    """`resolved` with some values replaced, everything else and its origin kept."""
    if not changes:
        return resolved
    layers = [
        _Layer(origin, {name: value})
        for name, value in resolved.plain().items()
        for origin in [resolved.origins[name]]
    ]
    return _merge([*layers, _Layer("command line", changes)], list(resolved.notes))


def recipe_names() -> list[str]:
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def difference(left: Resolved, right: Resolved) -> list[tuple[str, Any, Any]]:
    """(name, left value, right value) for every setting that is not the same in both."""
    names = list(dict.fromkeys([*left.values, *right.values]))
    rows = [(name, left.values.get(name), right.values.get(name)) for name in names]
    return [row for row in rows if row[1] != row[2]]


def tokens(words: Iterable[str]) -> dict[str, Any]:
    """`name=value` words as dotted names and values; the last of several wins.

    >>> tokens(["optim.lr=1e-3", "model=mlp", "model.hidden=[64, 32]"])
    {'optim.lr': 0.001, 'model': 'mlp', 'model.hidden': [64, 32]}
    """
    found: dict[str, Any] = {}
    for word in words:
        match = _TOKEN.fullmatch(word)
        if match is None:
            raise SettingError(
                '"{word}" is not a setting.',
                hint="Settings are written name=value, such as optim.lr=0.01.",
                word=word,
            )
        found[match[1]] = yaml_files.parse_value(match[2])
    return found


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
                "properties": {entry.name: {"description": entry.doc} for entry in AUGMENTATIONS},
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


def _merge(layers: Sequence[_Layer], notes: list[Noted]) -> Resolved:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        flat = _canonical(layer)
        for name in flat:
            group, _, leaf = name.partition(".")
            changed = leaf == "name" and values.get(name) not in (None, flat[name])
            if changed or (group == "aug" and leaf == "name"):
                _drop_leaf_settings(group, values, origins)
        for name, value in flat.items():
            if name == "aug.name":  # `aug=none` clears; there is nothing to choose
                continue
            values[name] = value
            origins[name] = _origin(layer, name)
    return _assemble(values, origins, notes)


def _canonical(layer: _Layer) -> dict[str, Any]:
    """Dotted names with bare groups spelled out: `optim=adamw` is `optim.name=adamw`."""
    flat: dict[str, Any] = {}
    for name, value in flatten(dict(layer.values)).items():
        if name in GROUPS or name == "aug":
            if name == "run" or (name == "aug" and value not in (None, False, "none", {})):
                raise SettingError(
                    '"{name}" is a group of settings: write {name}.SETTING=value.', name=name
                )
            flat[f"{name}.name"] = value
        else:
            flat[name] = value
    return flat


def _drop_leaf_settings(group: str, values: dict[str, Any], origins: dict[str, str]) -> None:
    common = GROUPS[group].common if group in GROUPS else None
    kept = {each.name for each in settings_of(common)} if common is not None else set()
    for name in [each for each in values if each.startswith(f"{group}.")]:
        if name.partition(".")[2] not in kept:
            del values[name], origins[name]


def _origin(layer: _Layer, name: str) -> str:
    if layer.origin == "environment":  # the variable says more than the word
        return "NETWRIGHT_SET_" + name.replace(".", "__")
    return layer.origin


def _assemble(values: dict[str, Any], origins: dict[str, str], notes: list[Noted]) -> Resolved:
    """Fill in the defaults, validate everything, and collect every fault before raising."""
    faults: list[str] = []
    full: dict[str, Any] = {}
    made: dict[str, Any] = {}
    top = {n: v for n, v in values.items() if "." not in n and n not in GROUPS}
    stray = [n for n in values if "." in n and n.partition(".")[0] not in (*GROUPS, "aug")]
    for name in stray:
        near = nearest(name.partition(".")[0], [*GROUPS, "aug"])
        faults.append(
            f"{name}: no such group of settings. "
            + (f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join([*GROUPS, 'aug'])}.")
        )
    made["general"] = _collect(faults, General, top, "", full)
    if isinstance(made["general"], General) and made["general"].task not in TASKS:
        error = UnknownNameError("task", made["general"].task, TASKS.names())
        faults.append(str(error))
    for group_name, group in GROUPS.items():
        inner = {
            name.partition(".")[2]: value
            for name, value in values.items()
            if name.startswith(f"{group_name}.")
        }
        _assemble_group(group_name, group, inner, faults, full, made)
    made["aug"] = _augmentations(values, faults, full)
    if faults:
        raise SettingError("{faults}", faults="\n".join(faults))
    _note_text_numbers(values, full, origins, notes)
    return Resolved(
        recipe=Recipe(**made),
        values=MappingProxyType(full),
        origins=MappingProxyType({name: origins.get(name, "default") for name in full}),
        notes=tuple(notes),
    )


def _assemble_group(
    name: str,
    group: _Group,
    inner: dict[str, Any],
    faults: list[str],
    full: dict[str, Any],
    made: dict[str, Any],
) -> None:
    prefix = f"{name}."
    if group.family is None:
        made[name] = _collect(faults, group.common, inner, prefix, full)
        return
    chosen = inner.pop("name", group.default)
    if chosen is None:
        faults.append("No data: give DATA, or data.name in the recipe.")
        return
    if not isinstance(chosen, str):
        faults.append(f"{prefix}name: {show(chosen)} is not allowed: expected text.")
        return
    common_names: set[str] = set()
    if group.common is not None:
        common_names = {each.name for each in settings_of(group.common)} - {"name", "source"}
    common = {key: value for key, value in inner.items() if key in common_names}
    special = {key: value for key, value in inner.items() if key not in common_names}
    options: Mapping[str, Any] = special
    full[f"{prefix}name"] = chosen
    if group.common is not None:
        wanted = {"name": chosen, "source": special, **common} if name == "data" else common
        # What the leaf does not know is told below, with the names of both.
        made[name if name == "data" else f"{name}_common"] = _collect(
            faults, group.common, wanted, prefix, full
        )
    if chosen in group.family and not (name == "data" and is_layout(chosen)):
        entry = group.family.get(chosen)
        options = _leaf_options(entry.options, special, common_names, prefix, faults, full)
        chosen = entry.name
        full[f"{prefix}name"] = chosen
    elif not group.open_names or not _is_path_or_factory(chosen, name):
        error = UnknownNameError(group.family.kind, chosen, group.family.names(),
                                 listing=group.family.listing)  # fmt: skip
        faults.append(str(error))
    else:
        full |= {f"{prefix}{key}": value for key, value in special.items()}
    if name != "data":
        made[name] = Choice(name=chosen, options=MappingProxyType(dict(options)))


def _leaf_options(
    options: type | None,
    special: Mapping[str, Any],
    common_names: set[str],
    prefix: str,
    faults: list[str],
    full: dict[str, Any],
) -> Mapping[str, Any]:
    known = {each.name for each in settings_of(options)} if options is not None else set()
    for key in [key for key in special if key not in known]:
        everything = known | common_names | {"name"}
        near = nearest(key, everything)
        faults.append(
            f"{prefix}{key}: no such setting of {full[prefix + 'name']}. "
            + (f"Did you mean {' or '.join(repr(prefix + each) for each in near)}?" if near
               else f"Known: {', '.join(sorted(everything))}.")
        )  # fmt: skip
    if options is None:
        return {}
    sane = {key: value for key, value in special.items() if key in known}
    built: Any = _collect(faults, options, sane, prefix, full)
    return dataclasses.asdict(built) if built is not None else {}


def _augmentations(
    values: Mapping[str, Any], faults: list[str], full: dict[str, Any]
) -> Mapping[str, Any]:
    asked = {
        name.partition(".")[2]: value for name, value in values.items() if name.startswith("aug.")
    }
    try:
        Augmentation(asked)
    except SettingError as error:
        faults.append(str(error))
    full |= {f"aug.{name}": value for name, value in asked.items()}
    return MappingProxyType(asked)


def _collect(
    faults: list[str],
    cls: type | None,
    inner: Mapping[str, Any],
    prefix: str,
    full: dict[str, Any],
) -> Any:
    """Build `cls`, note its values under their dotted names, and keep the faults for later."""
    assert cls is not None
    try:
        built: Any = build(cls, inner, prefix=prefix)
    except SettingError as error:
        faults.append(str(error))
        return None
    for each in settings_of(cls):
        if each.name != "source":  # the data's own settings, which stand beside it already
            full.setdefault(f"{prefix}{each.name}", getattr(built, each.name))
    return built


def _note_text_numbers(
    values: Mapping[str, Any],
    full: Mapping[str, Any],
    origins: Mapping[str, str],
    notes: list[Noted],
) -> None:
    """YAML 1.1 loads `1e-3` as text: taken for the number it looks like, and said."""
    for name, value in values.items():
        taken = full.get(name)
        if isinstance(value, str) and isinstance(taken, int | float):
            notes.append(
                Noted(
                    word="NOTE",
                    template="{name}: the text {text} in {origin} was read as the number {number}"
                    " (YAML wants a dot: 1.0e-3).",
                    values={
                        "name": name,
                        "text": repr(value),
                        "origin": origins.get(name, "?"),
                        "number": taken,
                    },
                )
            )


def is_layout(name: str) -> bool:
    """Whether a source is a layout of files: its name alone is no data."""
    return not SOURCES.get(name).facts.get("built_in")


def _is_path_or_factory(name: str, group: str) -> bool:
    """Whether a name outside the family can be meant: a factory, or a path."""
    if ":" in name:
        return True
    return group == "data" or "/" in name or Path(name).exists()


def _matching_recipe(
    data: str | None, model: str | None, typed: Mapping[str, Any], notes: list[Noted]
) -> list[_Layer]:
    """The recipe made for just this DATA (and MODEL), if the package has one."""
    data = data or typed.get("data.name") or typed.get("data")
    model = model or typed.get("model.name") or typed.get("model")
    wanted = f"{data}-{model}" if model else f"{data}"
    if wanted not in recipe_names():
        return []
    layer = _config_layer(wanted, notes)
    if model and layer.values.get("model.name") not in (None, model):
        return []
    return [layer]


def _config_layer(spec: str, notes: list[Noted]) -> _Layer:
    path = Path(spec)
    if path.suffix in {".yaml", ".yml", ".json"} or path.is_file():
        return _Layer(f"file {path.name}", _file_values(path))
    if spec in recipe_names():
        return _Layer(f"recipe {spec}", _file_values(RECIPES / f"{spec}.yaml"))
    if path.is_dir() or spec == "latest":
        run = find_run(spec)
        return _Layer(f"run {run.path.name}", _file_values(run.path / "config.yaml"))
    raise UnknownNameError("recipe", spec, recipe_names(), listing="netwright ls recipes")


def _file_values(path: Path) -> dict[str, Any]:
    values = yaml_files.read(path)
    if not isinstance(values, dict):
        raise SettingError(
            "{path} holds no settings: expected lines of the form name: value.", path=str(path)
        )
    return _canonical(_Layer("", values))


def _from_python(settings: Mapping[str, Any]) -> dict[str, Any]:
    return flatten({name.replace("__", "."): value for name, value in settings.items()})


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    prefix = "NETWRIGHT_SET_"
    return {
        name.removeprefix(prefix).replace("__", "."): yaml_files.parse_value(value)
        for name, value in sorted(environ.items())
        if name.startswith(prefix)
    }


def _all_settings(group: _Group) -> list[Setting]:
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
