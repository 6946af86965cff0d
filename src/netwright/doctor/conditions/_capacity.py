"""What a network that cannot fit costs: a plain one does, and the run stands far from done."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.doctor.conditions._course import Course, course
from netwright.doctor.conditions._harm import entropy_of_labels
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.learnable import Learnable
from netwright.records.facts.plain_fit import PlainFit
from netwright.records.findings import Evidence
from netwright.records.record import Record

THRICE = 3.0
"""How many times lower one batch comes with another network, or with all weights trained."""

LOW = 0.3
"""Share of the loss of guessing under which a batch is fitted, or a run does well on features that
nobody trained."""

LATE = 150
"""Steps from which on a run has had time to come to half of guessing, if it ever does."""

HALF = 0.5
"""Share of the loss of guessing above which a run has not come far."""

NOISE = 0.95
"""Share of the loss of guessing above which nothing was learned that holds elsewhere."""

ABOVE = 1.2
"""Times what a plain network comes to in a moment, without having seen the samples."""


LATER, SOME = 240, 4
"""Steps and epochs from which on what a run comes to is held against a plain network."""


def outdone(record: Record) -> Evidence | None:
    """Two plain hidden layers fit the batch that this network fits at none of its trials."""
    plain = record.get(PlainFit)
    if plain is None or plain.constant is None or plain.trial.end != plain.trial.end:
        return None
    guess = min(plain.trial.start, plain.constant)
    if not plain.trial.end < LOW * guess < plain.best or plain.best < THRICE * plain.trial.end:
        return None
    return Evidence(
        signal=Phrase(
            "least loss of one batch in all trials, against that of two plain hidden layers of "
            "{width} units",
            width=plain.width,
        ),
        value=plain.best,
        baseline=plain.trial.end,
        threshold=THRICE * plain.trial.end,
    )


def far_from_done(record: Record) -> Evidence | None:
    """After many steps the loss still stands above half of guessing, and above what a plain network
    comes to on samples that it has not seen: what is left to learn is not noise."""
    found = course(record)
    if found is None or found.broken is not None or found.steps < LATE:
        return None
    guess = _guess(record, found)
    share = _unseen(record)
    if guess is None or share is None or found.latest < HALF * guess:
        return None
    others = guess * share
    if found.latest < ABOVE * others:
        return None
    return Evidence(
        signal=Phrase(
            "loss of the last steps, against that of two plain hidden layers on samples they have "
            "not seen"
        ),
        value=found.latest,
        baseline=others,
        threshold=max(HALF * guess, ABOVE * others),
        witness="harm",
        step=found.steps,
    )


def far_behind(record: Record) -> Evidence | None:
    """After as many steps as a plain network took, and more, the run has on its validation data
    never come near the loss of that network on samples that it has not seen."""
    found, epochs = course(record), record.get(Epochs)
    if found is None or found.broken is not None or found.steps < LATER or epochs is None:
        return None
    guess, share = _guess(record, found), _unseen(record)
    told = [each.val_loss for each in epochs.epochs if each.val_loss is not None]
    if guess is None or share is None or len(told) < SOME:
        return None
    least = min(told)
    if least < _bound(guess, share):
        return None
    return Evidence(
        signal=Phrase(
            "least loss on the validation data, against that of two plain hidden layers on "
            "samples they have not seen"
        ),
        value=least,
        baseline=guess * share,
        threshold=_bound(guess, share),
        witness="harm",
        step=found.steps,
    )


def _bound(guess: float, share: float) -> float:
    """What a run must be above to be far behind: three times that network, and a quarter of what
    guessing costs beyond it."""
    return max(3 * share, share + 0.25) * guess


def _unseen(record: Record) -> float | None:
    """What a plain network comes to on samples that it has not seen, of the loss of guessing."""
    plain, known = record.get(PlainFit), record.get(Learnable)
    if plain is not None and plain.unseen is not None and plain.constant:
        return plain.unseen / plain.constant
    return known.unseen / known.guess if known is not None else None


def is_noise(record: Record) -> bool:
    """Whether a plain network that fits its batch knows nothing of samples it has not seen."""
    plain = record.get(PlainFit)
    if plain is None or plain.unseen is None or plain.constant is None:
        return False
    return plain.unseen > NOISE * plain.constant


def _guess(record: Record, found: Course) -> float | None:
    return found.guess or entropy_of_labels(record)
