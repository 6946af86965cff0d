"""Batches that hold one class after another."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import feeds_of
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import far_behind, little_learned, unlearned
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.feed import Feed
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SHARE = 0.5
"""Of the entropy that batches of the same labels have once they are dealt out anew."""

MIXED = 0.85
"""The same where the network shows what it forgets."""

LITTLE = 0.75
"""Of what guessing costs: what validation may still cost after several epochs at the most."""

GUESSED = 0.7
"""Of the loss of guessing: what a guess from the batch before may reach at the most. A sampler that
puts few classes into each batch draws them anew for the next: there such a guess is worth less."""


ENOUGH = 3
"""Evaluations before a class that is not answered counts as forgotten."""

FEWEST = 10
"""Labels of a class in validation below which it may be missed by chance."""

UNANSWERED = 0.1
"""Recall of a class that is hardly ever answered."""


@CONDITIONS.register(
    "unshuffled-data",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("stuck-data-feed", "constant-input"),
)
def unshuffled_data(record: Record) -> Iterator[Finding]:
    """The data are fed sorted by class, or nearly so.

    Why it hurts: each step pulls the network toward the few classes of its batch, and the steps
    before are forgotten. The loss falls because the next batch is like this one, not because
    anything is learned of the inputs.

    Evidence: the entropy of the labels within batches, against the same labels dealt out anew. The
    harm: a guess from the labels of the batch before, no input looked at, has a loss far below
    guessing; or, where runs of equal labels are longer than a batch, a network that after all its
    steps does little better than guessing from the shares of all labels; or common classes that it
    never answers in validation, pushed out by those that were fed last. Of a regression the
    eighths of its targets count as classes; there the network must do badly in validation, unless
    each eighth comes at once, as in no series.

    Would be wrong if: the order is meant (one task after another, a state that is carried on).

    Not to be confused with: a data set that is stored sorted and read by a shuffling sampler, which
    is judged by what is fed; samplers that put few classes into each batch for a loss on pairs.

    Treatment: shuffle=True in the training loader; safe.

    Source: Bengio 2012, Practical recommendations for gradient-based training, section 3.1; Bottou
    2012, Stochastic gradient descent tricks, section 4.1.
    """
    for feed in feeds_of(record):
        found = _sorted(feed, record)
        if found is not None:
            yield found
            return


def _sorted(feed: Feed, record: Record) -> Finding | None:
    within, expected = feed.within_entropy, feed.expected_entropy
    if within is None or not expected or within >= MIXED * expected:
        return None
    if within >= SHARE * expected:  # half of the classes at a time: the others must be forgotten
        gone = None if feed.binned else _unanswered(record)
        return _found(feed, any_of(gone), MIXED) if gone is not None else None
    if feed.binned:  # numbers in order may be a series in time: the network itself must fail
        harm = any_of(
            _carried(feed) if _in_order(feed) else None,
            unlearned(record, LITTLE),
            far_behind(record),
            little_learned(record),
        )
    else:
        harm = any_of(_carried(feed), *_forgotten(feed, record), _unanswered(record))
    return _found(feed, harm, SHARE) if harm else None


def _found(feed: Feed, harm: tuple[Evidence, ...], share: float) -> Finding:
    within, expected = feed.within_entropy or 0.0, feed.expected_entropy or 0.0
    return Finding(
        name="unshuffled-data",
        severity="warn",
        what=_what(feed),
        evidence=(
            Evidence(
                signal=Phrase("entropy of the labels within a batch, in nats"),
                value=within,
                baseline=expected,
                threshold=share * expected,
            ),
            *harm,
        ),
        formula="mean over batches of -sum p ln p, p the class shares of a batch",
        confidence=0.95,
        cause=Phrase("The samples are fed in the order in which they are stored."),
        wrong_if=Phrase("the order is meant, as in learning one task after another"),
        not_to_be_confused_with=Phrase("samplers that put few classes into each batch on purpose"),
        treatments=(
            Treatment(
                name="shuffle",
                grade="safe",
                why=Phrase("Let the training loader shuffle."),
                code="DataLoader(train_set, batch_size=..., shuffle=True)",
            ),
        ),
    )


def _carried(feed: Feed) -> Evidence | None:
    carried, guessed = feed.carried_loss, feed.expected_loss
    if carried is None or not guessed or carried >= GUESSED * guessed:
        return None
    return Evidence(
        signal=Phrase("loss of guessing from the batch before, against labels well mixed, in nats"),
        value=carried,
        baseline=guessed,
        threshold=GUESSED * guessed,
        witness="harm",
    )


def _forgotten(feed: Feed, record: Record) -> tuple[Evidence | None, ...]:
    """With a class or two in a batch, and the next batch of others, the carried guess fails as the
    network does. A sampler of few classes never deals a run that is longer than its batch."""
    if not feed.batch or feed.longest_run <= feed.batch:
        return ()
    return (little_learned(record, 0.9, 40), unlearned(record, LITTLE))


def _unanswered(record: Record) -> Evidence | None:
    """Classes that are as common in validation as others, and that the network hardly ever answers
    in every third evaluation or more: those that were fed last push them out."""
    told = record.get(Epochs)
    seen = [each for each in (told.epochs if told is not None else ()) if sum(each.val_labels)]
    if len(seen) < ENOUGH:
        return None
    last, late = seen[-1], [each for each in seen[ENOUGH - 1 :] if each.val_labels]
    even = sum(last.val_labels) / max(1, sum(count > 0 for count in last.val_labels))
    common = [n for n, count in enumerate(last.val_labels) if count >= max(FEWEST, even / 2)]
    lost = sum(3 * sum(_missed(each, n) for each in late) >= len(late) for n in common)
    if not lost:
        return None
    return Evidence(
        signal=Phrase("common classes of validation that are hardly ever answered, of {all}",
                      all=len(common)),
        value=lost,
        baseline=0,
        witness="harm",
        step=last.step,
    )  # fmt: skip


def _missed(epoch: EpochFact, label: int) -> bool:
    count = epoch.val_labels[label] if label < len(epoch.val_labels) else 0
    return count >= FEWEST and epoch.val_hits[label] < UNANSWERED * count


def _in_order(feed: Feed) -> bool:
    """Whether all of some eighth of the targets comes in one piece."""
    return feed.longest_run >= 0.9 * feed.read / max(feed.classes or 1, 1)


def _what(feed: Feed) -> Phrase:
    if feed.binned:
        return Phrase("The data are fed in the order of their targets, the low before the high")
    if feed.longest_alone > 1:
        return Phrase(
            "{batches} batches in a row hold one class alone, of {classes} classes",
            batches=feed.longest_alone,
            classes=feed.classes,
        )
    return Phrase(
        "Labels are fed in runs: up to {run} equal ones in a row, against {expected} by chance",
        run=feed.longest_run,
        expected=f"{feed.expected_run or 0:.0f}",
    )
