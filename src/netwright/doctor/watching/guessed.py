"""What was read of data that were taken for the validation data, and are not, is forgotten."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from netwright.records.facts.inputs import Inputs
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.splits import Splits

OF_VALIDATION = ("val_", "awake", "bad_validation", "mapping")
"""Beginnings of the names of fields that tell of validation data."""


def without_validation(facts: Iterable[object]) -> list[object]:
    """The facts of a check-up, less all that it read of validation data."""
    kept = [each for each in facts if not (isinstance(each, Splits) and each.source == "data")]
    return [_reset(each) if isinstance(each, Inputs | Neighbourhood) else each for each in kept]


def _reset(fact: Inputs | Neighbourhood) -> object:
    told: dict[str, Any] = {
        each.name: each.default
        for each in dataclasses.fields(fact)
        if each.name.startswith(OF_VALIDATION)
    }
    return dataclasses.replace(fact, **told)
