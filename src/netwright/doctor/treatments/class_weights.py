"""Rare classes count for more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import Answers, answers, cost
from netwright.doctor.treatments._losses import Weighed, WithPriors
from netwright.doctor.treatments._rows import by_row
from netwright.doctor.treatments._shares import Shares, shares
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("class-weights", grade="ask", cures=("class-imbalance",))
def class_weights(course: Course, finding: Finding) -> Iterator[Plan]:
    """Logits shifted by the log shares within the loss; or weights; or classes drawn evenly.

    Shifted logits are right for a score that counts classes alike, and leave the gradients of the
    rare samples as large as they are. Weights are the inverse of the share. Drawing evenly does
    the same with batches that hold every class.

    Source: Menon et al. 2021, Long-tail learning via logit adjustment; King & Zeng 2001, Logistic
    regression in rare events data; Buda, Maki & Mazurowski 2018, section 3.2.
    """
    found = answers(course)
    known = shares(course, found) if found is not None else None
    if found is None or known is None:
        return
    log = known.share.log()
    priors = (float(log[1] - log[0]),) if known.binary else tuple(log.tolist())
    inverse = 1 / (known.share * len(known.share))
    weights = tuple(inverse.tolist())
    yield Plan(says=Phrase("logits shifted by the log shares of the classes, within the loss"),
               apply=lambda course: _with_priors(course, priors))  # fmt: skip
    if _heard(course, found, weights):
        yield Plan(
            says=Phrase("classes weighed by the inverse of their share"),
            apply=lambda course: _weighed(course, weights),
        )
    chances = _chances(course, known)
    if chances is not None:
        yield Plan(
            says=Phrase("samples drawn so that each class comes as often"),
            apply=lambda course: _drawn(course, chances),
        )


def _with_priors(course: Course, priors: tuple[float, ...]) -> None:
    course.loss = WithPriors(course.loss, priors)


def _weighed(course: Course, weights: tuple[float, ...]) -> None:
    course.loss = Weighed(course.loss, weights)


def _drawn(course: Course, chances: torch.Tensor) -> None:
    course.train = dataclasses.replace(course.train, weights=chances)


def _heard(course: Course, found: Answers, weights: tuple[float, ...]) -> bool:
    """Whether the loss is made of torch's own, which takes weights."""
    plain = cost(course.loss, found.output, found.target)
    weighed = cost(Weighed(course.loss, weights), found.output, found.target)
    return plain is not None and weighed is not None and plain != weighed


def _chances(course: Course, known: Shares) -> torch.Tensor | None:
    """One chance a row, where each row has one label."""
    read = by_row(course.train)
    if read is None:
        return None
    target = read[1]
    if target.ndim == 2 and target.shape[1] == len(known.share):
        target = target.argmax(1)
    if target.numel() != len(target):
        return None
    labels = target.reshape(-1).long().clamp(0, len(known.share) - 1).cpu()
    return (1 / known.share[labels]).float()
