"""The loss climbs, and does not come back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, Course, course, steps_of
from netwright.doctor.conditions._harm import NEAR
from netwright.doctor.conditions._rate import DEEPER, bad_start
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_much_regularised import too_much_regularised
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.objective import Objective
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

BEYOND = 1.5
"""How far above its beginning a loss has left it."""

ABOVE = 1.2
"""The same, where the validation loss has left guessing behind by as much."""

CLASSES = ("cross_entropy", "nll_loss")
"""Losses for which guessing is the same all along: the targets of a value network grow with it, and
a discriminator is meant to come back to guessing."""

DESCENDING = 0.3
"""Step efficacy of a descent; 0.5 is that of the best step on a quadratic."""

FEWEST = 3
"""Looks on the way up that there always are, whatever the budget."""

LOST = 2.0
"""Times the least loss of training, and of validation, that both stand at in the end."""

LEFT = 0.3
"""Of what guessing costs: a loss below that has lost little."""

FORGOT = 0.5
"""Share of the loss of guessing that a run must have come under before it can forget."""


@CONDITIONS.register(
    "divergence",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="stop",
    yields_to=(
        *DEEPER, "learning-rate-too-high", "over-regularised", "nonfinite", "unshuffled-data",
        "weak-optimizer",
    ),
)  # fmt: skip
def divergence(record: Record) -> Iterator[Finding]:
    """The loss climbs over many steps, beyond where it began.

    Why it hurts: what was learned is lost, and nothing brings it back.

    Evidence: of the cause, the share of windows of the loss that lie above the one before, since
    its least value, unless most steps on the way lowered the loss of their own batch as they
    promised and the validation loss is not worse than guessing for it; of the harm, the loss now
    against the first one. Or a loss over classes had
    come to half of that of guessing and less, and is now back at guessing, for a quarter of the
    run; or it stands at twice its least for that long, and so does the validation loss.
    Silent where the rate is shown to be the cause: then that is the story.

    Would be wrong if: the loss is meant to grow (a penalty that is raised, harder samples).

    Not to be confused with: a spike that comes back; another task that begins, which is learned in
    its turn; the small climb when a cyclic rate rises; a
    loss that breaks (`nonfinite`, `learning-rate-too-high`).

    Treatment: go back to the last good state, with a lower rate or clipping; ask.
    """
    found = course(record)
    if found is None or too_high(record) is not None:
        return
    if bad_start(record) or too_much_regularised(record) is not None:
        return
    if found.steps < EARLY or found.broken is not None:
        return
    worse = _worse_than_guessing(record, found)
    evidence = _climbed(found, ABOVE) if worse else ()
    if worse and evidence:
        evidence = (*evidence, worse)
    if not evidence and not _raised(record, found):
        evidence = _climbed(found, BEYOND)
    climbed = bool(evidence)
    objective = record.get(Objective)
    if not evidence and objective is not None and objective.kind in CLASSES:
        evidence = _forgotten(found)
    if not evidence:
        evidence = _lost(record, found)
        climbed = bool(evidence)
    if not evidence:
        return
    yield Finding(
        name="divergence",
        severity="stop",
        step=evidence[0].step,
        what=Phrase("The loss climbs and does not come back")
        if climbed
        else Phrase("The loss is back at that of guessing, and stays there"),
        evidence=evidence,
        cause=Phrase("The steps lead uphill: their length outgrew the valley they are in.")
        if climbed
        else Phrase("One step, or a few, threw the weights to where nothing is left of what they "
                    "had learned."),
        confidence=0.8,
        wrong_if=Phrase("the loss is meant to grow, by a penalty or by harder samples"),
        treatments=(
            Treatment(
                name="roll-back",
                grade="ask",
                why=Phrase("Go on from the last good state with a lower rate or with clipping."),
            ),
        ),
    )  # fmt: skip


def _raised(record: Record, found: Course) -> bool:
    """Whether the loss is raised from outside: most steps on the way up lowered the loss of their
    own batch, as far as they promised. Steps that lead uphill do not."""
    steps = steps_of(record)
    if steps is None:
        return False
    since = found.ends[int(found.windows.argmin())]
    rho = steps.rho[(steps.step > since) & np.isfinite(steps.rho)]
    return len(rho) >= FEWEST and float(np.median(rho)) > DESCENDING


def _worse_than_guessing(record: Record, found: Course) -> Evidence | None:
    """What is validated on is answered worse than by a constant, and ever worse: no penalty that is
    raised, nor samples that become harder, does that."""
    told = record.get(Epochs)
    losses = [e.val_loss for e in (told.epochs if told else ()) if e.val_loss is not None]
    if found.guess is None or len(losses) < FEWEST:
        return None
    bound = ABOVE * max(found.guess, losses[0])
    now = min(losses[-2:])
    if now < bound:
        return None
    return Evidence(
        signal=Phrase("validation loss of the last epochs, against guessing and the first"),
        value=now,
        baseline=max(found.guess, losses[0]),
        threshold=bound,
        witness="harm",
        step=found.steps,
    )


def _climbed(found: Course, beyond: float) -> tuple[Evidence, ...]:
    if len(found.windows) < 5:
        return ()
    start = max(found.begin, found.guess or 0.0, float(found.windows[:2].max()))
    if found.latest < max(beyond * start, start + 5 * found.scatter):
        return ()
    least = int(found.windows.argmin())
    since = found.windows[least:]
    if len(since) < 3:
        return ()
    return (
        Evidence(
            signal=Phrase("windows of the loss that lie above the one before, since the least"),
            value=float(np.mean(np.diff(since) > 0)),
            baseline=0.5,
            unit="share",
            step=int(found.ends[least]),
        ),
        Evidence(
            signal=Phrase("loss of the last steps, against the first"),
            value=found.latest,
            baseline=start,
            threshold=beyond * start,
            witness="harm",
            step=found.steps,
        ),
    )


def _lost(record: Record, found: Course) -> tuple[Evidence, ...]:
    """Most of what was learned is lost for good, of what is validated on as well: the samples have
    not become harder, nor is it those of training that are learned by heart."""
    told, steps = record.get(Epochs), steps_of(record)
    seen = [each for each in (told.epochs if told else ()) if each.val_loss is not None]
    last = max(3, len(found.windows) // 4)
    if found.guess is None or len(found.windows) < 8 or len(seen) < 4 or steps is None:
        return ()
    if found.least > FORGOT * found.guess or found.latest < LEFT * found.guess:
        return ()
    if found.windows[-last:].min() < max(LOST * found.least, found.least + 4 * found.scatter):
        return ()
    best = int(found.windows.argmin())
    then = steps.lr[(steps.step <= found.ends[best]) & np.isfinite(steps.lr)]
    if not len(then) or float(steps.lr[-1]) > 1.1 * float(then[-1]):
        return ()  # a schedule has raised the rate since: that is another story
    losses = [each.val_loss or 0.0 for each in seen]
    doubt = 2 * max(each.val_loss_error or 0.0 for each in seen)
    if min(losses[-2:]) < max(LOST * min(losses), min(losses) + doubt):
        return ()
    return (
        Evidence(
            signal=Phrase("loss of the last steps, against the least it had reached"),
            value=found.latest,
            baseline=found.least,
            threshold=LOST * found.least,
            step=int(found.ends[best]),
        ),
        Evidence(
            signal=Phrase("validation loss of the last epochs, against the least"),
            value=min(losses[-2:]),
            baseline=min(losses),
            threshold=LOST * min(losses),
            witness="harm",
            step=seen[-1].step,
        ),
    )


def _forgotten(found: Course) -> tuple[Evidence, ...]:
    """All that was learned is lost: at guessing for the last quarter, and at rest there."""
    last = max(3, len(found.windows) // 4)
    if found.guess is None or len(found.windows) < 8 or found.least > FORGOT * found.guess:
        return ()
    late, before = found.windows[-last:], found.windows[:-last]
    if late.min() < (1 - NEAR) * found.guess or before.min() > FORGOT * found.guess:
        return ()
    least = int(found.windows.argmin())
    return (
        Evidence(
            signal=Phrase("least window of the loss, against guessing"),
            value=found.least,
            baseline=found.guess,
            threshold=FORGOT * found.guess,
            step=int(found.ends[least]),
        ),
        Evidence(
            signal=Phrase("loss of the last steps, against the least it had reached"),
            value=float(np.median(late)),
            baseline=found.least,
            threshold=(1 - NEAR) * found.guess,
            witness="harm",
            step=found.steps,
        ),
    )
