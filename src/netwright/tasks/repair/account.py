"""The account of a repair: what was tried, how each came out, what was kept."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.core.languages import Phrase, say
from netwright.report.text_table import Column, aligned
from netwright.tasks.doctored import Doctored


@dataclass(frozen=True, kw_only=True)
class Row:
    """How one patched script came out: the score of each seed after `steps`. The script as it is
    has no names."""

    names: tuple[str, ...]
    says: Phrase
    steps: int
    scores: tuple[float, ...]
    error: str = ""
    kind: str = ""
    doubt: float = 0.0
    kept: bool = False
    judged: bool = False
    """Whether there is anything to compare."""

    @property
    def score(self) -> float:
        return statistics.fmean(self.scores) if self.scores else -math.inf

    @property
    def spread(self) -> float:
        finite = all(map(math.isfinite, self.scores))
        return statistics.stdev(self.scores) if finite and len(self.scores) > 1 else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "says": str(self.says),
            "message": _message(self.says),
            "steps": self.steps,
            "scores": [_number(each) for each in self.scores],
            "score": _number(self.score),
            "spread": self.spread,
            "error": self.error,
            "kept": self.kept,
        }


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One race, for the findings of one group. `carried` says that the first change did no harm
    and no good by itself, is always right, and was kept for what comes after it."""

    findings: tuple[str, ...]
    group: str
    rows: tuple[Row, ...]
    carried: bool = False

    @property
    def kept(self) -> Row | None:
        return next((each for each in self.rows if each.kept), None)

    @property
    def judge(self) -> str:
        return next((each.kind for each in self.rows if each.kind), "")

    def lines(self, *, cells: int = 100) -> list[str]:
        return aligned(
            [
                Column(head="", cells=[e.says.localized() for e in self.rows], right=False),
                Column(head=say("steps"), cells=[str(e.steps) for e in self.rows], rank=2),
                Column(head=self.judge, cells=[_value(e.score) for e in self.rows]),
                Column(
                    head=say("spread"),
                    cells=[_value(e.spread) if len(e.scores) > 1 else "" for e in self.rows],
                    rank=1,
                ),
                Column(head="", cells=[self._said(e) for e in self.rows], right=False),
            ],
            cells=cells,
        )

    def _said(self, row: Row) -> str:
        if row.kept:
            return say("kept")
        if self.carried and row is self.rows[1]:
            return say("kept for what comes after")
        return row.error

    def to_json(self) -> dict[str, Any]:
        return {
            "findings": list(self.findings),
            "group": self.group,
            "judge": self.judge,
            "carried": self.carried,
            "rows": [each.to_json() for each in self.rows],
        }


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What came of it. `done` is the visit to the script as it is, `last` that to the patched one,
    which ran to its end; `best` is the best value that the former had reached, `score` that of
    the latter at its end. `reason` says why it came out so, in one sentence."""

    done: Doctored
    status: str = "done"
    """Or `interrupted`: as it stood when it last was written."""
    repaired: bool = False
    reason: Phrase | None = None
    table: tuple[Attempt, ...] = ()
    last: Doctored | None = None
    best: float | None = None
    score: float | None = None
    judge: str = ""
    source: str = ""
    patch: Path | None = None
    changed: int = 0
    diverged: bool = False
    command: str = ""
    """How the patch is applied."""
    steps: int = 0
    """Of all runs together."""
    whole: int = 0
    """Steps of the patched run to its end."""

    @property
    def cost(self) -> float | None:
        """Steps of all runs in those of the patched one to its end."""
        return self.steps / self.whole if self.whole else None

    @property
    def cut(self) -> bool:
        """Whether --steps or --minutes ended the patched script, and not its own end."""
        return self.last is not None and self.last.ending.why == "enough"

    @property
    def validation(self) -> bool:
        """Whether the scores are of the data that the script validates on."""
        return self.source == "validation"

    def exit_code(self, fail_on: Any) -> int:
        """The script's own after a repair that held; 5 where it diverged and was not repaired."""
        if self.repaired and self.last is not None:
            return self.last.ending.status
        code = self.done.exit_code(fail_on)
        return 5 if self.diverged and code == 4 and self.table else code

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "status": self.status,
            "repaired": self.repaired,
            "reason": str(self.reason) if self.reason is not None else None,
            "reason_message": _message(self.reason) if self.reason is not None else None,
            "judge": self.judge,
            "cut": self.cut,
            "validation": self.validation,
            "untreated": _number(self.best),
            "score": _number(self.score),
            "steps": self.steps,
            "cost": _number(self.cost),
            "table": [each.to_json() for each in self.table],
            "patch": str(self.patch) if self.patch is not None else None,
            "changed_lines": self.changed,
            "left": [each.to_json() for _, each in self.last.findings] if self.last else [],
        }


def _message(phrase: Phrase) -> dict[str, Any]:
    return {
        "template": phrase.template,
        "values": {
            name: _message(each) if isinstance(each, Phrase) else str(each)
            for name, each in phrase.values.items()
        },
    }


def _value(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
