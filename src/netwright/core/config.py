"""The one configuration idiom: frozen dataclasses whose fields state their own range and help.

    @config
    class SGDOptions:
        lr: float = setting(0.05, gt=0, help="learning rate", search=(1e-4, 1.0))

A range declared once on the field serves the error message, the docs, the bad-value tests and
the search space of the tuner. `build` validates a mapping and words every fault for a user.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, dataclass_transform

import pydantic
from pydantic.fields import FieldInfo

from netwright.core.errors import SettingError, nearest

T = TypeVar("T")


def setting(
    default: Any,
    *,
    help: str,  # noqa: A002  # the word users know it by
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    unit: str = "",
    search: tuple[float, float] | None = None,
) -> Any:
    """One field of a `config` class: its default, its meaning in a few words, its range.

    `search` is the part of the range a tuner should look at; `unit` is printed behind values.
    """
    extra = {"unit": unit, "search": list(search) if search else None}
    return pydantic.Field(
        default=default,
        description=help,
        gt=gt,
        ge=ge,
        lt=lt,
        le=le,
        allow_inf_nan=False if (gt, ge, lt, le) != (None,) * 4 else None,
        json_schema_extra={name: value for name, value in extra.items() if value},
    )


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting,))
def config(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, keyword-only dataclass validated by pydantic; extra keys are refused."""
    settings = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    made = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=settings)(cls)
    return typing.cast(type[T], made)


def build(cls: type[T], values: Mapping[str, Any], *, prefix: str = "") -> T:
    """An instance of the config class `cls` from `values`.

    Every fault raises one `SettingError` that lists all of them by dotted name, with the value
    given, what was expected and, for an unknown name, the nearest known one. Text is taken for
    a number when it reads as one (YAML 1.1 loads `1e-3` as text; the reader says so).
    """
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    faults = []
    for name in values:
        if name not in known:
            near = nearest(name, known)
            faults.append(
                f"{prefix}{name}: no such setting. "
                + (f"Did you mean {' or '.join(repr(each) for each in near)}?" if near
                   else f"Known: {', '.join(sorted(known)) or 'none'}.")
            )
    sane = {name: value for name, value in values.items() if name in known}
    try:
        made = cls(**sane)
    except pydantic.ValidationError as error:
        faults += [_fault(cls, prefix, each) for each in error.errors(include_url=False)]
    if faults:
        raise SettingError("{faults}", faults="\n".join(dict.fromkeys(faults)))
    return made


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field of a config class says about itself."""

    name: str
    annotation: Any
    default: Any
    help: str
    bounds: Mapping[str, float]
    choices: tuple[Any, ...]
    unit: str = ""
    search: tuple[float, float] | None = None

    @property
    def range(self) -> str:
        """The range in words: "above 0, at most 1", "one of relu, tanh", "" if free."""
        if self.choices:
            return "one of " + ", ".join(show(each) for each in self.choices)
        words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
        return ", ".join(f"{words[name]} {show(b)}" for name, b in self.bounds.items())

    def bad_values(self) -> list[Any]:
        """Values just outside the range, for tests."""
        bad: list[Any] = []
        for name, bound in self.bounds.items():
            step = {"gt": 0, "ge": -1, "lt": 0, "le": 1}[name]
            bad.append(bound + step)
        if self.choices:
            bad.append("no-such-choice")
        return bad


def settings_of(cls: type) -> list[Setting]:
    """The fields of a config class, in the order they are declared."""
    fields: Mapping[str, FieldInfo] = cls.__pydantic_fields__  # type: ignore[attr-defined]
    return [_setting(name, info) for name, info in fields.items()]


def show(value: Any) -> str:
    """A setting's value as it is written on the command line and in YAML.

    >>> show(None), show(True), show(0.001), show("relu"), show((1, 2))
    ('none', 'true', '0.001', 'relu', '[1, 2]')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(show(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {show(v)}" for k, v in value.items()) + "}"
    return str(value)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested groups as one flat mapping with dotted names.

    >>> flatten({"epochs": 3, "optim": {"name": "sgd", "lr": 0.1}})
    {'epochs': 3, 'optim.name': 'sgd', 'optim.lr': 0.1}
    """
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        *groups, name = dotted.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise SettingError(
                    'Setting "{name}" is given as one value and as a group.', name=dotted
                )
        node[name] = value
    return tree


def _setting(name: str, info: FieldInfo) -> Setting:
    bounds: dict[str, float] = {}
    for mark in info.metadata:
        for bound in ("gt", "ge", "lt", "le"):
            if getattr(mark, bound, None) is not None:
                bounds[bound] = getattr(mark, bound)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    search = typing.cast("list[float] | None", extra.get("search"))
    return Setting(
        name=name,
        annotation=info.annotation,
        default=info.get_default(call_default_factory=True, validated_data={}),
        help=info.description or "",
        bounds=bounds,
        choices=tuple(_choices(info.annotation)),
        unit=str(extra.get("unit", "")),
        search=(search[0], search[1]) if search else None,
    )


def _choices(annotation: Any) -> Iterable[Any]:
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [each for each in typing.get_args(annotation)]
        found = [choice for each in parts for choice in _choices(each)]
        free = [each for each in parts if each is not type(None) and not list(_choices(each))]
        return [] if free else found
    return ()


def _fault(cls: type, prefix: str, error: Any) -> str:
    """One pydantic error as `optim.lr: 5.0 is not allowed: expected a number above 0`."""
    name = str(error["loc"][0]) if error["loc"] else ""
    known = {each.name: each for each in settings_of(cls)}
    if not name or name not in known:
        message = str(error["msg"]).removeprefix("Value error, ")
        return f"{prefix}{name}: {message}" if name else f"{prefix.rstrip('.')}: {message}".lstrip(": ")
    field = known[name]
    value = error.get("input")
    expected = ", ".join(each for each in (_kind(field.annotation), field.range) if each)
    text = f"{prefix}{name}: {show(value)!s} is not allowed: expected {expected}."
    if isinstance(value, str) and field.choices:
        near = nearest(value, [str(choice) for choice in field.choices])
        text += f" Did you mean {near[0]!r}?" if near else ""
    if isinstance(value, bool) and not _kind(field.annotation).startswith("true"):
        text += " (YAML reads yes, no, on and off as true and false: put quotes around a word.)"
    return text


def _kind(annotation: Any) -> str:
    """The type of a field in words."""
    words: dict[Any, str] = {
        bool: "true or false", int: "a whole number", float: "a number", str: "text",
        type(None): "none",
    }
    if annotation in words:
        return words[annotation]
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return ""
    if origin in (typing.Union, types.UnionType):
        parts = [_kind(each) for each in typing.get_args(annotation)]
        return " or ".join(dict.fromkeys(each for each in parts if each))
    if origin in (list, tuple):
        inner = _kind(typing.get_args(annotation)[0])
        return f"a list, each {inner}"
    return getattr(annotation, "__name__", str(annotation))


