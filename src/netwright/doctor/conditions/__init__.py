"""The conditions: what can be wrong with a network or its training, each proved by numbers.

A condition reads plain facts and returns findings; it never sees a model, so that a saved record
is diagnosed as a live one. A `stop` or a `warn` has two witnesses, one of the cause and one of the
harm; what looks like a fault and is not shown to do harm is a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from netwright.core.registry import Registry
from netwright.records.findings import Finding

Condition: TypeAlias = Callable[[Any], Iterable[Finding]]
"""Reads one fact of a kind it was registered for, and gives what it finds: mostly nothing."""

CONDITIONS: Registry[Condition] = Registry(
    "condition", "netwright.doctor.conditions", listing="netwright ls conditions"
)
"""Facts of a leaf: `reads`, the classes of the records it can judge; `when`, the earliest moment
it can be proved; `group`, its place in the order of treatment (`records.findings.GROUPS`);
`severity`, the worst it says; `yields_to`, the names of deeper causes that come before it."""
