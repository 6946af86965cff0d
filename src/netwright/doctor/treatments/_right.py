"""Which loss belongs to some outputs and targets, by their shapes and values alone."""

from __future__ import annotations

from torch import Tensor

from netwright.core.languages import Phrase
from netwright.doctor.treatments._losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    ForgivingDistance,
    Squares,
)
from netwright.doctor.trials.course import Loss


def right_losses(output: Tensor, target: Tensor) -> list[tuple[Phrase, Loss]]:
    """The losses for logits that fit, the likeliest first; none where the shapes do not match.

    Class numbers and one-hot rows ask for cross-entropy, targets of two values for the binary loss
    of logits (which are to become 0 and 1), other numbers for a distance.
    """
    places = (len(output), *output.shape[2:])
    classes = output.shape[1] if output.ndim > 1 else 1
    whole = not target.is_floating_point() or bool((target == target.round()).all())
    if classes > 1 and whole and target.numel() == output[:, :1].numel():
        fits = tuple(target.shape) in (places, (*places, 1), (len(output), 1, *output.shape[2:]))
        if fits and float(target.min()) >= 0 and float(target.max()) < classes:
            return [(Phrase("cross-entropy"), CrossEntropy())]
    if target.numel() != output.numel():
        return []
    if classes > 1 and bool(((target == 0) | (target == 1)).all() and (target.sum(1) == 1).all()):
        return [(Phrase("cross-entropy"), CrossEntropy())]
    if len(target.unique()) == 2:
        return [(Phrase("the binary loss of logits"), BinaryCrossEntropy())]
    if not target.is_floating_point():
        return []
    return [
        (Phrase("the squared loss"), Squares()),
        (Phrase("the smooth absolute loss"), ForgivingDistance()),
    ]
