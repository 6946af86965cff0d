"""What an options class owes: defaults that hold, ranges that refuse, words that say which."""

from __future__ import annotations

import dataclasses
from typing import Any

from netwright.core.config import build, settings_of
from netwright.core.errors import SettingError


def check_options(options: type, *, prefix: str) -> None:
    """Hold a `config` class against its contract; `prefix` ("model.") leads its dotted names.

    - every setting has a help text, and a default that it accepts itself;
    - an instance is frozen;
    - a value outside a range, and a setting that does not exist, raise `SettingError` with the
      dotted name of the setting.
    """
    made: Any = build(options, {}, prefix=prefix)
    for each in settings_of(options):
        name = f"{prefix}{each.name}"
        assert each.help, f"{name} has no help text"
        again: Any = build(options, {each.name: each.default}, prefix=prefix)
        assert getattr(again, each.name) == getattr(made, each.name), (
            f"{name} given its default is not its default"
        )
        _check_frozen(made, each.name)
        for bad in each.bad_values():
            _check_refused(options, {each.name: bad}, prefix, name)
    _check_refused(options, {"no_such_setting": 1}, prefix, f"{prefix}no_such_setting")


def _check_frozen(made: object, name: str) -> None:
    try:
        setattr(made, name, getattr(made, name))
    except dataclasses.FrozenInstanceError:
        return
    raise AssertionError(f"{type(made).__name__} is not frozen: use core.config.config")


def _check_refused(options: type, values: dict[str, object], prefix: str, name: str) -> None:
    words = ""
    try:
        build(options, values, prefix=prefix)
    except SettingError as error:
        words = str(error)
    assert words, f"{name} takes {values}, which is out of its range"
    assert name in words, f"the error about {values} does not name {name}: {words}"
