"""The commands: one file each. A command is a function whose signature is its grammar.

Positional-only parameters are its things, keyword-only ones its options; `call` carries the
settings and the flags every command knows. It returns an exit status, or None for 0. Nothing
here imports torch; a command that needs it reaches it through `netwright.tasks`, inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netwright.core.registry import Registry

COMMANDS: Registry[Callable[..., Any]] = Registry(
    "command", "netwright.cli.commands", listing="netwright --help"
)

GROUPS = ("Train", "Use a run", "Look up")
"""The headings of `netwright --help`, in order; every command names its own."""
