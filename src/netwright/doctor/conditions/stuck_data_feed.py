"""Batches that repeat, or never come."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import score_gap
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import far_behind
from netwright.records.facts.feed import Feed
from netwright.records.facts.loop import Loop
from netwright.records.facts.passing import Passing
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

DROPPED = 0.1
SEEN = 0.5
"""Share of the data that must have come by once as many samples were fed as there are."""


@CONDITIONS.register(
    "stuck-data-feed",
    reads=Record,
    when="in the first steps",
    group="data",
    severity="stop",
)
def stuck_data_feed(record: Record) -> Iterator[Finding]:
    """The loader gives no batch, leaves out much of the data, or gives the same batches again.

    Why it hurts: what is not fed is not learned. A few batches that come again and again are
    memorised; a loader without a batch lets the loop run through and train nothing.

    Evidence: a pass over the loader that gives nothing; the samples that drop_last leaves out;
    distinct batches by their fingerprints, against the batches that as many steps should have
    seen. The harm of the last is a score that is not there in validation, or a loss there far
    above that of training.

    Would be wrong if: the subset is meant (fitting one batch as a test, a limit on the batches).

    Not to be confused with: a small data set that comes round each epoch, a full-batch run, several
    steps on one batch as some methods take.

    Treatment: a smaller batch or drop_last=False where samples are left out; else look at where
    the loop asks for its batch (an iterator made anew each step starts anew); advice.

    Source: torch.utils.data.DataLoader, `drop_last` and the order of iteration.
    """
    feed, passing = record.get(Feed), record.get(Passing)
    if feed is not None and feed.complete and not feed.batches:
        yield _empty(feed)
        return
    if feed is not None and feed.samples and feed.dropped / feed.samples > DROPPED:
        yield _dropped(feed)
    if passing is not None and (found := _in_a_row(record, passing)) is not None:
        yield found
        return
    if passing is not None:
        samples = feed.samples if feed is not None else None
        setup = record.get(Setup)
        samples = samples or (setup.train_samples if setup is not None else None)
        if samples:
            yield from _again(record, passing, samples)


def _empty(feed: Feed) -> Finding:
    dropped = feed.dropped > 0
    return _finding(
        "stop",
        Phrase("The training loader gives no batch"),
        (
            Evidence(signal=Phrase("batches in one pass over the loader"), value=0, threshold=1),
            Evidence(
                signal=Phrase("training steps in an epoch"), value=0, threshold=1, witness="harm"
            ),
        ),
        Phrase("The batch is larger than the data set, and drop_last leaves the rest out.")
        if dropped
        else Phrase("The data set is empty, or its sampler is, or it was used up before."),
        1.0,
    )


def _dropped(feed: Feed) -> Finding:
    share = feed.dropped / (feed.samples or 1)
    # Where the order is drawn anew each epoch, other samples are left out each time.
    same = feed.shuffled is False
    harm = (
        (
            Evidence(
                signal=Phrase("share of the data that no epoch ever sees"),
                value=share,
                baseline=0.0,
                threshold=DROPPED,
                unit="share",
                witness="harm",
            ),
        )
        if same
        else ()
    )
    return _finding(
        "warn" if harm else "note",
        Phrase(
            "drop_last leaves {dropped} of {samples} samples out of every epoch",
            dropped=feed.dropped,
            samples=feed.samples,
        ),
        (
            Evidence(
                signal=Phrase("samples left out of an epoch"),
                value=share,
                baseline=0.0,
                threshold=DROPPED,
                unit="share",
            ),
            *harm,
        ),
        Phrase("The last batch would be smaller, and is left out."),
        1.0,
        _KEEP,
    )


ROW = 0.6
"""Share of batches that equal the one right before: where each is taken twice it is a half."""


def _in_a_row(record: Record, passing: Passing) -> Finding | None:
    """The same batch served again and again before another one comes."""
    told = passing.told or 0
    if told < 40 or passing.at_once <= ROW * told or passing.distinct < 2:
        return None
    harm = any_of(score_gap(record), far_behind(record))
    return _finding(
        "warn" if harm else "note",
        Phrase("{again} of {batches} batches are the one right before once more",
               again=passing.at_once, batches=told),
        (
            Evidence(
                signal=Phrase("batches that equal the one right before"),
                value=passing.at_once / told,
                baseline=0.0,
                threshold=ROW,
                unit="share",
            ),
            *harm,
        ),
        Phrase("The reader serves a batch again while it waits for the next one."),
        0.9,
    )  # fmt: skip


UNSEEN = 1.25
"""Different things over those that were seen, when as many draws again as were seen brought none
that is new: x with 1 / x = 1 - exp(-2 / x)."""


def _again(record: Record, passing: Passing, samples: int) -> Iterator[Finding]:
    """Steps enough for the whole set, and few different batches."""
    loop = record.get(Loop)
    # Where gradients are accumulated, the first batch of each step is told from others.
    each = max(1.0, loop.backwards / loop.steps) if loop is not None and loop.steps else 1.0
    batch = (passing.batch or 0) * each
    fed = passing.batches * batch
    if fed < 2 * samples or not passing.distinct or passing.distinct >= passing.remembered:
        return
    different: float = passing.distinct
    if passing.told is not None and passing.told < passing.batches:
        # Of a sample each has come twice and more: then hardly a fifth has not come at all.
        if passing.told < 2 * passing.distinct:
            return
        different *= UNSEEN
    share = different * batch / samples
    if share >= SEEN:
        return
    # One batch alone may be the experiment: can the network fit it? Nobody validates that again
    # and again.
    gap = score_gap(record) if passing.distinct > 1 else None
    harm = any_of(gap, far_behind(record))
    yield _finding(
        "warn" if harm else "note",
        Phrase(
            "{batches} steps have seen {distinct} different batches: {share} % of the data at most",
            batches=passing.batches,
            distinct=passing.distinct,
            share=f"{100 * share:.3g}",
        ),
        (
            Evidence(
                signal=Phrase("samples that came by, of the data set, at most"),
                value=share,
                baseline=1.0,
                threshold=SEEN,
                unit="share",
            ),
            *harm,
        ),
        Phrase("The loop asks for its batch from the beginning of the data again."),
        0.9,
    )


_LOOK = Treatment(
    name="look-at-the-loader",
    grade="advice",
    why=Phrase(
        "Take a smaller batch or drop_last=False; make the iterator once an epoch, not once a step."
    ),
)

_KEEP = Treatment(
    name="keep-the-rest",
    grade="ask",
    why=Phrase("Take a smaller batch, or drop_last=False."),
    code="DataLoader(..., drop_last=False)",
)


def _finding(
    severity: str,
    what: Phrase,
    evidence: tuple[Evidence, ...],
    cause: Phrase,
    confidence: float,
    treatment: Treatment = _LOOK,
) -> Finding:
    return Finding(
        name="stuck-data-feed",
        severity=severity,  # type: ignore[arg-type]
        what=what,
        evidence=evidence,
        formula="distinct batches x batch / samples",
        confidence=confidence,
        cause=cause,
        wrong_if=Phrase("the subset is meant, as in fitting one batch as a test"),
        not_to_be_confused_with=Phrase("a small data set that comes round each epoch"),
        treatments=(treatment,),
    )
