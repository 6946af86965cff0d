"""DATA and MODEL on the command line: what was meant when they cannot be what they say.

A recipe would turn down most of these too, but as a name it does not know; here the place where
a word stands still tells what its writer had in mind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netwright.core.errors import SettingError, fold


def check_things(
    data: str | None,
    model: str | None,
    settings: Sequence[str] = (),
    *,
    resume: str | None = None,
) -> None:
    """Raise `SettingError` for a DATA or MODEL that is a setting without its value, a model where
    data stand, or another than `data=` or `model=` names.
    """
    for thing, group in ((data, "data"), (model, "model")):
        if thing is not None:
            _agrees(thing, group, settings)
            _has_value(thing)
    if data is not None and model is None and _is_model(data):
        if resume is None:
            raise SettingError(
                '"{name}" is a model, and stands where DATA is expected.',
                hint="Write DATA first: netwright train DATA {name}",
                name=data,
            )
        raise SettingError(
            '"{name}" is a model, and stands where DATA is expected.',
            hint="A run that goes on keeps its data and its model: leave both out. Another model "
            "is a new run: netwright train DATA {name}",
            name=data,
        )


def exists(thing: str) -> bool:
    """Whether there is a file or folder called so; a name no system would take is none."""
    try:
        return Path(thing).exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte in it
        return False


def _agrees(thing: str, group: str, settings: Sequence[str]) -> None:
    from netwright.core.config import flatten, show
    from netwright.tasks.settings import tokens

    for name, value in flatten(tokens(settings)).items():
        if name in (group, f"{group}.name") and fold(show(value)) != fold(thing):
            raise SettingError(
                "{thing} and {name}={value} differ; give one of them.",
                thing=thing,
                name=name,
                value=show(value),
            )


def _has_value(thing: str) -> None:
    if exists(thing) or thing not in _settings():
        return
    raise SettingError(
        '"{name}" is a setting without its value.', hint="Did you mean {name}=...?", name=thing
    )


def _settings() -> set[str]:
    """The names of all settings, those of every leaf too."""
    from netwright.core.config import settings_of
    from netwright.tasks.assembling import GROUPS
    from netwright.tasks.recipe import General

    names = {each.name for each in settings_of(General)}
    for name, group in GROUPS.items():
        owners = [group.common] if group.common is not None else []
        owners += [leaf.options for leaf in group.family or () if leaf.options is not None]
        names |= {f"{name}.{each.name}" for owner in owners for each in settings_of(owner)}
    return names


def _is_model(thing: str) -> bool:
    from netwright.data.sources import SOURCES
    from netwright.models import MODELS

    return thing in MODELS and thing not in SOURCES and not exists(thing)
