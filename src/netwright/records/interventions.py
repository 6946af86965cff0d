"""What was done to a run while it trained: why, from where on, with what, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from netwright.core.languages import Phrase
from netwright.records.findings import amount

Outcome = Literal["open", "held", "came-back"]

OUTCOMES: tuple[Outcome, ...] = ("open", "held", "came-back")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One short trial: what was tried, and the loss it came to; None where it broke."""

    rate: float
    clip: float | None
    steps: int
    loss: float | None

    def to_json(self) -> dict[str, Any]:
        return {"rate": self.rate, "clip": self.clip, "steps": self.steps, "loss": self.loss}


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """The run went back, something was changed, and it went on.

    `finding` is the condition that stood, `step` the last step that was still sound, `seen` the
    one at which it was heard of, `back_to` the one gone back to. `rate` multiplies the learning
    rate that the run had until then, and `clip` bounds the norm of its gradients from there on;
    `skipped` is the step whose batch is left out. `outcome` is `open` until something is known.
    """

    number: int
    finding: str
    step: int
    seen: int
    back_to: int
    rate: float = 1.0
    clip: float | None = None
    skipped: int | None = None
    tried: tuple[Tried, ...] = ()
    outcome: Outcome = "open"
    known: Mapping[str, Any] = field(default_factory=dict)
    """The finding as `findings.jsonl` has it."""

    @property
    def changes(self) -> Phrase:
        """What was changed, in a few words.

        >>> given = {"number": 1, "finding": "divergence", "step": 9, "seen": 20, "back_to": 0}
        >>> str(Intervention(rate=0.1, clip=2.5, **given).changes)
        'learning rate x 0.1, gradients clipped at 2.5'
        """
        said: list[Phrase] = []
        if self.rate != 1.0:
            said.append(Phrase("learning rate x {factor}", factor=f"{self.rate:g}"))
        if self.clip is not None:
            said.append(Phrase("gradients clipped at {limit}", limit=amount(self.clip)))
        if self.skipped is not None:
            said.append(Phrase("the batch of step {step} left out", step=self.skipped))
        if not said:
            return Phrase("nothing but going back")
        whole = said[0]
        for each in said[1:]:
            whole = Phrase("{first}, {second}", first=whole, second=each)
        return whole

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "number": self.number,
            "finding": self.finding,
            "step": self.step,
            "seen": self.seen,
            "back_to": self.back_to,
            "rate": self.rate,
            "clip": self.clip,
            "skipped": self.skipped,
            "tried": [each.to_json() for each in self.tried],
            "changes": str(self.changes),
            "outcome": self.outcome,
            "known": dict(self.known),
        }


def intervention_in(line: Mapping[str, Any]) -> Intervention | None:
    """The intervention that a line of `interventions.jsonl` tells; None where it is none."""
    numbers = [_whole(line.get(each)) for each in ("number", "step", "seen", "back_to")]
    name, rate, known = line.get("finding"), _number(line.get("rate")), line.get("known")
    outcome: Outcome = next((each for each in OUTCOMES if each == line.get("outcome")), "open")
    if None in numbers or not isinstance(name, str) or rate is None:
        return None
    number, step, seen, back_to = (each or 0 for each in numbers)
    tried = line.get("tried")
    return Intervention(
        number=number,
        finding=name[:60],
        step=step,
        seen=seen,
        back_to=back_to,
        rate=rate,
        clip=_number(line.get("clip")),
        skipped=_whole(line.get("skipped")),
        tried=tuple(
            Tried(
                rate=_number(each.get("rate")) or 0.0,
                clip=_number(each.get("clip")),
                steps=_whole(each.get("steps")) or 0,
                loss=_number(each.get("loss")),
            )
            for each in (tried if isinstance(tried, list) else [])[:20]
            if isinstance(each, Mapping)
        ),
        outcome=outcome,
        known=known if isinstance(known, Mapping) else {},
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        return None
    return float(value) if math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    found = _number(value)
    return None if found is None or abs(found) > 1e15 else int(found)
