"""Validation inputs that went through another preprocessing than those of training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import far, score_gap, splits_of
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import far_behind, worse_than_guessing
from netwright.records.facts.passing import Passing
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

AUC = 0.9
GAP = 1.0
SPREAD = 2.0
"""By this factor at least the spreads differ. Mixing images (mixup) lowers it to 0.7."""

MOST = 0.5
"""Share of the channels or features that must be off: preprocessing is of all of them, a shift of
the world is of some."""

LOUD = 3.0
"""How far apart the outputs of the untrained network may be on the two."""

WITHIN = 0.8
"""Of the score within training, what the turned images must reach."""

TOLD = 0.1
"""Share of the variance of the targets that single features must tell for their order to show."""

GAIN = 0.1
"""What the alignment must bring to a simple model's score on validation."""


@CONDITIONS.register(
    "inconsistent-preprocessing",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
    yields_to=("nonfinite-input", "constant-input"),
)
def inconsistent_preprocessing(record: Record) -> Iterator[Finding]:
    """Training and validation inputs come with other scales, another sign or another channel order.

    Why it hurts: the network is judged on inputs it has never seen the like of. Its validation
    score is that of guessing, though it may have learned all there is, and every choice made by
    that score is arbitrary.

    Evidence: a linear classifier tells the two apart on held-out samples, and the means or the
    spreads of most channels are off, the mean images are each other's negative, or channels stand
    in another order; or the columns of a table do, of which each tells of the targets what
    another one tells in training; or images are flipped or turned. The harm is a counterfactual:
    a simple model of the training data scores validation as it is, and brought into line.

    Would be wrong if: the two are meant to differ, as in tests of robustness.

    Not to be confused with: augmentation of training alone, which changes single images and hardly
    their means; a shift of the world, which does not touch every channel alike.

    Treatment: one transform, fitted on training, for both; ask.

    Source: Lopez-Paz & Oquab 2017, Revisiting classifier two-sample tests.
    """
    read, passed = splits_of(record), record.get(Passing)
    found = tuple(_of(record, read)) if read is not None else ()
    # What the loop does to its batches is seen at the door of the model alone.
    if not any(each.severity != "note" for each in found) and passed is not None:
        at_door = passed.splits
        if at_door is not None and at_door is not read:
            seen = [each for each in _of(record, at_door) if each.severity != "note"]
            found = tuple(seen) or found
    yield from found


def _of(record: Record, splits: Splits) -> Iterator[Finding]:
    """What two splits say, as they were read or as they came to the model."""
    if splits.auc is None:
        return
    order = _columns(splits)
    if order is not None:
        yield _reordered(splits, order)
        return
    lie = _turned(splits)
    if lie is not None:
        yield _as_turned(splits, lie)
        return
    signs = any_of(_inverted(splits), _channel_order(splits), _means(splits), _spreads(splits))
    plain = bool(splits.channel_order) or far(splits) or _inverted(splits) is not None
    if not signs or not (plain or splits.auc > AUC):
        return
    gap = worse_than_guessing(record) or score_gap(record) or far_behind(record)
    harm = any_of(_alignment(splits), _on_network(splits), gap)
    grave = _alignment(splits) is not None
    yield Finding(
        name="inconsistent-preprocessing",
        severity=("stop" if grave and _lost(splits) else "warn") if harm else "note",
        what=_what(splits),
        evidence=(
            *signs,
            Evidence(
                signal=Phrase(
                    "a linear classifier tells validation from training (area under the curve)"
                ),
                value=splits.auc,
                baseline=0.5,
                threshold=AUC,
            ),
            *harm,
        ),
        formula="AUC of a linear discriminant; (mean_val - mean_train) / std_train by channel",
        confidence=0.95 if harm else 0.7,
        cause=Phrase("The two splits do not go through the same transform."),
        wrong_if=Phrase("the two are meant to differ, as in a test of robustness"),
        not_to_be_confused_with=Phrase("augmentation of the training images alone"),
        counterfactual=_counterfactual(splits),
        treatments=(
            Treatment(
                name="one-transform",
                grade="ask",
                why=Phrase("Fit one transform on the training data and apply it to both."),
                code=_code(splits),
            ),
        ),
    )


