"""Recipe files: YAML and JSON read safely, and written with the origin of each value.

Read: no tags, no aliases (a few lines of them can stand for gigabytes), no key given twice,
1 MB at most. Written: flat where possible, one group a block, numbers that YAML 1.1 and 1.2
read alike.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from netwright.core.config import nest
from netwright.core.errors import SettingError

_LIMIT = 1_000_000
_LONGEST_NUMBER = 400
_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?")


def read(path: Path) -> Any:
    """The value in a YAML or JSON file; `SettingError` names the line of what cannot be read."""
    try:
        if not path.is_file():
            raise SettingError("No file {path}.", path=str(path))
        if path.stat().st_size > _LIMIT:
            raise SettingError(
                "{path} has more than 1 MB: this is no file of settings.", path=str(path)
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            "Cannot read {path}: {reason}.", path=str(path), reason=str(error)
        ) from None
    return parse(text, name=str(path))


def parse(text: str, *, name: str) -> Any:
    """The value of a YAML text; `name` is what to call it in messages."""
    try:
        return yaml.load(text, Loader=_PlainLoader)  # a SafeLoader, narrowed
    except _UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        reason = getattr(error, "problem", None) or str(error) or "nested too deeply"
        raise SettingError(
            "Cannot read {name}{line}: {reason}.", name=name, line=line, reason=reason
        ) from None


def parse_value(text: str) -> Any:
    """One value as it is typed on the command line: numbers, true, false, none, [lists], text.

    >>> [parse_value(each) for each in ("1e-3", "8", "true", "none", "[1, 2]", "on", "a b", "")]
    [0.001, 8, True, None, [1, 2], 'on', 'a b', '']
    """
    plain = text.strip()
    words = {"true": True, "false": False, "none": None, "null": None}
    if plain.lower() in words:
        return words[plain.lower()]
    if _NUMBER.fullmatch(plain):
        whole = re.fullmatch(r"[-+]?[\d_]+", plain)
        if len(plain) > _LONGEST_NUMBER:
            return text  # no setting has as many digits; Python refuses to read some of them
        return int(plain) if whole else float(plain.replace("_", ""))
    if plain[:1] == "[" and plain[-1:] == "]":
        inner = plain[1:-1].strip()
        if not any(char in inner for char in "[]{}\"'"):
            return [parse_value(each) for each in inner.split(",")] if inner else []
    if plain[:1] in "[{" and plain:
        return parse(plain, name=plain)
    return text


def write(values: Mapping[str, Any], *, comments: Mapping[str, str]) -> str:
    """Dotted names and values as YAML, each with its comment; `read` gives the same back."""
    lines: list[str] = []
    for name, value in nest(values).items():
        if isinstance(value, dict):
            lines.append(f"{name}:")
            for inner, each in value.items():
                lines.append(f"  {_line(inner, each, comments.get(f'{name}.{inner}', ''))}")
        else:
            lines.append(_line(name, value, comments.get(name, "")))
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any, comment: str) -> str:
    text = f"{name}: {_scalar(value)}"
    return f"{text:<38}  # {comment}" if comment else text


def _scalar(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        text = repr(value)
        # YAML 1.1 knows a float by its dot: 1e-05 would be read back as text.
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=True)


# Besides its own errors PyYAML lets through what its constructors meet in odd values.
_UNREADABLE = (
    yaml.YAMLError,
    RecursionError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
)


class _PlainLoader(yaml.SafeLoader):
    """A SafeLoader that also refuses aliases, tags, and keys given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not allowed here", event.start_mark
            )
        tag = getattr(self.peek_event(), "tag", None)
        if tag is not None:
            raise yaml.composer.ComposerError(
                None, None, f"tags ({tag}) are not allowed here", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the name {key!r} is not text", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the name {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
