"""Where a name becomes a model or data, and a recipe becomes a run; one file for each task.

A task says what is learned from what: its data, its loss and how it is judged.
"""

from __future__ import annotations

from typing import Any

from netwright.core.registry import Registry

TASKS: Registry[Any] = Registry("task", "netwright.tasks", listing="netwright ls tasks")
