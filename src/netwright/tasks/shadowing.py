"""Files beside a script that bear the name of a module of the standard library.

Python gives the script its own `statistics.py`, for the folder of a script comes first. A command
that has loaded the library's before would give it that one, and the script would fail.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import types
from pathlib import Path

AT_START = frozenset(
    {
        "abc", "builtins", "codecs", "encodings", "genericpath", "io", "marshal", "ntpath", "os",
        "posix", "posixpath", "site", "stat", "sys", "time", "zipimport",
    }
)  # fmt: skip
"""What Python itself has loaded before it runs any script."""

OURS = ("core", "arithmetic", "records", "report", "doctor.conditions")
"""Packages of ours that come without torch, and are used when the script is over."""


def taken_out(folder: str) -> dict[str, types.ModuleType]:
    """Take out of `sys.modules` what files in `folder` stand for; what was there comes back, by
    name. What we shall need of it is loaded before."""
    beside = _names(Path(folder)) & sys.stdlib_module_names - AT_START
    if not beside:
        return {}
    for each in OURS:
        package = importlib.import_module(f"netwright.{each}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    names = [name for name in sys.modules if name.partition(".")[0] in beside]
    return {name: sys.modules.pop(name) for name in names}


def _names(folder: Path) -> set[str]:
    try:
        files = {each.stem for each in folder.glob("*.py")}
        return files | {each.parent.name for each in folder.glob("*/__init__.py")}
    except OSError:
        return set()
