"""A network with far more weights than samples, which learns them by heart."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import far_behind, guessing
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

MANY = 20
"""Parameters for each training sample."""

BY_HEART = 0.02
"""Training loss, of what guessing costs, from which on nothing is left to learn in training."""


@CONDITIONS.register(
    "too-much-capacity",
    reads=Record,
    when="after epochs",
    group="structure",
    severity="warn",
    yields_to=(
        "overfitting",
        "split-leakage",
        "labels-inconsistent",
        "label-noise",
        "memorised-noise",
        "duplicate-samples",
        "stuck-data-feed",
        "inconsistent-preprocessing",
        "distribution-shift",
        "class-imbalance",
        "batchnorm-bad-momentum",
        "wrong-mode",
    ),
)
def too_much_capacity(record: Record) -> Iterator[Finding]:
    """The network has twenty weights for each sample or more, and has learned them by heart.

    Why it hurts: mostly it does not: large networks generalise well. With few samples what they
    have in common is not found before each is known by itself; then nothing is left to learn from.

    Evidence: parameters for each training sample; a training loss of nearly nothing (under 2 % of
    guessing) while validation stays behind by a quarter of what guessing costs and more, over the
    last third of the run. With less of a gap it is a note.

    Would be wrong if: a smaller network does worse on the same validation data.

    Not to be confused with: a pretrained network, whose weights come from other samples.

    Treatment: a narrower network, more data, augmentation; ask.
    """
    setup, epochs = record.get(Setup), record.get(Epochs)
    if setup is None or epochs is None or not epochs.epochs or setup.pretrained:
        return
    last = epochs.epochs[-1]
    if not setup.train_samples or last.train_loss is None or last.val_loss is None:
        return
    share = setup.trainable / setup.train_samples
    guess, gap = guessing(record), far_behind(record)
    heart = guess is not None and last.train_loss <= BY_HEART * guess
    harm = any_of(gap) if heart else ()
    least = min(each.val_loss for each in epochs.epochs if each.val_loss is not None)
    if (
        share < MANY
        or last.train_loss <= 0
        or (not harm and last.val_loss < max(2 * last.train_loss, 1.1 * least))
    ):
        return
    yield Finding(
        name="too-much-capacity",
        severity="warn" if harm else "note",
        what=Phrase("The network has {count} weights for each sample, and learns them by heart",
                    count=f"{share:.0f}"),
        evidence=(
            Evidence(
                signal=Phrase("trainable parameters for each training sample"),
                value=share,
                threshold=MANY,
            ),
            Evidence(
                signal=Phrase("validation loss, against that of training"),
                value=last.val_loss,
                baseline=last.train_loss,
                step=last.step,
            ),
            *harm,
        ),
        cause=Phrase("There are more weights than the samples can determine."),
        confidence=0.5,
        wrong_if=Phrase("a smaller network does worse on the same validation data"),
        treatments=(
            Treatment(
                name="narrow",
                grade="ask",
                why=Phrase("Try a network of a quarter of the width, or more data."),
            ),
            Treatment(
                name="select-features",
                grade="ask",
                why=Phrase("Of a table: leave out the columns that tell nothing of the targets."),
            ),
        ),
    )  # fmt: skip
