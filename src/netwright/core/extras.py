"""Packages that only some parts need: asked for before anything is made, named when absent."""

from __future__ import annotations

import importlib

from netwright.core.errors import SettingError


def refuse_absent_extra(extra: str, module: str, setting: str) -> None:
    """`SettingError` unless `module`, which comes with the extra, can be imported.

    >>> refuse_absent_extra("track", "no_such_module", "run.tensorboard")
    Traceback (most recent call last):
    netwright.core.errors.SettingError: run.tensorboard needs packages that are not here: ...
    Install them:  pip install "netwright[track]"
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise SettingError(
            "{setting} needs packages that are not here: {reason}.",
            hint='Install them:  pip install "netwright[{extra}]"',
            setting=setting,
            extra=extra,
            reason=str(error).rstrip("."),
        ) from error
