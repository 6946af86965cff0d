"""Faults of writing sentences about images.

They are listed, and say nothing yet: no rule stands behind them. The rules come, with their proof,
when a network that writes captions is trained here.
"""

from __future__ import annotations

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._listed import LATER, nothing
from netwright.records.findings import Finding


@CONDITIONS.register("repeats-one-sentence", reads=(), when=LATER, group="output", severity="warn")
def repeats_one_sentence(record: object) -> tuple[Finding, ...]:
    """The same sentence is written whatever the image shows.

    Why it hurts: the image is not used: the sentence is the likeliest one of the data.

    Evidence: the number of different sentences over many images, and the change of the loss
    when the images are exchanged among each other.

    Would be wrong if: the images are that alike.

    Not to be confused with: short, safe sentences that still change with the image.

    Treatment: check that the features of the image reach the decoder, sample instead of taking
    the likeliest; ask.

    Source: Vinyals et al. 2015, Show and tell.
    """
    return nothing(record)


@CONDITIONS.register(
    "teacher-forcing-gap", reads=(), when=LATER, group="generalisation", severity="warn"
)
def teacher_forcing_gap(record: object) -> tuple[Finding, ...]:
    """It writes well on given words, and badly on its own.

    Why it hurts: what is measured in training is not what is done in use; errors add up along
    the sentence.

    Evidence: the loss of each place with the true words before it, against that with its own
    words, growing along the sentence.

    Would be wrong if: sentences are short, or the score of written sentences is good all the
    same.

    Not to be confused with: overfitting, where the loss on given words of validation is bad as
    well.

    Treatment: scheduled sampling, training on the score of whole sentences, beam search; ask.

    Source: Bengio et al. 2015, Scheduled sampling for sequence prediction.
    """
    return nothing(record)
