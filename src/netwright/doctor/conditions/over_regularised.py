"""Dropout or weight decay so strong that the network cannot learn."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import UNLEARNED, course, hardly_falls
from netwright.doctor.conditions._harm import NEAR, any_of, entropy_of_labels, stuck
from netwright.doctor.conditions._rate import DEEPER, INWARD, groups, moved_aside
from netwright.doctor.conditions._terms import terms_of
from netwright.doctor.conditions._too_much_regularised import too_much_regularised
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.fit import Fit
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.wanted import Wanted
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

GUESSED = 0.7
"""Of what guessing costs on the first batch: a loss that is above, and never moves, is that of
guessing on other data."""

KEPT = 0.4
"""Of guessing: what the loss of the data keeps at the least of the sum. A penalty on sureness at
the weight that it was proposed with (Pereyra et al. 2017: 0.1) leaves less than 0.05."""

SMOOTH = 0.7
"""Smoothing of labels from which on they are more chance than label: usual is 0.1, 0.3 is much."""

LEAST = 0.8
"""Part of the loss of guessing that smoothing alone leaves, from which on it does harm."""

EPOCHS = 3
"""Validations after which a loss at guessing is no beginning."""


@CONDITIONS.register(
    "over-regularised",
    reads=Record,
    when="before the first step",
    group="generalisation",
    severity="warn",
    yields_to=DEEPER,
)
def over_regularised(record: Record) -> Iterator[Finding]:
    """Dropout or weight decay leaves nothing of what a step learns.

    Why it hurts: decay pulls the weights to zero faster than the loss moves them, or dropout hides
    so much of a layer that each step learns for another network.

    Evidence: the trial. One batch cannot be fitted at any of three rates; the same steps at the
    rate that is set fit it once dropout rests and decay is 0. Measured: dropout of 0.95 in a
    network of two hidden layers, decay of 1 in Adam and of 50 in AdamW; dropout of 0.5 and decay
    of 0.3 in AdamW fit the batch and learn.

    Or by the loss: what is added to it outweighs the loss of the data at the first batch, and that
    of the data stays at guessing in validation, epoch after epoch.

    Or by the weights: after each step somebody shrinks them by a fifth of its length or more, and
    the run stands or is far from what a plain network came to.

    Would be wrong if: the run learns all the same, over many more steps.

    Not to be confused with: ordinary regularisation, which slows the fit of one batch and does not
    prevent it.

    Treatment: dropout of at most 0.5, decay a hundred times smaller; ask.

    Source: Srivastava et al. 2014, Dropout; Loshchilov & Hutter 2019, Decoupled weight decay.
    """
    yield from _outweighed(record)
    yield from _held_down(record)
    yield from _smoothed(record)
    yield from _held(record)
    case, fit = too_much_regularised(record), record.get(Fit)
    if case is None or fit is None:
        return
    free, decay = fit.variants["free"], max((g.weight_decay for g in groups(record)), default=0.0)
    given = (
        (Evidence(signal=Phrase("weight decay"), value=decay, baseline=0.0),) if decay > 0 else ()
    )
    yield Finding(
        name="over-regularised",
        severity="warn",
        what=Phrase("Dropout or weight decay is so strong that one batch cannot be fitted"),
        evidence=(*case.causes, *given, *case.harms),
        cause=Phrase("The batch is fitted as soon as dropout rests and decay is 0."),
        counterfactual=Phrase(
            "Without dropout and decay the same batch goes from {start} to {end} in {steps} steps.",
            start=f"{free.start:.3g}",
            end=f"{free.end:.3g}",
            steps=free.steps,
        ),
        confidence=0.9,
        wrong_if=Phrase("the run learns all the same, over many more steps"),
        treatments=(
            Treatment(
                name="weaken",
                grade="ask",
                why=Phrase("Take dropout of at most 0.5, and a hundredth of the weight decay."),
                code=f"weight_decay={decay / 100:g}" if decay > 0 else "nn.Dropout(0.3)",
            ),
        ),
    )


def _held(record: Record) -> Iterator[Finding]:
    """What is added to the loss of the data works against it, as free outputs show."""
    found, run = record.get(Wanted), course(record)
    if found is None or found.term_left is None or found.term_left < KEPT:
        return
    # Where two losses pull apart each holds the other up by design: the run itself must stand.
    harm = any_of(stuck(record), hardly_falls(run), behind(record, run)) if run else ()
    yield Finding(
        name="over-regularised",
        severity="warn" if harm else "note",
        what=Phrase("What is added to {loss} holds it up, whatever the outputs", loss=found.term),
        evidence=(
            Evidence(
                signal=Phrase("the whole loss by outputs that are free, against its first value"),
                value=found.least,
                baseline=found.start,
            ),
            Evidence(
                signal=Phrase("{loss} over guessing, by the outputs for which the sum is least",
                              loss=found.term),
                value=found.term_left,
                baseline=0.0,
                threshold=KEPT,
            ),
            *harm,
        ),
        cause=Phrase("The sum is least where the labels are hardly learned."),
        wrong_if=Phrase("the labels are not what is to be learned"),
        not_to_be_confused_with=Phrase("a penalty that forbids the last bit of sureness"),
        treatments=(
            Treatment(
                name="smaller-penalty",
                grade="ask",
                why=Phrase("Weigh what is added ten times less."),
            ),
        ),
    )  # fmt: skip


def _smoothed(record: Record) -> Iterator[Finding]:
    """Labels smoothed until they say hardly more than chance."""
    for term in terms_of(record):
        if term.smoothing < SMOOTH or not term.classes or not term.constant or term.least is None:
            continue
        chance = 1 / term.classes
        yield Finding(
            name="over-regularised",
            severity="warn" if term.least > LEAST * term.constant else "note",
            what=Phrase("Labels are smoothed by {smoothing:g}: the right class is to have {share}",
                        smoothing=term.smoothing,
                        share=f"{1 - term.smoothing + term.smoothing * chance:.3f}"),
            evidence=(
                Evidence(
                    signal=Phrase("label smoothing"),
                    value=term.smoothing,
                    baseline=0.1,
                    threshold=SMOOTH,
                ),
                Evidence(
                    signal=Phrase("the least that the loss can reach, against guessing"),
                    value=term.least,
                    baseline=term.constant,
                    threshold=LEAST * term.constant,
                    witness="harm" if term.least > LEAST * term.constant else "cause",
                ),
            ),
            cause=Phrase("So smooth a target is nearly the same for every class."),
            wrong_if=Phrase("outputs are meant to be as good as uniform"),
            treatments=(
                Treatment(
                    name="weaken",
                    grade="ask",
                    why=Phrase("Label smoothing of 0.1 is usual."),
                    code="nn.CrossEntropyLoss(label_smoothing=0.1)",
                ),
            ),
        )  # fmt: skip
        return


def _outweighed(record: Record) -> Iterator[Finding]:
    """A penalty that is larger than the loss it is added to."""
    terms, objective, told = terms_of(record), record.get(Objective), record.get(Epochs)
    if len(terms) != 1 or objective is None or told is None or not objective.first_loss:
        return
    (term,) = terms
    if term.factor is not None or term.constant is None or term.value <= 0:
        return
    if term.reduction != "mean":  # how the loop divides that sum is not known, nor what is added
        return
    added = objective.first_loss - term.value
    if added < term.value or any(g.maximize for g in groups(record)):
        return
    losses = [each.val_loss for each in told.epochs if each.val_loss is not None]
    guess = entropy_of_labels(record) or term.constant
    if len(losses) < EPOCHS:
        return
    # The constant is of one batch of training; of other data it costs somewhat more or less.
    flat = max(losses) - min(losses) < NEAR * max(losses) and min(losses) > GUESSED * guess
    if min(losses) < UNLEARNED * guess and not flat:
        return
    yield Finding(
        name="over-regularised",
        severity="warn",
        what=Phrase("What is added to {loss} is {times} times as large, and nothing is learned",
                    loss=term.kind, times=f"{added / term.value:.3g}"),
        evidence=(
            Evidence(
                signal=Phrase("what is added to the loss of the data, at the first batch"),
                value=added,
                baseline=term.value,
                threshold=term.value,
            ),
            Evidence(
                signal=Phrase("least loss of the data in {count} validations, against guessing",
                              count=len(losses)),
                value=min(losses),
                baseline=guess,
                threshold=UNLEARNED * guess,
                witness="harm",
                step=told.epochs[-1].step,
            ),
        ),
        cause=Phrase("The steps serve what is added to the loss, not the loss of the data."),
        confidence=0.8,
        wrong_if=Phrase("what is added is what is to be learned, and falls"),
        treatments=(
            Treatment(
                name="smaller-penalty",
                grade="ask",
                why=Phrase("Weigh the penalty so that it begins at a hundredth of the loss."),
            ),
        ),
    )  # fmt: skip


def _held_down(record: Record) -> Iterator[Finding]:
    """Weights that are shrunk between the steps, by a bound on them or by hand."""
    loop, found = record.get(Loop), course(record)
    if loop is None or found is None or not moved_aside(record) or loop.aside_along > INWARD:
        return
    harm = any_of(stuck(record), hardly_falls(found), behind(record, found))
    if not harm:
        return
    yield Finding(
        name="over-regularised",
        severity="warn",
        what=Phrase("After each step the weights are shrunk by {times} of its length",
                    times=f"{loop.aside:.2g}"),
        evidence=(
            Evidence(
                signal=Phrase("what moves the weights between two steps, over the length of a "
                              "step, median of {count}", count=loop.kept_looks),
                value=loop.aside,
                baseline=0.0,
            ),
            Evidence(
                signal=Phrase("cosine between that move and the weights"),
                value=loop.aside_along,
                baseline=0.0,
                threshold=INWARD,
            ),
            *harm,
        ),
        cause=Phrase("What a step builds up is taken down again: a bound on the weights that is "
                     "too tight, or a decay by hand."),
        confidence=0.85,
        wrong_if=Phrase("the run is no better without that bound"),
        treatments=(
            Treatment(
                name="wider-bound",
                grade="ask",
                why=Phrase("Give the weights a bound ten times as wide, or none."),
            ),
        ),
    )  # fmt: skip