def _turned(splits: Splits) -> Evidence | None:
    """H6: flipped or turned, validation images are named as well as those of training."""
    stands, after, within = splits.score, splits.score_turned, splits.score_within
    if not splits.turned or stands is None or after is None or within is None:
        return None
    if after - stands <= max(2 * GAIN, 5 * (splits.score_error or 0)) or after < WITHIN * within:
        return None
    return Evidence(
        signal=Phrase("validation named by a simple model of training, against after alignment"),
        value=stands,
        baseline=after,
        unit="share",
        witness="harm",
    )


def _as_turned(splits: Splits, harm: Evidence) -> Finding:
    return Finding(
        name="inconsistent-preprocessing",
        severity="warn",
        what=Phrase(
            "Validation images lie otherwise than those of training: {turn}", turn=splits.turned
        )
        if splits.kind != "series"
        else Phrase(
            "Validation series are read the other way than those of training: {turn}",
            turn=splits.turned,
        ),
        evidence=(
            Evidence(
                signal=Phrase("flips and turns of validation samples that bring them nearer"),
                value=1,
                baseline=0,
            ),
            harm,
        ),
        formula="share named rightly by 5 neighbours, under each flip and turn of the square",
        confidence=0.9,
        cause=Phrase("The two splits do not go through the same transform."),
        wrong_if=Phrase("the two are meant to differ, as in a test of robustness"),
        not_to_be_confused_with=Phrase("augmentation of the training images alone"),
        treatments=(
            Treatment(
                name="one-transform",
                grade="ask",
                why=Phrase("Read both by the same function: axes, origin and orientation tag."),
            ),
        ),
    )


def _columns(splits: Splits) -> Evidence | None:
    """H6: in another order the columns tell what they tell in training, as they stand they do
    not."""
    within, stands, aligned = (
        splits.additive_within, splits.additive_score, splits.additive_aligned,
    )  # fmt: skip
    if not splits.feature_order or within is None or stands is None or aligned is None:
        return None
    if within < TOLD or stands > 0.5 * within or aligned < 0.7 * within:
        return None
    # Columns that stand for others mislead; of a few samples the best of many orders is always a
    # little better than the right one.
    if aligned - stands < max(TOLD, within):
        return None
    return Evidence(
        signal=Phrase("variance of the targets foretold in validation, against in the order found"),
        value=stands,
        baseline=aligned,
        threshold=0.5 * within,
        unit="share",
        witness="harm",
    )


def _reordered(splits: Splits, harm: Evidence) -> Finding:
    order = splits.feature_order
    moved = [place for place, each in enumerate(order) if place != each]
    told = ", ".join(f"{order[place]}->{place}" for place in moved[:20])
    return Finding(
        name="inconsistent-preprocessing",
        severity="warn",
        what=Phrase(
            "The columns of validation stand in another order than in training: {order}", order=told
        ),
        evidence=(
            Evidence(
                signal=Phrase("columns that tell of the targets what another one tells in "
                              "training, of {columns}", columns=len(order)),
                value=len(moved),
                baseline=0,
            ),
            harm,
        ),
        formula="explained variance of a sum of functions of one feature each, held out",
        confidence=0.9,
        cause=Phrase("The two splits do not go through the same transform."),
        wrong_if=Phrase("the features mean something else in validation on purpose"),
        not_to_be_confused_with=Phrase("a shift of the inputs, which leaves the columns in place"),
        treatments=(
            Treatment(
                name="one-transform",
                grade="ask",
                why=Phrase("Choose the columns by name, in one order, for both."),
                code=f"val_x = val_x[:, {list(order)}]",
            ),
        ),
    )  # fmt: skip


def _inverted(splits: Splits) -> Evidence | None:
    found, own = splits.mean_correlation, splits.halves_correlation
    # A set of textures has no mean image to speak of: then two halves do not agree either.
    if found is None or own is None or found >= 0 or own < 0.5:
        return None
    return Evidence(
        signal=Phrase("correlation of the mean images, against that of two halves of training"),
        value=found,
        baseline=own,
        threshold=0.0,
    )


