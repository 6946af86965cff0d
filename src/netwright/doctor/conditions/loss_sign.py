"""The loss is made larger: a minus too many, or one too few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._rate import groups
from netwright.doctor.conditions._terms import terms_of
from netwright.records.facts.downhill import Downhill
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.fit import Fit
from netwright.records.facts.objective import TermFact
from netwright.records.facts.pull import Pull
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

WORSE = 1.2
"""Times its first value, and beyond guessing: the loss proper has then got worse."""

AWAY = 0.95
"""Share of the pull of an unknown loss that leads away from the targets."""

UNDER = 0.1
"""Of what guessing costs: so far below its least a loss of the data cannot be."""

TURNED = -0.8
"""Slope of the loss over that its gradient promises: of a reversed branch alone it is a part of
-1, and the head behind it goes down all the same."""

LOOKS = 3
"""Steps with a rate below zero, after which that is no slip at the end of a schedule."""

ENOUGH = 20
"""Steps after which that is no longer an accident."""


@CONDITIONS.register(
    "loss-sign",
    reads=Record,
    when="in the first steps",
    group="output",
    severity="stop",
    yields_to=("loss-mismatch",),
)
def loss_sign(record: Record) -> Iterator[Finding]:
    """What goes into the backward pass is the negative of a loss: training makes it worse.

    Why it hurts: gradient descent on -L is ascent on L. The number printed falls for ever, below
    any value a loss can have, while predictions get worse than guessing.

    Evidence: the factor between the one loss of the loop and what the backward pass is given is
    negative, or the optimizer is told to maximise; the loss proper is above its start and above
    guessing after some steps, or after the trial on one batch. Of a loss of one's own: its gradient
    leads the outputs away from their targets, and it has fallen. Of a loss from which something is
    taken off: it has fallen under the least that the loss of the data can be, and that of the data
    has grown beyond guessing in validation.

    Would be wrong if: the loss proper falls after all.

    Not to be confused with: a generator that maximises the loss of a discriminator, an attack that
    maximises the loss of a fixed network, rewards and entropies, which are to be made larger.

    Treatment: flip the sign; ask.

    Source: by arithmetic.
    """
    setup = record.get(Setup)
    terms = terms_of(record)
    if setup is not None and setup.special:
        return
    turned = [*_turned_round(record), *_backward_rate(record)][:1]
    if turned:
        yield from turned
        return
    if all(each.factor is None for each in terms):  # by hand, or something made of a loss
        yield from _own_loss(record)
    if len(terms) != 1:
        return
    (term,) = terms
    if term.factor is None:
        yield from _undercut(record, term)
    upward = bool(groups(record)) and all(each.maximize for each in groups(record))
    if term.factor is None or term.value <= 0 or term.target_distinct == 1:
        return
    if term.factor != term.factor:  # of a loss that is no number
        return
    if (term.factor > 0) is not upward:
        return
    harm = _worse(record, term)
    yield Finding(
        name="loss-sign",
        severity="stop" if harm else "note",
        step=harm.step if harm else None,
        what=(
            Phrase("The optimizer is told to maximise {loss}", loss=term.kind)
            if upward
            else Phrase("The negative of {loss} is minimised", loss=term.kind)
        ),
        evidence=(
            Evidence(
                signal=Phrase("groups of the optimizer that go uphill (maximize=True)"),
                value=len(groups(record)),
                baseline=0,
            )
            if upward
            else Evidence(
                signal=Phrase("factor between {loss} and what the backward pass gets",
                              loss=term.kind),
                value=term.factor,
                baseline=abs(term.factor),
            ),
            *([harm] if harm else []),
        ),
        formula="descent on -L is ascent on L",
        cause=(
            Phrase("maximize=True turns every step of this optimizer round.")
            if upward
            else Phrase("The sign of the loss is the wrong way round.")
        ),
        wrong_if=Phrase("the loss proper falls while training goes on"),
        not_to_be_confused_with=Phrase("a game in which this loss is meant to grow"),
        treatments=(
            Treatment(
                name="flip-sign",
                grade="ask",
                why=Phrase("Minimise the loss itself."),
                code="maximize=False" if upward else "loss = -loss",
            ),
        ),
    )  # fmt: skip


def _undercut(record: Record, term: TermFact) -> Iterator[Finding]:
    """Something is taken off the loss, and grows without a bound: a penalty with a minus."""
    steps, told = record.get(Steps), record.get(Epochs)
    losses = [each.val_loss for each in (told.epochs if told else ()) if each.val_loss is not None]
    if steps is None or steps.total < ENOUGH or len(losses) < 3 or term.value <= 0:
        return
    if term.least is None or term.constant is None:
        return
    finite = steps.loss[np.isfinite(steps.loss)]
    latest = float(np.median(finite[-10:])) if len(finite) else 0.0
    bound = WORSE * max(term.constant, losses[0])
    if latest >= term.least - UNDER * term.constant or losses[-1] < bound:
        return
    yield Finding(
        name="loss-sign",
        severity="stop",
        step=steps.total,
        what=Phrase("What is taken off {loss} outgrows it", loss=term.kind),
        evidence=(
            Evidence(
                signal=Phrase("what the backward pass gets, against the least that {loss} can be",
                              loss=term.kind),
                value=latest,
                baseline=term.least,
                threshold=term.least - UNDER * term.constant,
                step=steps.total,
            ),
            Evidence(
                signal=Phrase("loss of the data in the last validation, against the first"),
                value=losses[-1],
                baseline=losses[0],
                threshold=bound,
                witness="harm",
            ),
        ),
        formula="L - k |w|^2 has no least value",
        cause=Phrase("A term that is to be made small has the sign of one that is to be made "
                     "large."),
        wrong_if=Phrase("what is taken off has a bound"),
        not_to_be_confused_with=Phrase("an entropy, which is to be large and has a bound"),
        treatments=(
            Treatment(
                name="flip-sign",
                grade="ask",
                why=Phrase("Add the penalty to the loss."),
                code="loss = loss + penalty",
            ),
        ),
    )  # fmt: skip


def _turned_round(record: Record) -> Iterator[Finding]:
    """A function on the way whose backward pass gives the negative of the gradient."""
    found = record.get(Downhill)
    if found is None or max(found.slope, found.slope_nearer) > TURNED:
        return
    yield Finding(
        name="loss-sign",
        severity="stop",
        what=Phrase("The gradient is turned round: down it the loss rises"),
        evidence=(
            Evidence(
                signal=Phrase("slope of the loss along its gradient, over what that promises"),
                value=found.slope,
                baseline=1.0,
                threshold=TURNED,
                unit="times",
            ),
            Evidence(
                signal=Phrase("the same by steps of a tenth"),
                value=found.slope_nearer,
                baseline=1.0,
                threshold=TURNED,
                unit="times",
                witness="harm",
            ),
        ),
        formula="(L(w + e g) - L(w - e g)) / (2 e |g|^2)",
        cause=Phrase("A function of somebody's own gives a backward pass of the wrong sign."),
        wrong_if=Phrase("a tiny step down the gradient lowers the loss of the same batch"),
        not_to_be_confused_with=Phrase(
            "the reversal of one branch, before a judge of domains: the rest goes down"
        ),
        treatments=(
            Treatment(
                name="flip-sign",
                grade="ask",
                why=Phrase("Take the reversal away, or keep it for the one branch it is for."),
            ),
        ),
    )


def _backward_rate(record: Record) -> Iterator[Finding]:
    """A rate below zero: torch refuses it of an optimizer, and takes it from a schedule."""
    steps = record.get(Steps)
    rates = steps.lr[np.isfinite(steps.lr)] if steps is not None else np.zeros(0)
    if len(rates) < LOOKS or float(np.median(rates)) >= 0:
        return
    yield Finding(
        name="loss-sign",
        severity="stop",
        what=Phrase("The learning rate is below zero: every step goes uphill"),
        evidence=(
            Evidence(
                signal=Phrase("learning rate, the median of the steps"),
                value=float(np.median(rates)),
                baseline=abs(float(np.median(rates))),
            ),
            Evidence(
                signal=Phrase("steps made uphill"),
                value=int((rates < 0).sum()),
                baseline=0,
                witness="harm",
            ),
        ),
        cause=Phrase("A schedule multiplies the rate with a number below zero."),
        wrong_if=Phrase("the loss is meant to be made larger"),
        treatments=(
            Treatment(
                name="flip-sign",
                grade="ask",
                why=Phrase("Let the schedule end at 0."),
            ),
        ),
    )


def _own_loss(record: Record) -> Iterator[Finding]:
    """A score that is made as small as can be."""
    pull = record.get(Pull)
    if pull is None or not pull.alone or pull.away is None or pull.away < AWAY:
        return
    if pull.targets == "numbers" and (pull.cosine is None or pull.cosine > -0.2):
        return
    if any(each.maximize for each in groups(record)):
        return
    harm = _fallen(record)
    yield Finding(
        name="loss-sign",
        severity="stop" if harm else "note",
        step=harm.step if harm else None,
        what=Phrase("The loss falls as outputs move away from their targets"),
        evidence=(
            Evidence(
                signal=Phrase("share of the pull on the outputs that leads away from the targets"),
                value=pull.away,
                baseline=0.0,
                threshold=AWAY,
                unit="share",
            ),
            *([harm] if harm else []),
        ),
        formula="-dL/do . (t - o) < 0",
        cause=Phrase("The sign of the loss is the wrong way round."),
        wrong_if=Phrase("outputs are meant to be unlike what was taken for their targets"),
        not_to_be_confused_with=Phrase("a game in which this loss is meant to grow"),
        treatments=(
            Treatment(
                name="flip-sign",
                grade="ask",
                why=Phrase("Minimise the loss itself."),
                code="loss = -loss",
            ),
        ),
    )


def _fallen(record: Record) -> Evidence | None:
    """The loss has gone down, the way that leads away from the targets."""
    steps = record.get(Steps)
    if steps is None or steps.total < ENOUGH or not len(steps.loss):
        return None
    finite = steps.loss[np.isfinite(steps.loss)]
    if len(finite) < ENOUGH:
        return None
    first, latest = float(np.median(finite[:3])), float(np.median(finite[-10:]))
    scatter = float(np.median(np.abs(np.diff(finite[:ENOUGH]))))
    bound = first - max(0.2 * abs(first), 5 * scatter)
    if latest >= bound:
        return None
    return Evidence(
        signal=Phrase("the loss, which falls as the outputs move away from their targets"),
        value=latest,
        baseline=first,
        threshold=bound,
        witness="harm",
        step=steps.total,
    )


def _worse(record: Record, term: TermFact) -> Evidence | None:
    """The loss proper has risen well above its start, by the steps made or by a trial."""
    factor = term.factor or -1.0
    bound = WORSE * max(term.value, term.constant or 0.0)
    steps, fit = record.get(Steps), record.get(Fit)
    if steps is not None and steps.total >= ENOUGH:
        losses = steps.loss[np.isfinite(steps.loss)]
        latest = float(np.median(losses[-10:])) / factor if len(losses) else 0.0
        if latest > bound:
            return Evidence(
                signal=Phrase("the loss proper, after training on its negative"),
                value=latest,
                baseline=term.value,
                threshold=bound,
                witness="harm",
                step=steps.total,
            )
    if fit is not None and fit.best is not None:
        latest = fit.best.end * term.value / fit.best.start if fit.best.start else 0.0
        if latest > bound:
            return Evidence(
                signal=Phrase("the loss proper of one batch, after training on its negative"),
                value=latest,
                baseline=term.value,
                threshold=bound,
                witness="harm",
            )
    return None
