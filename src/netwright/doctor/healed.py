"""What came of healing: the model, every change that raced, and what it all cost."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from netwright.core.escaping import html_text
from netwright.core.languages import Phrase, say
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.suspects import Suspect
from netwright.doctor.trials.race import Row
from netwright.doctor.trials.trial import Score
from netwright.report.text_table import Column, aligned

SHOWN = 12
"""Suspects that are told of on the screen; all are in `Healed.suspects`."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One race: what it was about (names of findings, of one group), and how each came out, the
    training as it was first. `carried` is a change that did no harm and no good by itself, and was
    kept for what is treated after it."""

    findings: tuple[str, ...]
    group: str
    step: int
    rows: tuple[Row, ...]
    carried: Row | None = None

    @property
    def kept(self) -> Row | None:
        return next((each for each in self.rows if each.kept), None)


@dataclass(frozen=True, kw_only=True)
class Healed:
    """`model` is the trained one; `repaired` whether it is better than the untreated training by
    more than luck, at its end too. `table` holds the races, `diagnosis` what was found at first,
    `left` what still stands at the end, `history` the scores of the last run on its way.

    `suspects` are the training samples whose label contradicts those of their neighbours, where a
    finding is of labels: rows of your training data, for a person to look at. `patch` is what was
    kept as lines of Python for your own script, empty where it cannot be written so.

    `cost` is the time of everything, check-ups and trials and the last run, in times of one plain
    training of this length, by steps of one that nobody watches; `passes` counts the samples that
    were trained on, in trials and the last run, in times of those of the plain training: what the
    cost comes to where steps are so long that a check-up of some seconds does not count. `judge`
    names what a score is; `held_back` says that a part of the training data did judge. `reason`
    says why, in one sentence.
    """

    model: nn.Module
    repaired: bool
    table: tuple[Attempt, ...]
    diagnosis: Diagnosis
    left: Diagnosis
    history: tuple[Score, ...]
    cost: float
    passes: float
    untreated: float
    judge: str
    held_back: bool
    reason: Phrase
    patch: str = ""
    suspects: tuple[Suspect, ...] = ()

    def __bool__(self) -> bool:
        return self.repaired

    @property
    def kept(self) -> tuple[Row, ...]:
        """The changes that the model was trained with, in order."""
        return tuple(
            row for each in self.table for row in (each.kept or each.carried,) if row is not None
        )

    @property
    def score(self) -> float:
        """Of the model at its end."""
        return self.history[-1].value if self.history else -math.inf

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "repaired": self.repaired,
            "reason": str(self.reason),
            "judge": self.judge,
            "held_back": self.held_back,
            "untreated": _number(self.untreated),
            "score": _number(self.score),
            "cost": self.cost,
            "passes": self.passes,
            "kept": [list(each.names) for each in self.kept],
            "table": [
                {
                    "findings": list(each.findings),
                    "group": each.group,
                    "step": each.step,
                    "rows": [_row_json(row, carried=row is each.carried) for row in each.rows],
                }
                for each in self.table
            ],
            "history": [
                {"step": each.step, "score": _number(each.value), "loss": _number(each.loss)}
                for each in self.history
            ],
            "diagnosis": self.diagnosis.to_json(),
            "left": self.left.to_json(),
            "patch": self.patch,
            "suspects": [dataclasses.asdict(each) for each in self.suspects],
        }

    def __str__(self) -> str:
        """For the screen, in the language of the user."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """The races as tables, what was kept set off, and the reason under them."""
        parts = [_html_table(each, self.judge) for each in self.table]
        return "".join((*parts, f"<p>{html_text(self.reason.localized())}</p>"))

    def lines(self, *, cells: int = 100) -> list[str]:
        found = []
        for each in self.table:
            found.append(say("treating {findings}:", findings=", ".join(each.findings)))
            found += [f"  {line}" for line in _table(each, self.judge, cells=cells - 2)]
        found.append(self.reason.localized())
        if self.suspects:
            shown = ", ".join(
                f"{each.row}: {each.given}, {each.suggested}" for each in self.suspects[:SHOWN]
            )
            found.append(
                say("Labels to look at, {count} in all (row: label, looks like): {shown}",
                    count=len(self.suspects),
                    shown=shown + (", ..." if len(self.suspects) > SHOWN else ""))
            )  # fmt: skip
        if self.patch:
            found += [say("In your own script:"), *(f"  {e}" for e in self.patch.splitlines())]
        return found


def _table(attempt: Attempt, judge: str, *, cells: int) -> list[str]:
    rows = attempt.rows
    return aligned(
        [
            Column(head="", cells=[each.says.localized() for each in rows], right=False),
            Column(head=say("steps"), cells=[str(each.steps) for each in rows], rank=2),
            Column(head=judge, cells=[_value(each.score) for each in rows]),
            Column(
                head=say("spread"),
                cells=[_value(each.spread) if len(each.scores) > 1 else "" for each in rows],
                rank=1,
            ),
            Column(head="", cells=[_said(each, attempt) for each in rows], right=False),
        ],
        cells=cells,
    )


def _html_table(attempt: Attempt, judge: str) -> str:
    title = say("treating {findings}:", findings=", ".join(attempt.findings))
    heads = "".join(f"<th>{html_text(each)}</th>" for each in
                    ("", say("steps"), judge, say("spread"), ""))  # fmt: skip
    rows = []
    for each in attempt.rows:
        spread = _value(each.spread) if len(each.scores) > 1 else ""
        cells = (each.says.localized(), each.steps, _value(each.score), spread,
                 _said(each, attempt))  # fmt: skip
        told = "".join(f"<td>{html_text(one)}</td>" for one in cells)
        rows.append(
            f'<tr style="font-weight: bold">{told}</tr>' if each.kept else f"<tr>{told}</tr>"
        )
    caption = f"<caption>{html_text(title)}</caption>"
    return f"<table>{caption}<tr>{heads}</tr>{''.join(rows)}</table>"


def _said(row: Row, attempt: Attempt) -> str:
    if row.kept:
        return say("kept")
    if row is attempt.carried:
        return say("kept for what comes after")
    return row.error


def _row_json(row: Row, *, carried: bool) -> dict[str, Any]:
    return {
        "names": list(row.names),
        "says": str(row.says),
        "steps": row.steps,
        "scores": [_number(each) for each in row.scores],
        "error": row.error,
        "kept": row.kept,
        "carried": carried,
    }


def _value(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