def _channel_order(splits: Splits) -> Evidence | None:
    if not splits.channel_order:
        return None
    return Evidence(
        signal=Phrase(
            "distance of the mean images as they stand, over that in the order {order}",
            order=", ".join(str(each) for each in splits.channel_order),
        ),
        value=splits.order_gain,
        baseline=1.0,
        threshold=2.0,
        unit="times",
    )


def _means(splits: Splits) -> Evidence | None:
    gaps = np.abs(np.asarray(splits.mean_gaps))
    if not len(gaps) or float((gaps > GAP).mean()) <= MOST:
        return None
    return Evidence(
        signal=Phrase("difference of the means, in standard deviations, median channel or feature"),
        value=float(np.median(gaps)),
        baseline=0.0,
        threshold=GAP,
    )


def _spreads(splits: Splits) -> Evidence | None:
    ratios = np.asarray(splits.spread_ratios)
    if not len(ratios):
        return None
    off = (ratios > SPREAD) | (ratios < 1 / SPREAD)
    if float(off.mean()) <= MOST:
        return None
    return Evidence(
        signal=Phrase("spread in validation over that in training, median channel or feature"),
        value=float(np.median(ratios)),
        baseline=1.0,
        threshold=SPREAD if float(np.median(ratios)) > 1 else 1 / SPREAD,
        unit="times",
    )


def _alignment(splits: Splits) -> Evidence | None:
    """What a simple model loses, neighbours or a linear one, whichever feels it more."""
    before, after = _scores(splits)
    if after - before <= max(GAIN, 3 * (splits.score_error or 0)):
        return None
    return Evidence(
        signal=Phrase("validation named by a simple model of training, against after alignment"),
        value=before,
        baseline=after,
        unit="share",
        witness="harm",
    )


def _scores(splits: Splits) -> tuple[float, float]:
    pairs = (
        (splits.score, splits.score_aligned),
        (splits.linear_score, splits.linear_aligned),
    )
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return max(known, key=lambda pair: pair[1] - pair[0], default=(0.0, 0.0))


def _on_network(splits: Splits) -> Evidence | None:
    """H6: what the network itself makes of the two, at the start and in evaluation mode."""
    ratio = splits.output_ratio
    if ratio is None or 1 / LOUD < ratio < LOUD:
        return None
    return Evidence(
        signal=Phrase("size of the network's outputs on validation, over those on training"),
        value=ratio,
        baseline=1.0,
        threshold=LOUD if ratio > 1 else 1 / LOUD,
        unit="times",
        witness="harm",
    )


def _lost(splits: Splits) -> bool:
    """Whether half or more of what could be scored is lost."""
    before, after = _scores(splits)
    return before < 0.5 * after


def _what(splits: Splits) -> Phrase:
    low, high = (f"{each:.4g}" for each in splits.val_range)
    least, most = (f"{each:.4g}" for each in splits.train_range)
    if _inverted(splits) is not None:
        return Phrase("Validation images are the negative of training images: dark is bright")
    if splits.channel_order:
        return Phrase(
            "The channels of validation images stand in another order than in training: {order}",
            order=", ".join(str(each) for each in splits.channel_order),
        )
    return Phrase(
        "Validation inputs are of {low} to {high}, training inputs of {least} to {most}",
        low=low,
        high=high,
        least=least,
        most=most,
    )


def _counterfactual(splits: Splits) -> Phrase | None:
    if _alignment(splits) is None:
        return None
    before, after = _scores(splits)
    return Phrase(
        "Brought to the statistics of training, {after} of the validation samples are named "
        "rightly by a simple model; as they are, {before}.",
        after=f"{100 * after:.3g} %",
        before=f"{100 * before:.3g} %",
    )


def _code(splits: Splits) -> str:
    if splits.channel_order and splits.aligned_by == "channel order":
        return f"val_x = val_x[:, {np.argsort(splits.channel_order).tolist()}]"
    if splits.scale is None or splits.offset is None:
        return ""
    return f"# about: train_x = {splits.scale:.4g} * val_x + {splits.offset:.4g}"
