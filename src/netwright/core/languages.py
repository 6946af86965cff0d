"""The words on the screen: English templates in the code, Chinese beside them in `zh/*.json`.

A message is looked up by its English template, so code reads as what it says and a missing
translation shows English, never a key. A test holds every template against the catalogues.
"""

from __future__ import annotations

import functools
import json
import locale
import os
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


def say(template: str, **values: Any) -> str:
    """`template` in the current language, its `{places}` filled from `values`."""
    text = template
    if current() == "zh":
        text = _catalogue().get(template, template)
    return text.format(**values) if values else text.replace("{{", "{").replace("}}", "}")


def _code(name: str) -> str:
    return "zh" if name.lower().startswith("zh") else "en"


@functools.cache
def _catalogue() -> dict[str, str]:
    words: dict[str, str] = {}
    for page in sorted(files("netwright.core").joinpath("zh").iterdir(), key=lambda p: p.name):
        if page.name.endswith(".json"):
            words.update(json.loads(page.read_text(encoding="utf-8")))
    return words
