"""Copies of a recipe to go on from: YAML to edit, or a Python script to read and change."""

from __future__ import annotations

import itertools
from pathlib import PurePath

from netwright.core.escaping import terminal
from netwright.core.languages import say
from netwright.tasks.annotated import LEFT_OPEN, annotated_yaml
from netwright.tasks.scripts import plain_loop
from netwright.tasks.settings import RECIPES, Resolved


def yaml_copy(resolved: Resolved, *, spec: str, file: str) -> str:
    """The recipe as commented YAML, with which `netwright train --config` gives the same numbers.

    `spec` names the recipe on a command line, `file` is the name of the copy.
    """
    return annotated_yaml(
        resolved,
        title=say("A copy of {recipe}, made by netwright cp.", recipe=terminal(spec)),
        command=train_command(resolved, "yaml", file),
    )


def python_copy(resolved: Resolved, *, spec: str, file: str) -> str:
    """The recipe as a plain Python script that gives the same numbers.

    Raises `SettingError` for settings that cannot be written so.
    """
    safe = terminal(spec).replace("\\", "/").replace('"""', "'''")  # it stands in a docstring
    title = f"A copy of {safe}, made by netwright cp."
    return plain_loop(resolved, title=title, spec=safe, stem=PurePath(file).stem)


def train_command(resolved: Resolved, form: str, file: str) -> str:
    """How a copy is started; a recipe may leave the data to the command line."""
    is_open = resolved.origins["data.name"] == LEFT_OPEN
    if form == "python":
        return f"python {file} DATA" if is_open else f"python {file}"
    return f"netwright train {'DATA ' if is_open else ''}--config {file}"


def recipe_words(name: str) -> list[str]:
    """The comment that the file of a registered recipe begins with, line by line."""
    lines = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return [line.lstrip("# ") for line in itertools.takewhile(lambda each: each[:1] == "#", lines)]
