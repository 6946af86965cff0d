"""What a condition found: a fault or a remark with its numbers, as plain frozen facts.

A finding says what and where, then the numbers it rests on, the cause, what would prove it wrong,
and what can be done. Its words are phrases: English in Python, in files and in JSON, the user's
language on the screen. Keys and names are those of `findings.jsonl`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from netwright.core.languages import Phrase, say

Severity = Literal["stop", "warn", "note"]
Grade = Literal["safe", "ask", "advice"]
Witness = Literal["cause", "harm"]
Unit = Literal["", "share", "px", "times"]

SEVERITIES: tuple[Severity, ...] = ("stop", "warn", "note")
"""From the worst on."""

GROUPS = ("data", "output", "wiring", "start", "rate", "structure", "generalisation")
"""The order in which causes are treated: each group is judged anew once those before it hold."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One number, and the number it is held against.

    `signal` says in words what was measured or counted. `baseline` is what it would be in a
    healthy case, `threshold` the bound it crossed. A `witness` of the cause shows that the fault
    is there, one of the harm that it costs something. `unit` says how the numbers are written.
    """

    signal: Phrase
    value: float
    baseline: float | None = None
    threshold: float | None = None
    unit: Unit = ""
    witness: Witness = "cause"
    layer: str = ""
    step: int | None = None

    @property
    def sentence(self) -> Phrase:
        """
        >>> str(Evidence(signal=Phrase("taps"), value=0.889, baseline=0, unit="share").sentence)
        'taps: 88.9 %, against 0 %'
        """
        given = {"signal": self.signal, "value": _written(self.value, self.unit)}
        if self.baseline is not None:
            given["baseline"] = _written(self.baseline, self.unit)
        if self.threshold is not None:
            given["threshold"] = _written(self.threshold, self.unit)
        if self.baseline is None and self.threshold is None:
            return Phrase("{signal}: {value}", **given)
        if self.threshold is None:
            return Phrase("{signal}: {value}, against {baseline}", **given)
        if self.baseline is None:
            return Phrase("{signal}: {value} (bound {threshold})", **given)
        return Phrase("{signal}: {value}, against {baseline} (bound {threshold})", **given)

    def to_json(self) -> dict[str, Any]:
        return {
            "signal": str(self.signal),
            "value": self.value,
            "baseline": self.baseline,
            "threshold": self.threshold,
            "unit": self.unit,
            "witness": self.witness,
            "layer": self.layer,
            "step": self.step,
            "message": _message(self.sentence),
        }


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """What can be done. `safe` is always right, `ask` changes the experiment, `advice` is for a
    person alone; `code` is the change where it can be written down."""

    name: str
    grade: Grade
    why: Phrase
    code: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "grade": self.grade,
            "why": str(self.why),
            "code": self.code,
            "message": _message(self.why),
        }


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one condition found in one place, or in several places of one kind.

    `what` is the fault with its place and its figure, in one sentence; `cause` why it is so;
    `wrong_if` what would prove the finding wrong; `counterfactual` what came out when the same was
    tried without the fault. `layers` are paths of modules ("" is the network itself). `confidence`
    is 1 where the finding follows from the facts by arithmetic. `group` and `yields_to` (the names
    of deeper causes) come from the condition's registration. `outcome` is what a repair came to.

    Raises `ValueError` for a finding without evidence, and for a `stop` or `warn` that has not
    both witnesses: what looks like a fault and is not shown to do harm is a note.
    """

    name: str
    severity: Severity
    what: Phrase
    evidence: tuple[Evidence, ...]
    cause: Phrase
    wrong_if: Phrase
    treatments: tuple[Treatment, ...] = ()
    layers: tuple[str, ...] = ()
    step: int | None = None
    formula: str = ""
    confidence: float = 1.0
    counterfactual: Phrase | None = None
    not_to_be_confused_with: Phrase | None = None
    group: str = "structure"
    yields_to: tuple[str, ...] = ()
    outcome: Phrase | None = None

    def __post_init__(self) -> None:
        if not self.evidence:
            raise ValueError(f"{self.name} was found without evidence")
        witnesses = {each.witness for each in self.evidence}
        if self.severity != "note" and witnesses != {"cause", "harm"}:
            raise ValueError(
                f"{self.name} is a {self.severity} and needs a witness of the cause and one of the "
                f"harm; it has {', '.join(sorted(witnesses))}"
            )

    @property
    def points(self) -> bool:
        """Whether it has no treatment but to look for its causes."""
        return bool(self.treatments) and all(each.name == "see-causes" for each in self.treatments)

    def paragraphs(self) -> list[str]:
        """The finding for the screen, in the language of the user: what, then its evidence, the
        cause, what can be done, and what would prove it wrong."""
        said = [self.what.localized()]
        said += [each.sentence.localized() for each in self.evidence]
        said.append(self.cause.localized())
        if self.counterfactual is not None:
            said.append(self.counterfactual.localized())
        said += [say("{grade}: {why}", grade=say(t.grade), why=t.why) for t in self.treatments]
        said.append(say("would be wrong if {reason}", reason=self.wrong_if))
        return said

    def to_json(self) -> dict[str, Any]:
        """English text; `message` is `what` as template and values, for a reader that speaks, and
        `messages` are the other sentences so."""
        others = {
            "cause": self.cause,
            "wrong_if": self.wrong_if,
            "counterfactual": self.counterfactual,
            "not_to_be_confused_with": self.not_to_be_confused_with,
            "outcome": self.outcome,
        }
        return {
            "format": 1,
            "name": self.name,
            "severity": self.severity,
            "group": self.group,
            "layers": list(self.layers),
            "step": self.step,
            "what": str(self.what),
            "message": _message(self.what),
            "messages": {name: _message(each) for name, each in others.items() if each is not None},
            "evidence": [each.to_json() for each in self.evidence],
            "formula": self.formula,
            "confidence": self.confidence,
            "cause": str(self.cause),
            "counterfactual": _text(self.counterfactual),
            "wrong_if": str(self.wrong_if),
            "not_to_be_confused_with": _text(self.not_to_be_confused_with),
            "yields_to": list(self.yields_to),
            "treatments": [each.to_json() for each in self.treatments],
            "outcome": _text(self.outcome),
        }


