"""What the descent of free outputs proves: a floor that a bounding function puts under a loss of
somebody's own."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.facts.wanted import Wanted
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

HIGH = 0.2
"""Part of what one answer for all costs that the function must keep the loss from falling."""

NONE = 1e-3
"""Below nothing by this part: a loss without its function may be no loss any more."""


def held_up(record: Record) -> tuple[Wanted, Evidence, Evidence] | None:
    """Cause and harm: with the function the loss cannot fall, and with its result free it does."""
    found = record.get(Wanted)
    if found is None or not found.activation or found.unbound is None or not found.constant:
        return None
    guess = found.constant
    if guess <= 0 or found.unbound < -NONE * guess or found.least < HIGH * guess:
        return None
    if found.least - found.unbound < HIGH * guess:
        return None
    cause = Evidence(
        signal=Phrase("the least of the loss by outputs that are free, without {activation}",
                      activation=found.activation),
        value=found.unbound,
        baseline=found.least,
    )  # fmt: skip
    harm = Evidence(
        signal=Phrase("the least that the loss can reach, against guessing"),
        value=found.least,
        baseline=guess,
        threshold=HIGH * guess,
        witness="harm",
    )
    return found, cause, harm


def logits_wanted(
    record: Record, name: str, activation: str, targets: str, *, what: Phrase, cure: Treatment
) -> Iterator[Finding]:
    """A loss of somebody's own that wants logits, and gets what `activation` makes of them."""
    held = held_up(record)
    if held is None or held[0].activation != activation or held[0].targets != targets:
        return
    yield Finding(
        name=name,
        severity="stop",
        what=what,
        evidence=held[1:],
        confidence=0.9,
        cause=Phrase("The loss expects logits and gets probabilities between 0 and 1."),
        counterfactual=Phrase(
            "Without it the same loss falls to {unbound}, with it to {least}.",
            unbound=f"{held[0].unbound or 0:.3g}",
            least=f"{held[0].least:.3g}",
        ),
        wrong_if=Phrase("the loss falls below this floor in the run"),
        treatments=(cure,),
    )
