"""The loss does not fit what it is given: another kind of target, another kind of output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, course
from netwright.doctor.conditions._harm import stuck
from netwright.doctor.conditions._terms import HIGH, terms_of
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.objective import TermFact
from netwright.records.facts.pull import Pull
from netwright.records.facts.wanted import Wanted
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

LOGARITHMS = {"log_softmax", "log", "logsumexp", "logsigmoid", "log1p", "log_sigmoid", "xlogy"}
BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
FAR = 1000.0
"""An output of this size shows that a loss has no least value."""
SETTLED = 4
"""Evaluations before which a low score is that of the beginning."""

SOME, EVER = 0.05, (0.9, 1.1)
"""Share of free outputs that leave their targets, and the second fall of the loss over the first
where it goes on for ever."""

TOWARD = 0.8
"""Share of the pull that leads away at the start, above which it is the sign that is wrong."""

NEAREST = 0.9
"""Share of validation labels that neighbours tell where these are names of classes that can be
learned; of ratings and counts they miss many by one."""


@dataclass(frozen=True)
class _Case:
    what: Phrase
    cause: Phrase
    evidence: tuple[Evidence, ...]
    harm: Evidence | None
    cure: Phrase
    wrong_if: Phrase
    code: str = ""
    confidence: float = 1.0


@CONDITIONS.register(
    "loss-mismatch",
    reads=Record,
    when="before the first step",
    group="output",
    severity="stop",
    yields_to=("silent-broadcast", "labels-shifted"),
)
def loss_mismatch(record: Record) -> Iterator[Finding]:
    """The loss asks for another kind of output or of target than it gets.

    Why it hurts: a likelihood loss without a logarithm before it, a KL divergence of what is no
    log-probability, and a binary loss with targets beyond 0 .. 1 have no least value where the
    prediction is right, mostly none at all. Cross-entropy over one unit is 0 whatever comes. Cross-
    entropy on several true labels makes them compete: k of them cost at least k ln k. A squared
    loss on class numbers says that class 9 is nine times class 1.

    Evidence: what the loss gets (logsumexp of its rows, the sums and the range of the targets, how
    many units), and the value that the loss can reach against the least that such a loss may have.
    For numbers of classes the harm is seen in the run: it is far from its targets after 120 steps,
    though the nearest training sample tells nine labels in ten.

    Would be wrong if: the case's own sentence says so.

    Not to be confused with: soft targets that sum to 1 (mixup, distillation), squared loss on
    one-hot rows, binary losses over exclusive classes (a choice that works: a note), ratings and
    counts, which are numbers (a note), focal losses by hand, whose input came from a logarithm.

    Treatment: the loss that belongs to the target; ask.

    Source: the documentation of torch.nn.NLLLoss, KLDivLoss, BCEWithLogitsLoss, CrossEntropyLoss.
    """
    for term in terms_of(record):
        for case in _CASES:
            found = case(term)
            if found is None:
                continue
            seen = None
            if case is _class_numbers:  # counts and grades that are learned are none
                seen = _unlearned(record) or _unscored(record) or stuck(record)
            harm = found.harm or seen
            yield Finding(
                name="loss-mismatch",
                severity="stop" if found.harm else "warn" if seen else "note",
                what=found.what,
                evidence=(*found.evidence, *([harm] if harm else [])),
                confidence=0.8 if seen else found.confidence,
                cause=found.cause,
                wrong_if=found.wrong_if,
                treatments=(
                    Treatment(name="right-loss", grade="ask", why=found.cure, code=found.code),
                ),
            )
            return
    yield from _without_least(record)


def _without_least(record: Record) -> Iterator[Finding]:
    """A loss that falls for ever as outputs leave their targets behind: it is made for others."""
    found, pull = record.get(Wanted), record.get(Pull)
    if found is None or found.targets != "numbers" or found.runaway < SOME or not found.slope:
        return
    if not EVER[0] < found.slope < EVER[1]:
        return
    if pull is not None and (pull.away is None or pull.away > TOWARD):
        return  # then its sign is wrong
    yield Finding(
        name="loss-mismatch",
        severity="stop",
        what=Phrase("The loss falls for ever as outputs leave their targets behind"),
        evidence=(
            Evidence(
                signal=Phrase("outputs that leave their targets when they are free"),
                value=found.runaway,
                baseline=0.0,
                threshold=SOME,
                unit="share",
            ),
            Evidence(
                signal=Phrase("fall of the loss on the second thousand spreads, over the first"),
                value=found.slope,
                baseline=0.0,
                threshold=EVER[0],
                witness="harm",
            ),
        ),
        confidence=0.9,
        cause=Phrase("On such targets this loss has no least value: it is made for others."),
        wrong_if=Phrase("the outputs are meant to leave what was taken for their targets"),
        not_to_be_confused_with=Phrase("a score that is to be made as large as can be"),
        treatments=(
            Treatment(
                name="right-loss",
                grade="ask",
                why=Phrase("Counts have a Poisson loss, numbers of any sign a squared one."),
                code="loss = F.mse_loss(output, target)",
            ),
        ),
    )


def _one_unit(term: TermFact) -> _Case | None:
    if term.kind != "cross_entropy" or term.classes != 1 or term.by_hand:
        return None
    return _Case(
        what=Phrase("Cross-entropy over one unit is 0 whatever the network gives"),
        cause=Phrase("A softmax over a single class is always 1."),
        evidence=(
            Evidence(signal=Phrase("units that the loss chooses among"), value=1, baseline=2),
        ),
        harm=Evidence(
            signal=Phrase("the loss, whatever the output"), value=0.0, witness="harm"
        ),
        cure=Phrase("One unit with a binary loss, or one unit for each class."),
        wrong_if=Phrase("the loss of a batch is not 0"),
        code="loss = F.binary_cross_entropy_with_logits(output, target.float())",
    )  # fmt: skip


def _no_logarithm(term: TermFact) -> _Case | None:
    """NLL and KL take log-probabilities."""
    if term.kind not in ("nll_loss", "kl_div") or term.by_hand:
        return None
    if term.rows_logsumexp_zero > 0.5 or LOGARITHMS.intersection(term.before):
        return None
    if term.driven and term.high is not None and term.high <= 1.01:
        least, reached = -term.high, Phrase("the least that the loss can reach")
    else:
        least = -FAR
        reached = Phrase("the loss, when an output is {size:g}", size=FAR)
    harm: Evidence | None = Evidence(signal=reached, value=least, baseline=0, witness="harm")
    if term.kind == "kl_div" and term.value >= 0 and least > -FAR:
        harm = None
    probabilities = term.rows_sum_to_one > 0.5
    return _Case(
        what=Phrase("{loss} is given what are no log-probabilities", loss=term.kind),
        cause=Phrase("It is given probabilities, and takes them for logarithms.")
        if probabilities
        else Phrase("It is given raw outputs, and takes them for logarithms of probabilities."),
        evidence=(
            Evidence(
                signal=Phrase("rows into the loss whose exponentials sum to 1"),
                value=term.rows_logsumexp_zero,
                baseline=1,
                unit="share",
            ),
        ),
        harm=harm,
        cure=Phrase("Give it log_softmax(logits), or use cross-entropy on the logits."),
        wrong_if=Phrase("the exponentials of each row of its input sum to 1"),
        code="loss = F.nll_loss(F.log_softmax(logits, dim=1), target)"
        if term.kind == "nll_loss"
        else "loss = F.kl_div(F.log_softmax(logits, dim=1), target, reduction='batchmean')",
    )


def _outside_binary(term: TermFact) -> _Case | None:
    if term.kind not in BINARY or term.target_min is None or term.target_max is None:
        return None
    over, under = term.target_max - 1, -term.target_min
    if max(over, under) <= 1e-3:
        return None
    return _Case(
        what=Phrase(
            "Targets of a binary loss lie between {low:g} and {high:g}",
            low=term.target_min,
            high=term.target_max,
        ),
        cause=Phrase("Beyond 0 .. 1 a target pulls the output to infinity."),
        evidence=(
            Evidence(signal=Phrase("the largest target"), value=term.target_max, threshold=1),
            Evidence(signal=Phrase("the least target"), value=term.target_min, threshold=0),
        ),
        harm=None
        if term.reduction == "none"  # such targets may be masked out
        else Evidence(
            signal=Phrase("the loss, when an output is {size:g}", size=FAR),
            value=-max(over, under) * FAR,
            baseline=0,
            witness="harm",
        ),
        cure=Phrase("Scale the targets into 0 .. 1; several classes need one unit each."),
        wrong_if=Phrase("targets beyond 0 .. 1 are masked out before the mean"),
        code="loss = F.cross_entropy(logits, target)  # one unit for each class",
    )


def _several_labels(term: TermFact) -> _Case | None:
    if term.kind != "cross_entropy" or term.by_hand or not term.target_dtype.startswith(
        ("float", "bfloat", "double", "half")
    ):  # fmt: skip
        return None
    if term.target_sums is None or (term.classes or 0) < 2 or term.target_sums_to_one > 0.5:
        return None
    negative = term.target_min is not None and term.target_min < -1e-3
    if not negative and term.target_sums < 1.2:
        return None
    harm = None
    if negative:
        harm = Evidence(
            signal=Phrase("the loss, when an output is {size:g}", size=FAR),
            value=(term.target_min or 0.0) * FAR,
            baseline=0,
            witness="harm",
        )
    elif term.least and term.constant and term.least >= HIGH * term.constant:
        harm = Evidence(
            signal=Phrase("the least that the loss can reach, against guessing"),
            value=term.least,
            baseline=term.constant,
            threshold=HIGH * term.constant,
            witness="harm",
        )
    whole = term.target_whole and not negative
    return _Case(
        what=Phrase(
            "Cross-entropy on rows of targets that sum to {sums:.3g}", sums=term.target_sums
        ),
        cause=Phrase("Several labels are true at once, and a softmax makes them compete.")
        if whole
        else Phrase("The targets are numbers, and the loss takes them for probabilities."),
        evidence=(
            Evidence(
                signal=Phrase("mean sum of a row of targets"), value=term.target_sums, baseline=1
            ),
        ),
        harm=harm,
        cure=Phrase("Several labels: a binary loss for each. Numbers: a squared loss."),
        wrong_if=Phrase("the targets are meant as weights of the classes"),
        code="loss = F.binary_cross_entropy_with_logits(logits, target)" if whole else "",
    )  # fmt: skip


def _class_numbers(term: TermFact) -> _Case | None:
    if term.kind not in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        return None
    distinct = term.target_distinct or 0
    if not term.target_whole or not 3 <= distinct <= 20 or term.in_use < 2 * distinct:
        return None
    one_each = math.prod(term.input_shape[1:]) == 1
    span = (term.target_max or 0.0) - (term.target_min or 0.0)
    if span + 1 != distinct or term.target_min not in (0.0, 1.0):
        return None
    if not one_each:
        return _one_number_for_all(term, distinct)
    return _Case(
        what=Phrase("{loss} on targets that are {distinct} whole numbers in a row",
                    loss=term.kind, distinct=distinct),
        cause=Phrase("If they are numbers of classes, their distances mean nothing."),
        evidence=(Evidence(signal=Phrase("different targets"), value=distinct),),
        harm=None,
        cure=Phrase("For classes: one unit for each, and cross-entropy."),
        wrong_if=Phrase("the targets are counts, grades or ages: numbers with an order"),
        code="loss = F.cross_entropy(logits, target.long())",
        confidence=0.5,
    )  # fmt: skip


def _one_number_for_all(term: TermFact, distinct: int) -> _Case | None:
    """As many units as classes, and each is asked for the number of the class."""
    units = math.prod(term.input_shape[1:])
    if not term.target_columns_alike or units != distinct:
        return None
    return _Case(
        what=Phrase("{loss} draws each of {units} units to the number of the class",
                    loss=term.kind, units=units),
        cause=Phrase("The number of the class was spread over the units that stand for classes."),
        evidence=(Evidence(signal=Phrase("different targets"), value=distinct),),
        harm=Evidence(
            signal=Phrase("different things that the {units} units of a sample are asked for",
                          units=units),
            value=1,
            baseline=units,
            witness="harm",
        ),
        cure=Phrase("For classes: one unit for each, and cross-entropy."),
        wrong_if=Phrase("the units are members of an ensemble that foretell one number"),
        code="loss = F.cross_entropy(logits, target)",
        confidence=0.8,
    )  # fmt: skip


def _unlearned(record: Record) -> Evidence | None:
    """The harm of squares of class numbers: the run is far from the targets, though the label of
    the nearest training sample is right on nearly all of the validation data."""
    near, found = record.get(Neighbourhood), course(record)
    if near is None or near.val_score is None or near.val_score < NEAREST or found is None:
        return None
    if found.guess is None or found.steps < 3 * EARLY or found.latest < 0.3 * found.guess:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against guessing, where the nearest training sample "
                      "tells {share:.0%} of the labels", share=near.val_score),
        value=found.latest,
        baseline=found.guess,
        threshold=0.3 * found.guess,
        witness="harm",
        step=found.steps,
    )  # fmt: skip


def _unscored(record: Record) -> Evidence | None:
    """The loss falls, and the answers of the loop's own score are hardly ever right."""
    near, told = record.get(Neighbourhood), record.get(Epochs)
    scores = [
        each.val_score
        for each in (told.epochs if told is not None else ())
        if each.val_score is not None
    ]
    if near is None or (near.val_score or 0.0) < NEAREST or len(scores) < SETTLED:
        return None
    if max(scores) >= 0.5 * (near.val_score or 0.0):
        return None
    return Evidence(
        signal=Phrase("best score in validation, against neighbours on samples as they are"),
        value=max(scores),
        baseline=near.val_score or 0.0,
        threshold=0.5 * (near.val_score or 0.0),
        unit="share",
        witness="harm",
    )


def _exclusive(term: TermFact) -> _Case | None:
    if term.kind not in BINARY or len(term.input_shape) != 2 or term.input_shape[1] < 3:
        return None
    if not term.target_whole or term.target_sums_to_one < 1 or term.in_use < 64:
        return None
    return _Case(
        what=Phrase("A binary loss on classes of which exactly one is true"),
        cause=Phrase("Each class is decided by itself, and their probabilities need not sum to 1."),
        evidence=(
            Evidence(
                signal=Phrase("rows of targets with exactly one label"),
                value=term.target_sums_to_one,
                unit="share",
            ),
        ),
        harm=None,
        cure=Phrase("Cross-entropy is the loss for exclusive classes; this one can work too."),
        wrong_if=Phrase("a sample may have several labels, or none"),
        code="loss = F.cross_entropy(logits, target.argmax(1))",
        confidence=0.4,
    )


_CASES: tuple[Callable[[TermFact], _Case | None], ...] = (
    _one_unit, _no_logarithm, _outside_binary, _several_labels, _class_numbers, _exclusive,
)  # fmt: skip
