"""The losses of a run in order, written down at once and handed on a few dozen at a time.

Between the steps that are looked at a watch may take microseconds only: what a step was is noted as
one tuple; who keeps the course of the losses is told when somebody asks, or when enough are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netwright.doctor.watching.series import Series

COLUMNS = (
    "step", "loss", "lr", "grad_norm", "raw_grad_norm", "update_ratio", "promised", "fallen",
    "cosine", "seconds", "wait", "epoch",
)  # fmt: skip

NOTED = ("step", "loss", "lr", "seconds", "wait", "epoch")
"""Of every step, in the order in which they are noted."""

MOST = 64
"""Steps that wait to be handed on."""


class Ledger:
    """
    >>> heard = []
    >>> ledger = Ledger(heard.append)
    >>> ledger.note((1, 2.5, 0.1, 0.01, 0.0, 0), {"grad_norm": 3.0})
    >>> ledger.note((2, 2.0, 0.1, 0.01, 0.0, 0))
    >>> heard
    [2.5]
    >>> ledger.settle()
    >>> heard, ledger.rows.column("loss").tolist()
    ([2.5, 2.0], [2.5, 2.0])
    """

    def __init__(self, *heard: Callable[[float | None], None]) -> None:
        """Each of `heard` is told every loss, in order; None where a step had none."""
        self.rows = Series(COLUMNS)
        self._heard = heard
        self.waiting: list[tuple[Any, ...]] = []

    def note(self, noted: tuple[Any, ...], more: Mapping[str, float | None] | None = None) -> None:
        """One step: `noted` as in `NOTED`, and what a look has found besides."""
        self.waiting.append(noted)
        if more is None and len(self.waiting) < MOST:
            return
        self.settle()
        if more is not None:
            self.rows.amend(more)

    def settle(self) -> None:
        """Hand on what waits."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        self.rows.extend(waiting, NOTED)
        losses = [each[1] for each in waiting]
        for heard in self._heard:
            for loss in losses:
                heard(loss)
