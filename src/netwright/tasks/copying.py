"""Copies of a recipe to go on from: YAML to edit, or a Python script to read and change."""

from __future__ import annotations

from netwright.core.languages import say
from netwright.tasks.annotated import annotated_yaml
from netwright.tasks.scripts import plain_loop
from netwright.tasks.settings import Resolved

SUFFIXES = {"yaml": ".yaml", "python": ".py"}


def yaml_copy(resolved: Resolved, *, spec: str, stem: str) -> str:
    """The recipe as commented YAML, with which `netwright train --config` gives the same numbers.

    `spec` names the recipe on a command line, `stem` is the name of the copy without its suffix.
    """
    return annotated_yaml(
        resolved,
        title=say("A copy of {recipe}, made by netwright cp.", recipe=spec),
        command=train_command(resolved, f"{stem}.yaml"),
    )


def python_copy(resolved: Resolved, *, spec: str, stem: str) -> str:
    """The recipe as a plain Python script that gives the same numbers.

    Raises `SettingError` for settings that cannot be written so.
    """
    return plain_loop(
        resolved,
        title=f"A copy of {spec}, made by netwright cp.",
        spec=spec,
        stem=stem,
    )


def train_command(resolved: Resolved, config: str) -> str:
    """How a copy is trained; a recipe may leave the data to the command line."""
    data = "DATA " if is_left_open(resolved) else ""
    return f"netwright train {data}--config {config}"


def is_left_open(resolved: Resolved) -> bool:
    """Whether a recipe names no data."""
    return resolved.origins["data.name"] == "left open"
