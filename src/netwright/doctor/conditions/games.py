"""Faults of a game between a generator and a discriminator.

They are listed, and say nothing yet: no rule stands behind them. The rules come, with their proof,
when a generator against a discriminator is trained here.
"""

from __future__ import annotations

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._listed import LATER, nothing
from netwright.records.findings import Finding


@CONDITIONS.register("mode-collapse", reads=(), when=LATER, group="generalisation", severity="warn")
def mode_collapse(record: object) -> tuple[Finding, ...]:
    """The generator makes a few samples over and over.

    Why it hurts: most of what the data show is never made; the score of single samples may
    still look good.

    Evidence: the diversity of generated samples (mean distance between pairs, number of
    neighbours in the data that are hit) against that of as many samples of the data, falling
    over the run.

    Would be wrong if: the data themselves are that alike, or the samples share a condition on
    purpose.

    Not to be confused with: a generator early in its training, which makes one grey sample
    because it has learned nothing yet.

    Treatment: minibatch statistics, a smaller rate, another loss of the game, a penalty on the
    gradient; ask.

    Source: Goodfellow et al. 2014; Salimans et al. 2016, Improved techniques for training GANs.
    """
    return nothing(record)


@CONDITIONS.register("discriminator-wins", reads=(), when=LATER, group="rate", severity="warn")
def discriminator_wins(record: object) -> tuple[Finding, ...]:
    """The discriminator is always right, and the generator learns nothing from it.

    Why it hurts: the gradient that reaches the generator vanishes: its weights stop moving
    while its loss climbs.

    Evidence: the loss of the discriminator near 0 at most steps, and the gradient of the
    generator below a hundredth of what it was, for longer than the game's own swings take.

    Would be wrong if: the loss is one without saturation (Wasserstein, hinge), where a strong
    critic is wanted.

    Not to be confused with: swings of the game, in which either player leads for a while.

    Treatment: a loss without saturation, a slower discriminator, label smoothing, more noise;
    ask.

    Source: Arjovsky and Bottou 2017, Towards principled methods for training GANs.
    """
    return nothing(record)


@CONDITIONS.register("oscillating-game", reads=(), when=LATER, group="rate", severity="warn")
def oscillating_game(record: object) -> tuple[Finding, ...]:
    """The players chase each other in circles, and the samples do not get better.

    Why it hurts: compute is spent, and which sample quality is kept depends on when the run is
    stopped.

    Evidence: losses and samples that return to earlier states with growing swings, while the
    distance between samples and data does not fall.

    Would be wrong if: the distance to the data falls all the same: the losses of a game are not
    meant to fall.

    Not to be confused with: a discriminator that wins once and for all; chance swings of small
    batches.

    Treatment: smaller rates, a lower first moment, averaged weights of the generator, a
    gradient penalty; ask.

    Source: Mescheder et al. 2018, Which training methods for GANs do actually converge?
    """
    return nothing(record)
