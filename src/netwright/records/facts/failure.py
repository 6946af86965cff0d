"""The call of a loss that ended in an exception, and what it had been given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netwright.records.facts import fact


@fact("failure")
@dataclass(frozen=True, kw_only=True)
class Failure:
    """`kind` is torch's word for the loss, or for the indexing of a loss by hand; `where` says
    whether the call itself raised or the backward pass after it. `step` is the step that was not
    made, from 1. Numbers of the target are None where they could not be read."""

    error: str
    message: str
    kind: str
    where: Literal["loss", "backward"] = "loss"
    step: int = 1
    input_shape: tuple[int, ...] = ()
    input_dtype: str = ""
    classes: int | None = None
    target_shape: tuple[int, ...] = ()
    target_dtype: str = ""
    target_floating: bool = False
    target_min: float | None = None
    target_max: float | None = None
    target_distinct: int | None = None
    target_whole: bool = False
    target_count: int = 0
    ignore_index: int | None = None
    outside: int = 0
    """Labels of this batch that are no index of a class."""
