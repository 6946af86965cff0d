"""What mends most trainings, whatever their fault is called."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.optim import AdamW

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._activating import activate
from netwright.doctor.treatments._batches import divisible
from netwright.doctor.treatments._beside import beside
from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._norming import norm_behind
from netwright.doctor.treatments._running import with_weights
from netwright.doctor.treatments._schedules import Cosine, left, reshape
from netwright.doctor.treatments.standardise_input import standardise_input
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

RATE, DRAWN, SMALL = 1e-3, 3e-3, 1e-2
"""Of AdamW: for a network as it is, for one whose layers all have a start to match, and for one
that starts small."""

CLIP = 1.0

STEPS, BATCHES, TIMES = 1000, (16, 64), 4
"""A training of fewer steps takes smaller batches, for `TIMES` the steps at most; one of tiny
batches takes larger ones."""

SOUND = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish)
"""Activations that let signal and gradient through."""


@TREATMENTS.register("sound-recipe", grade="ask", cures=("behind-a-plain-network",))
def sound_recipe(course: Course, finding: Finding) -> Iterator[Plan]:
    """Inputs, activations, norms, start, optimizer and batch of the usual kind, all or some.

    All of it first; a plain network beside the one there is, whose answers are added to its own,
    for what is lost on the way through it; all without norms, which disturb answers that are
    numbers, at a start that keeps the signal and at a smaller one, which generalises better where
    few layers can lose it (Chizat, Oyallon & Bach 2019); the network as it is with weights drawn
    anew; and the optimizer and the batch alone.

    Source: Karpathy 2019, A recipe for training neural networks; Cheng et al. 2016, Wide & deep
    learning.
    """
    if course.done or not course.trainable:
        return
    scaled = list(standardise_input(course, finding))[:1]

    def whole(made: Course, *, normed: bool = False, small: bool = False) -> None:
        for plan in scaled:
            plan.apply(made)
        _sound_activations(made)
        if normed:
            norm_behind(made)
        draw(made)
        if small:
            _draw_small(made)
        _by_adamw(made, SMALL if small else DRAWN)

    def drawn(made: Course) -> None:
        draw(made)
        _by_adamw(made, RATE)

    if course.judge.kind != "R2":
        yield Plan(
            says=Phrase("inputs standardised, ReLU, norms, weights drawn anew, AdamW"),
            apply=lambda made: whole(made, normed=True),
        )
    yield from _another_way(course, scaled)
    yield Plan(
        says=Phrase("inputs standardised, ReLU, weights drawn anew, AdamW"),
        apply=whole,
    )
    yield Plan(
        says=Phrase("inputs standardised, ReLU, weights drawn small, AdamW at {rate}", rate=SMALL),
        apply=lambda made: whole(made, small=True),
    )
    yield Plan(says=Phrase("weights drawn anew, and AdamW with a rate that falls"), apply=drawn)
    yield Plan(
        says=Phrase("AdamW with a rate that falls"), apply=lambda made: _by_adamw(made, RATE)
    )


def _another_way(course: Course, scaled: list[Plan]) -> Iterator[Plan]:
    add = beside(course)
    if add is None:
        return

    def apply(made: Course) -> None:
        add(made)
        for plan in scaled:
            plan.apply(made)
        _by_adamw(made, DRAWN)

    yield Plan(
        says=Phrase("two plain hidden layers beside the network, inputs standardised, AdamW"),
        apply=apply,
    )


def _sound_activations(course: Course) -> None:
    activate(course, nn.ReLU, other_than=SOUND, drawn=False)


def _draw_small(course: Course) -> None:
    """As torch does it, at the root of a third of what keeps the signal straight."""
    for each in with_weights(course.model):
        frozen = any(not p.requires_grad for p in each.parameters(recurse=False))
        if not frozen and callable(again := getattr(each, "reset_parameters", None)):
            again()


def _by_adamw(course: Course, rate: float) -> None:
    """AdamW at a rate that falls as a cosine to the end, gradients of norm 1 at most, and batches
    of a size that leaves enough steps."""
    least, most = BATCHES
    feed = course.train
    if divisible(course):
        enough = max(most, course.epochs * len(feed.rows) // STEPS, feed.batch // TIMES)
        batch = min(max(feed.batch, least), enough, len(feed.rows))
        course.train = feed.of_batch(batch)
    course.ends = None
    course.clip = CLIP
    course.scheduler = None
    course.replace_optimizer(AdamW, lr=rate)
    steps = left(course)
    rates = [rate] * len(course.optimizer.param_groups)
    reshape(course, Cosine(steps, warm=min(20, steps // 10)), rates)
