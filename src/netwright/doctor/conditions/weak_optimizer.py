"""An optimizer that cannot go where another one goes, at any rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._clipped_away import clipped_away
from netwright.doctor.conditions._course import EARLY, course
from netwright.doctor.conditions._harm import any_of, stuck, unfit
from netwright.doctor.conditions._moments import short_memory
from netwright.doctor.conditions._rate import DEEPER, bad_start, groups
from netwright.doctor.conditions._terms import floored, terms_of
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.doctor.conditions._too_much_regularised import too_much_regularised
from netwright.records.facts.curvature import Curvature
from netwright.records.facts.fit import Fit
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "weak-optimizer",
    reads=Record,
    when="before the first step",
    group="rate",
    severity="warn",
    yields_to=(*DEEPER, "learning-rate-too-high", "learning-rate-too-low", "clipping-every-step"),
)
def weak_optimizer(record: Record) -> Iterator[Finding]:
    """The optimizer cannot fit one batch at any rate near the set one, and Adam can.

    Why it hurts: plain gradient steps are as long as the steepest direction allows, and in the
    flat ones they creep: on a loss that bends a thousand times more one way than another they need
    thousands of steps for what others do in tens.

    Evidence: the trial. One batch is fitted at none of three rates; Adam at 1e-3 falls at least
    twice as far in the same steps; and ten times the rate is beyond what the curvature allows, or
    does no better, so that the rate is not the matter. Once 40 steps were seen the run must not
    have learned. Or by its settings alone: Adam averages gradients for longer than their squares
    (beta1 above the root of beta2, mostly the two swapped), so that one small gradient after large
    ones makes a step without a bound; the harm is such a step, as long as the weights
    themselves, or a loss that climbs back, stands or breaks.

    Would be wrong if: the same optimizer with a hundred times the rate, or with momentum, does as
    well as Adam.

    Not to be confused with: a rate that is too low, where ten times of it does help; unscaled
    inputs, which make the loss bend so unevenly, and come first.

    Treatment: momentum of 0.9, or Adam; ask.

    Source: Sutskever et al. 2013, On the importance of initialization and momentum; Kingma & Ba
    2015, Adam, theorem 4.1, for beta1 below the root of beta2.
    """
    unbounded = short_memory(record)
    if unbounded is not None:
        yield unbounded
        return
    fit, setup, found = record.get(Fit), record.get(Setup), course(record)
    adam = fit.variants.get("adam") if fit is not None else None
    cannot = unfit(record)
    if fit is None or adam is None or cannot is None or fit.best is None or adam.end != adam.end:
        return
    if bad_start(record) or too_high(record) or too_low(record) or clipped_away(record):
        return
    if any(floored(each) for each in terms_of(record)) or any(g.maximize for g in groups(record)):
        return  # the loss cannot fall, or is not meant to
    if too_much_regularised(record):
        return
    if found and found.steps >= EARLY and found.learned and behind(record, found) is None:
        return
    one, ten = fit.at(1.0), fit.at(10.0)
    fallen, by_adam = fit.best.start - fit.best.end, adam.start - adam.end
    if (
        one is None
        or ten is None
        or one.end != one.end
        or by_adam < max(2 * fallen, 0.2 * adam.start)
    ):
        return
    bend = record.get(Curvature)
    over = bend is not None and not bend.preconditioned and 10 * bend.product > bend.limit
    no_better = not ten.start - ten.end > 2 * max(one.start - one.end, 0.0)
    if not (over or no_better):
        return
    momentum = max((g.momentum for g in groups(record)), default=0.0)
    kind = setup.optimizers[0].kind if setup is not None and setup.optimizers else ""
    yield Finding(
        name="weak-optimizer",
        severity="warn",
        what=Phrase("{kind} cannot fit one batch at any rate near the one that is set; Adam can",
                    kind=kind or "optimizer"),
        evidence=(
            Evidence(
                signal=Phrase("loss of one batch after {steps} steps at the best of three rates, "
                              "against that by Adam", steps=adam.steps),
                value=fit.best.end,
                baseline=adam.end,
            ),
            *(
                [Evidence(signal=Phrase("ten times the rate x top curvature"),
                          value=10 * bend.product, threshold=bend.limit)]
                if over and bend is not None
                else []
            ),
            Evidence(signal=Phrase("momentum"), value=momentum, baseline=0.9),
            *any_of(cannot, stuck(record)),
        ),
        formula="steps needed ~ (largest / smallest curvature), with momentum ~ its root",
        cause=Phrase("The loss bends very unevenly, and the steepest direction sets the rate."),
        counterfactual=Phrase(
            "By Adam at 1e-3 the same batch goes from {start} to {end} in {steps} steps.",
            start=f"{adam.start:.3g}",
            end=f"{adam.end:.3g}",
            steps=adam.steps,
        ),
        confidence=0.75,
        wrong_if=Phrase("the same optimizer with momentum does as well as Adam"),
        treatments=(
            Treatment(
                name="adam",
                grade="ask",
                why=Phrase("Take momentum of 0.9, or Adam at 1e-3."),
                code="torch.optim.Adam(model.parameters(), lr=1e-3)",
            ),
        ),
    )  # fmt: skip
