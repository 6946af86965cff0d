"""Settings: from defaults, recipe, file, environment and command line to one recipe.

Each source is a layer of dotted names; a later layer wins, and the origin of every value is
kept. A layer that chooses another leaf of a group (`optim=adamw` over a recipe with `sgd`)
also drops what lower layers said about the old leaf: a rate for SGD means nothing to AdamW.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwright.core import yaml_files
from netwright.core.config import flatten, settings_of, show
from netwright.core.errors import SettingError, UnknownNameError
from netwright.core.events import Noted
from netwright.core.languages import Phrase
from netwright.records.run import find_run
from netwright.tasks.assembling import GROUPS, assemble
from netwright.tasks.recipe import Recipe

RECIPES = Path(__file__).parent.parent / "recipes"

_TOKEN = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=(.*)", re.DOTALL)


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
    """The recipe in a file, a run folder, or of a registered recipe name, on its own.

    A recipe may leave the data to the command line; they are then called `DATA` here.
    """
    notes: list[Noted] = []
    layer = _config_layer(spec, notes)
    return _merge([_Layer("left open", {"data.name": "DATA"}), layer], notes)


def changed(
    resolved: Resolved, changes: Mapping[str, Any], *, origin: str = "command line"
) -> Resolved:
    """`resolved` with some values replaced, everything else and its origin kept."""
    if not changes:
        return resolved
    layers = [
        _Layer(origin, {name: value})
        for name, value in resolved.plain().items()
        for origin in [resolved.origins[name]]
    ]
    return _merge([*layers, _Layer(origin, changes)], list(resolved.notes))


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
    recipe, full = assemble(values)
    _note_text_numbers(values, full, origins, notes)
    return Resolved(
        recipe=recipe,
        values=MappingProxyType(full),
        origins=MappingProxyType({name: origins.get(name, "default") for name in full}),
        notes=tuple(notes),
    )


def _canonical(layer: _Layer) -> dict[str, Any]:
    """Dotted names with bare groups spelled out: `optim=adamw` is `optim.name=adamw`."""
    flat: dict[str, Any] = {}
    for name, value in flatten(dict(layer.values)).items():
        if name in GROUPS or name == "aug":
            if name in ("run", "doctor", "transfer") or (
                name == "aug" and value not in (None, False, "none", {})
            ):
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
                        "origin": _said(origins.get(name, "?")),
                        "number": taken,
                    },
                )
            )


def _said(origin: str) -> str | Phrase:
    """An origin in the reader's language; a file or a variable is called what it is called."""
    return Phrase("command line") if origin == "command line" else origin


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
        name.removeprefix(prefix).lower().replace("__", "."): yaml_files.parse_value(value)
        for name, value in sorted(environ.items())
        if name.startswith(prefix)
    }
