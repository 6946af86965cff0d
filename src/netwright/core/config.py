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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, dataclass_transform

import pydantic
from pydantic.fields import FieldInfo

from netwright.core.errors import SettingError, nearest
from netwright.core.languages import Phrase, Series

T = TypeVar("T")

Count: TypeAlias = Annotated[int, pydantic.Field(ge=0)]
"""A whole number from 0, for a field that also takes a word: `Count | Literal["auto"]`. (A bound
on the field itself would be applied to the word too.)"""

Amount: TypeAlias = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
"""A number from 0, for a field that also takes a word."""


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
    extra: dict[str, Any] = {"unit": unit, "search": list(search) if search else None}
    bounds: dict[str, Any] = {"gt": gt, "ge": ge, "lt": lt, "le": le}
    return pydantic.Field(
        default=default,
        description=help,
        kw_only=True,  # pydantic forgets the one of the class for a field with a default of its own
        **bounds,
        allow_inf_nan=None if set(bounds.values()) == {None} else False,
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
    known = sorted(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]
    faults = [_unknown(prefix, name, known) for name in values if name not in known]
    sane = {name: value for name, value in values.items() if name in known}
    # pydantic takes true for 1.0; in a recipe that is YAML's reading of a word like "on".
    truths = [f for f in settings_of(cls) if isinstance(sane.get(f.name), bool) and not f.truth]
    faults += [_not_allowed(prefix, field, sane.pop(field.name)) for field in truths]
    try:
        made = cls(**sane)
    except pydantic.ValidationError as error:
        faults += _faults(cls, prefix, error)
    if faults:
        raise SettingError("{faults}", faults=Series(faults))
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
        return ", ".join(str(each) for each in self._range())

    @property
    def truth(self) -> bool:
        """Whether true and false are among its values."""
        kinds = {self.annotation, *typing.get_args(self.annotation)}
        return bool in kinds or Any in kinds or True in self.choices

    @property
    def expected(self) -> Phrase | Series:
        """The type and the range, to be spoken: "a number above 0, at most 1 or none"."""
        kinds = [each for each in _kind(self.annotation) if each.template != _NONE]
        words: list[object] = [Series(kinds, between=" or ")]
        if self.bounds:
            bounds = Series(self._range(), between=", ")
            spelled = [each for each in kinds if "choices" in each.values]  # have no range
            kind = Series((each for each in kinds if each not in spelled), between=" or ")
            words = [Phrase("{kind} {range}", kind=kind, range=bounds), *spelled]
        named = any(_NONE in str(each.values.get("choices", "")).split(", ") for each in kinds)
        if len(kinds) < len(_kind(self.annotation)) and not named:
            words.append(Phrase(_NONE))
        return Series(words, between=" or ")

    def _range(self) -> list[Phrase]:
        if self.choices:
            choices = ", ".join(show(each) for each in self.choices)
            return [Phrase("one of {choices}", choices=choices)]
        words = {
            "gt": "above {bound}",
            "ge": "at least {bound}",
            "lt": "below {bound}",
            "le": "at most {bound}",
        }
        return [Phrase(words[name], bound=show(each)) for name, each in self.bounds.items()]

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
        node: Any = tree
        for group in groups:
            node = node.setdefault(group, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict) or name in node:
            raise SettingError(
                'Setting "{name}" is given as one value and as a group.', name=dotted
            )
        node[name] = value
    return tree


def _setting(name: str, info: FieldInfo) -> Setting:
    bounds: dict[str, float] = {}
    inner = [m for part in typing.get_args(info.annotation) for m in _marks(part)]
    for mark in [*info.metadata, *inner]:
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


def _marks(part: Any) -> Iterable[Any]:
    """The bounds inside `Annotated[int, Field(ge=0)]`."""
    for mark in getattr(part, "__metadata__", ()):
        yield from mark.metadata if isinstance(mark, FieldInfo) else [mark]


def _literals(annotation: Any) -> Iterable[Any]:
    """Every value that is spelled out, also beside others: `all` of a number or `all`."""
    if typing.get_origin(annotation) is Literal:
        yield from typing.get_args(annotation)
        return
    for part in typing.get_args(annotation):
        yield from _literals(part)


def _choices(annotation: Any) -> Iterable[Any]:
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = typing.get_args(annotation)
        found = [choice for each in parts for choice in _choices(each)]
        free = [each for each in parts if each is not type(None) and not list(_choices(each))]
        return [] if free else found
    return ()


def _unknown(prefix: str, name: str, known: Sequence[str]) -> Phrase:
    near = nearest(name, known)
    if near:
        return Phrase(
            "{name}: no such setting. Did you mean {near}?",
            name=f"{prefix}{name}",
            near=Series((f"{prefix}{each}" for each in near), between=" or "),
        )
    return Phrase(
        "{name}: no such setting. Known: {known}.",
        name=f"{prefix}{name}",
        known=", ".join(known) or "-",
    )


def _faults(cls: type, prefix: str, error: pydantic.ValidationError) -> list[Phrase]:
    """pydantic's own words carry its address and its type names, so the faults are worded here:
    `optim.lr: 0 is not allowed: expected a number above 0.` One for each field: a field of
    several types has an error for each of them."""
    known = {each.name: each for each in settings_of(cls)}
    worded: dict[str, Phrase] = {}
    for each in error.errors(include_url=False, include_context=False):
        name = str(each["loc"][0]) if each["loc"] else ""
        if name in known and each["type"] != "value_error":
            worded.setdefault(name, _not_allowed(prefix, known[name], each["input"]))
        else:  # a rule of the class itself, which words what it wants
            reason = str(each["msg"]).removeprefix("Value error, ")
            whole = f"{prefix}{name}" if name else prefix.rstrip(".")
            phrase = Phrase("{name}: {reason}", name=whole, reason=reason)
            worded.setdefault(name, phrase if whole else Phrase("{reason}", reason=reason))
    return list(worded.values())


def _not_allowed(prefix: str, field: Setting, value: Any) -> Phrase:
    spelled = [str(choice) for choice in _literals(field.annotation)]
    near = nearest(value, spelled) if isinstance(value, str) else []
    words: dict[str, Any] = {
        "name": f"{prefix}{field.name}",
        "value": _short(show(value)),
        "expected": field.expected,
    }
    if near:
        return Phrase(
            "{name}: {value} is not allowed: expected {expected}. Did you mean {near}?",
            **words,
            near=Series(near, between=" or "),
        )
    if isinstance(value, bool):
        return Phrase(
            "{name}: {value} is not allowed: expected {expected}. (YAML reads yes, no, on and "
            "off as true and false: put quotes around a word.)",
            **words,
        )
    return Phrase("{name}: {value} is not allowed: expected {expected}.", **words)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(annotation: Any) -> list[Phrase]:
    """The types a field takes, in words."""
    if annotation in _WORDS:
        return [Phrase(_WORDS[annotation])]
    if hasattr(annotation, "__metadata__"):
        return _kind(annotation.__origin__)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        given = typing.get_args(annotation)
        choices = ", ".join(show(each) for each in given)
        return [Phrase("one of {choices}" if len(given) > 1 else "{choices}", choices=choices)]
    if origin in (typing.Union, types.UnionType):
        return [kind for each in typing.get_args(annotation) for kind in _kind(each)]
    if origin in (list, tuple):
        inner = _kind(typing.get_args(annotation)[0])
        return [Phrase("a list, each {inner}", inner=Series(inner, between=" or "))]
    if origin is not None:
        return _kind(origin)
    named = getattr(annotation, "in_words", getattr(annotation, "__name__", str(annotation)))
    return [Phrase(_WORDS.get(annotation, named))]


_NONE = "none"
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a group of settings",
    type(None): _NONE,
}