EFFECT = SEVERITIES.index("note") - 0.5
"""The place of an alarm that another one explains."""


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first; a root before what yields to it, and as bad as the worst of that.

    Alarms that another alarm explains come after all that are no effects, before notes. One that
    only points to causes stands after those that name one, unless it explains some itself; then in
    the order of treatment, the surer first.
    """
    known = list(findings)
    roots = {name: _roots(name, known) for name in {each.name for each in known}}
    explaining = set().union(*roots.values())

    alarms = {each.name for each in known if each.severity != "note"}

    def key(finding: Finding) -> tuple[float, int, bool, int, float, str, tuple[str, ...]]:
        worst = min(
            SEVERITIES.index(each.severity)
            for each in known
            if each.name == finding.name or finding.name in roots[each.name]
        )
        own = SEVERITIES.index(finding.severity)
        place = float(own if roots[finding.name] else min(own, worst))
        if finding.severity != "note" and roots[finding.name] & alarms:
            place = EFFECT
        return (
            place,
            len(roots[finding.name]),
            finding.points and finding.name not in explaining,
            GROUPS.index(finding.group),
            -finding.confidence,
            finding.name,
            finding.layers,
        )

    return tuple(sorted(known, key=key))


def symptoms(finding: Finding, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those among `findings` that `finding` is the deeper cause of."""
    return tuple(each for each in findings if finding.name in each.yields_to)


def _roots(name: str, findings: list[Finding]) -> set[str]:
    """The deeper causes of a finding that are there too, and theirs; two that name each other
    are roots both."""
    present = {each.name: set(each.yields_to) for each in findings}
    found: set[str] = set()
    waiting = [each for each in present[name] if each in present]
    while waiting:
        each = waiting.pop()
        if each != name and each not in found and name not in present[each]:
            found.add(each)
            waiting += [deeper for deeper in present[each] if deeper in present]
    return found


def amount(value: float) -> str:
    """A count at three significant digits, with its unit of a thousand.

    >>> amount(9), amount(1234), amount(37_000_000), amount(1.814e9)
    ('9', '1.23 k', '37.0 M', '1.81 G')
    >>> amount(2.1e35)
    '2.1e+35'
    >>> amount(float("nan")), amount(float("-inf"))
    ('nan', '-inf')
    """
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * factor:
            scaled = value / factor
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return f"{value:,.3g}" if value != int(value) else f"{int(value):,}"


def percent(share: float) -> str:
    """
    >>> percent(0.0), percent(0.8888), percent(1.0)
    ('0 %', '88.9 %', '100 %')
    """
    return f"{100 * share:.3g} %"


def _written(value: float, unit: Unit) -> str:
    if unit == "share":
        return percent(value)
    if unit == "times":
        return f"{value:.3g} x"
    return f"{amount(value)} px" if unit == "px" else amount(value)


def _message(phrase: Phrase) -> dict[str, Any]:
    """A phrase as template and values; a phrase among its values is one too."""
    return {
        "template": phrase.template,
        "values": {
            name: _message(each) if isinstance(each, Phrase) else _plain(each)
            for name, each in phrase.values.items()
        },
    }


def _text(phrase: Phrase | None) -> str | None:
    return None if phrase is None else str(phrase)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)
