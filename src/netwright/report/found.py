"""What stands in `findings.jsonl`, checked, in the words of the reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwright.core.languages import say
from netwright.records.findings import SEVERITIES
from netwright.report.words import short, spoken, whole

MOST = 60
"""Findings that are shown."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One finding; every text is plain and in the reader's language."""

    name: str
    severity: str
    what: str
    step: int | None = None
    patient: int = 1
    layers: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    cause: str = ""
    tried: str = ""
    outcome: str = ""
    """What a treatment of it came to."""
    wrong_if: str = ""
    other: str = ""
    """What it is not to be confused with."""
    formula: str = ""
    treatments: tuple[tuple[str, str, str], ...] = ()
    """Grade, reason, code."""


def found_in(lines: Iterable[Mapping[str, Any]]) -> list[Found]:
    """The findings of a file, in its order; a line that is none is left out."""
    found = [_found(each) for each in lines if each.get("severity") in SEVERITIES]
    return found[:MOST]


def _found(line: Mapping[str, Any]) -> Found:
    messages = _mapping(line.get("messages"))

    def sentence(name: str) -> str:
        return spoken(messages.get(name) or line.get(name))

    return Found(
        name=short(line.get("name") or "?", 60),
        severity=str(line["severity"]),
        what=spoken(line.get("message") or line.get("what")),
        step=whole(line.get("step")),
        patient=whole(line.get("patient")) or 1,
        layers=tuple(short(each, 60) for each in _list(line.get("layers"))[:20]),
        evidence=tuple(
            spoken(each.get("message")) or _plain(each)
            for each in map(_mapping, _list(line.get("evidence"))[:20])
        ),
        cause=sentence("cause"),
        tried=sentence("counterfactual"),
        outcome=sentence("outcome"),
        wrong_if=sentence("wrong_if"),
        other=sentence("not_to_be_confused_with"),
        formula=short(line.get("formula") or "", 200),
        treatments=tuple(
            (
                say(str(each.get("grade") or "advice")),
                spoken(each.get("message") or each.get("why")),
                str(each.get("code") or "")[:2000],
            )
            for each in map(_mapping, _list(line.get("treatments"))[:8])
        ),
    )


def _plain(evidence: Mapping[str, Any]) -> str:
    """Evidence that was written without its sentence."""
    return f"{short(evidence.get('signal') or '', 200)}: {short(evidence.get('value'), 40)}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
