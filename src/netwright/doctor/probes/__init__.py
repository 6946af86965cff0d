"""The probes: each looks at one thing of a patient before its first step, and writes facts.

A probe runs on a copy, or puts everything back; it leaves no trace. It gives nothing where it
cannot measure: conditions are silent without evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from netwright.core.registry import Registry
from netwright.doctor.patient import Patient

Probe: TypeAlias = Callable[[Patient], Iterable[object]]
"""Looks at a patient and gives facts (`records.facts`)."""

PROBES: Registry[Probe] = Registry("probe", "netwright.doctor.probes")
"""Facts of a leaf: `order`, its place (cheap and telling first); `needs`, what of the patient must
be there (`sample`, `train`, `val`); `cost`, in forwards (F), backwards (B) and steps (S)."""
