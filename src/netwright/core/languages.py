"""The words on the screen: English templates in the code, Chinese beside them in `zh/*.json`.

A message is looked up by its English template, so code reads as what it says and a missing
translation shows English, never a key. A test holds every template against the catalogues.
"""

from __future__ import annotations

import contextlib
import functools
import json
import locale
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "zh")

_chosen: str | None = None


def use(language: str | None) -> None:
    """Speak `language` (`en`, `zh`, or a locale such as `zh_CN.UTF-8`) from here on.

    None returns to what the environment says: `NETWRIGHT_LANG`, else the locale.
    """
    global _chosen
    _chosen = None if language is None else _code(language)


@contextlib.contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Speak `language` inside the `with` block; None changes nothing."""
    global _chosen
    before = _chosen
    if language is not None:
        use(language)
    try:
        yield
    finally:
        _chosen = before


def current() -> str:
    """The language messages are in: `en` or `zh`."""
    if _chosen is not None:
        return _chosen
    named = os.environ.get("NETWRIGHT_LANG")
    if named:
        return _code(named)
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(variable):
            return _code(os.environ[variable])
    return _code(locale.getlocale()[0] or "en")


def say(template: str, /, **values: Any) -> str:
    """`template` in the current language, its `{places}` filled from `values`."""
    text = template
    if current() == "zh":
        text = _catalogue().get(template, template)
        values = {name: _localized(value) for name, value in values.items()}
    return _fill(text, values)


class Phrase:
    """A message inside a message: a template that is spoken when the whole is.

    >>> str(Phrase("above {bound}", bound=0))
    'above 0'
    """

    def __init__(self, template: str, /, **values: Any) -> None:
        self.template = template
        self.values = values

    def __str__(self) -> str:
        """In English, whatever the user speaks: for logs, files and Python."""
        return _fill(self.template, self.values)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def localized(self) -> str:
        """In the language of the user."""
        return say(self.template, **self.values)

    def escaped(self, escape: Callable[[object], str]) -> Phrase:
        """The same with every value that is no phrase itself escaped."""
        return Phrase(self.template, **escape_values(self.values, escape))


class Series:
    """Several phrases or texts in one place of a template, `between` them its own template.

    >>> str(Series(["a", "b"])), str(Series(["a", "b"], between=" or "))
    ('a\\nb', 'a or b')
    """

    def __init__(self, parts: Iterable[object], *, between: str = "\n") -> None:
        self.parts = tuple(parts)
        self.between = between

    def __str__(self) -> str:
        """In English."""
        return self.between.join(str(each) for each in self.parts)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def localized(self) -> str:
        """In the language of the user."""
        return say(self.between).join(str(_localized(each)) for each in self.parts)

    def escaped(self, escape: Callable[[object], str]) -> Series:
        """The same with every part that is no phrase itself escaped."""
        return Series((_escaped(each, escape) for each in self.parts), between=self.between)


def escape_values(values: Mapping[str, Any], escape: Callable[[object], str]) -> dict[str, Any]:
    """`values` made safe for where they are shown; the words of templates stay as they are."""
    return {name: _escaped(value, escape) for name, value in values.items()}


def _escaped(value: Any, escape: Callable[[object], str]) -> Any:
    if isinstance(value, Phrase | Series):
        return value.escaped(escape)
    if isinstance(value, bool | int | float):
        return value  # a template may format it: {loss:.3f}
    return escape(value)


def _localized(value: Any) -> Any:
    return value.localized() if isinstance(value, Phrase | Series) else value


def _fill(template: str, values: Mapping[str, Any]) -> str:
    """Text without values is often a title or a path and may hold a brace of its own."""
    if values:
        return template.format(**values)
    return template.replace("{{", "{").replace("}}", "}")


def _code(name: str) -> str:
    return "zh" if name.lower().startswith("zh") else "en"


@functools.cache
def _catalogue() -> dict[str, str]:
    words: dict[str, str] = {}
    for page in sorted(files("netwright.core").joinpath("zh").iterdir(), key=lambda p: p.name):
        if page.name.endswith(".json"):
            words.update(json.loads(page.read_text(encoding="utf-8")))
    return words
