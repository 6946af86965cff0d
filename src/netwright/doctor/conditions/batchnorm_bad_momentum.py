"""Running statistics that do not follow, or follow too closely."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import listed
from netwright.records.facts.modes import Modes
from netwright.records.facts.norms import NormFact, Norms
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Torch's momentum, the share of the new: its own 0.1 lies in the middle.
_LOW, _HIGH = 0.005, 0.5
# Steps after which the statistics should have arrived.
_STEPS = 100
# Standard deviations, or times, that are off.
_OFF, _RATIO = 1.0, 4.0
# Standard deviations that a running mean is off by the chance of what few batches it holds.
_CHANCE = 0.25
# The same batch in evaluation mode against training mode.
_GAP = 1.3


@CONDITIONS.register(
    "batchnorm-bad-momentum",
    reads=Record,
    when="in the first steps",
    group="structure",
    severity="warn",
    yields_to=("wrong-mode", "batchnorm-small-batch"),
)
def batchnorm_bad_momentum(record: Record) -> Iterator[Finding]:
    """The momentum of batch normalisation is so low or so high that its statistics are off.

    Why it hurts: evaluation uses running statistics. With a low momentum they still are those of
    the beginning; with one near 1 they are those of the last batch alone. Often 0.9 or 0.99 was
    meant as the share of the old, as other libraries count.

    Evidence: the momentum, against 0.005 to 0.5; and after a hundred steps the running mean more
    than a standard deviation off that of the batch, a running variance four times off, or a loss
    of the same batch in evaluation mode 1.3 times that in training mode; or a momentum so high that
    the running statistics hold too few samples: the error of a mean is sqrt(momentum / (2 -
    momentum) / samples), where samples that hang together within an image count as fewer.

    Would be wrong if: training goes on long enough for the statistics to arrive.

    Not to be confused with: momentum None, which averages over all batches; a network in training
    that has just begun; data that differ between training and evaluation.

    Treatment: the momentum that torch sets, 0.1; ask.

    Source: Ioffe & Szegedy 2015, Batch normalization; PyTorch documentation, BatchNorm2d.
    """
    norms, modes = record.get(Norms), record.get(Modes)
    if norms is None:
        return
    odd = [
        each
        for each in norms.norms
        if each.momentum is not None and each.updated and not _LOW <= each.momentum <= _HIGH
    ]
    if not odd:
        return
    worst = max(odd, key=lambda each: max(each.off / _OFF, each.ratio / _RATIO))
    harm = _harm(norms, modes, worst)
    momentum = worst.momentum if worst.momentum is not None else 0.0
    yield Finding(
        name="batchnorm-bad-momentum",
        severity="warn" if harm else "note",
        layers=tuple(each.name for each in odd),
        what=Phrase("{layers}: momentum {momentum}, the share of each new batch",
                    layers=listed([each.name for each in odd]), momentum=momentum),
        evidence=(
            Evidence(
                signal=Phrase("momentum of the running statistics"),
                value=momentum,
                baseline=0.1,
                threshold=_LOW if momentum < _LOW else _HIGH,
                layer=worst.name,
            ),
            *harm,
        ),
        formula="running = (1 - momentum) running + momentum batch",
        cause=Phrase("The running statistics need some {steps:.0f} steps to follow.",
                     steps=1 / max(momentum, 1e-9))
        if momentum < _LOW
        else Phrase("The running statistics are those of the last batch or two."),
        wrong_if=Phrase("training goes on long enough for them to arrive"),
        not_to_be_confused_with=Phrase("momentum=None, which averages over all batches"),
        treatments=(
            Treatment(
                name="torch-momentum",
                grade="ask",
                why=Phrase("In torch it is the share of the new: 0.1, or 1 less what is set."),
                code=f"momentum={1 - momentum:.3g}" if momentum > _HIGH else "momentum=0.1",
            ),
        ),
    )  # fmt: skip


def _harm(norms: Norms, modes: Modes | None, worst: NormFact) -> list[Evidence]:
    if norms.step < _STEPS:
        return []
    found = []
    if worst.off > _OFF or worst.ratio > _RATIO:
        by_mean = worst.off > _OFF
        found.append(
            Evidence(
                signal=Phrase("running mean off the batch's, in standard deviations")
                if by_mean
                else Phrase("running variance off the batch's, times"),
                value=worst.off if by_mean else worst.ratio,
                baseline=0.0 if by_mean else 1.0,
                threshold=_OFF if by_mean else _RATIO,
                witness="harm",
                layer=worst.name,
                step=norms.step,
            )
        )
    gap = modes.gap if modes is not None else None
    worse = modes is not None and bool(modes.step) and modes.evaluation[-1] > modes.training[-1]
    if modes is not None and worse and gap is not None and gap > _GAP:
        found.append(
            Evidence(
                signal=Phrase("loss of one batch in one mode, over that in the other"),
                value=gap,
                baseline=1.0,
                threshold=_GAP,
                unit="times",
                witness="harm",
                step=modes.step[-1],
            )
        )
    error = _by_chance(norms)
    if not found and error > _CHANCE:
        found.append(
            Evidence(
                signal=Phrase("error of the running statistics by chance, in standard deviations, "
                              "of all norms together"),
                value=error,
                baseline=0.0,
                threshold=_CHANCE,
                witness="harm",
                layer=worst.name,
                step=norms.step,
            )
        )  # fmt: skip
    return found


def _by_chance(norms: Norms) -> float:
    """How far the running statistics are off by the few samples that they hold: that of a mean of n
    values is 1 / sqrt(n) standard deviations, that of their spread 1 / sqrt(2 n), and the errors
    of one norm after the other add up by their squares."""
    held = [
        each.samples * (2 - each.momentum) / each.momentum
        for each in norms.norms
        if each.updated and each.samples and each.momentum is not None and each.momentum > _HIGH
    ]
    return math.sqrt(sum(1.5 / each for each in held))
