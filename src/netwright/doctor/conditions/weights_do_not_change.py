"""Steps that move nothing."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import course, hardly_falls
from netwright.doctor.conditions._harm import any_of, stuck
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Looks in a row: the first step of a warm-up from 0 moves nothing either.
_LOOKS = 4
_ALWAYS = 0.9
# Steps without any backward before them.
_BARE = 20
# Of a step, what is left of it: a copy that follows slowly, or pulls back, leaves more.
_LEFT = 0.1


@CONDITIONS.register(
    "weights-do-not-change",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="stop",
    yields_to=("stale-optimizer", "learning-rate-too-low", "scheduler-misuse", "detached-graph",
               "loss-ignores-parameters", "frozen-parameters"),
)  # fmt: skip
def weights_do_not_change(record: Record) -> Iterator[Finding]:
    """Steps are taken, and every weight is bit for bit what it was before.

    Why it hurts: nothing is learned, however long it runs.

    Evidence: steps that were looked at after which every parameter with a gradient was the same;
    or steps without any gradient though a backward had just given one: it was cleared between; or
    steps of which none found a gradient, and forwards that wanted one: the backward comes too late;
    or steps of which less than a tenth is left when the next forward pass begins, in a run that
    stands: somebody puts the weights back.

    Would be wrong if: the rate is 0 for a while on purpose, as in the first steps of a warm-up.

    Not to be confused with: an optimizer that holds other tensors than the model's; a rate so low
    that weights hardly move.

    Treatment: clear the gradients before the backward pass and not after it; a rate above 0; code.

    Source: Humbatova et al. 2020, Taxonomy of real faults in deep learning systems.
    """
    loop, setup = record.get(Loop), record.get(Setup)
    if loop is not None:
        yield from _undone(record, loop)
    if loop is None or loop.changed_steps or loop.not_in_model:
        return
    heard = loop.heard or loop.steps
    cleared = loop.empty_steps >= _LOOKS and loop.empty_steps >= _ALWAYS * heard
    still = loop.unchanged_steps >= _LOOKS
    # Every backward comes after its step, and its gradient is cleared before the next one.
    bare = (
        not loop.backwards
        and loop.looked >= _LOOKS
        and loop.steps >= _BARE
        and len(loop.never_graded) >= loop.held > 0
    )
    cleared = cleared or bare
    if (not cleared and not still) or loop.probes_moved:
        return
    rate = setup.lr if setup is not None else None
    count, of = (loop.empty_steps, heard) if cleared else (loop.unchanged_steps, loop.looked)
    if bare:
        count = of = loop.looked
    yield Finding(
        name="weights-do-not-change",
        severity="stop",
        what=Phrase("No weight has changed in {count} of {all} steps that were looked at",
                    count=count, all=of),
        evidence=(
            Evidence(
                signal=Phrase("steps looked at that found no gradient, as no backward came before")
                if bare
                else Phrase("steps without a gradient, right after a backward that gave one")
                if cleared
                else Phrase("steps that moved no parameter that has a gradient"),
                value=count,
                baseline=0,
            ),
            *(
                [Evidence(signal=Phrase("learning rate"), value=rate)]
                if rate is not None and not cleared
                else []
            ),
            Evidence(
                signal=Phrase("parameters, of those looked at, with another value than at first"),
                value=0,
                baseline=1,
                witness="harm",
            ),
        ),
        cause=Phrase("The step is taken before the backward pass, and the gradients are cleared "
                     "after it.")
        if bare
        else Phrase("The gradients are cleared between the backward pass and the step.")
        if cleared
        else Phrase("The learning rate is 0.")
        if rate == 0
        else Phrase("The step is smaller than the resolution of the weights, or is undone."),
        wrong_if=Phrase("the rate is 0 on purpose for now"),
        treatments=(
            Treatment(
                name="clear-before-backward" if cleared else "raise-rate",
                grade="advice",
                why=Phrase("Clear the gradients before the backward pass, not after it.")
                if cleared
                else Phrase("Give the optimizer a rate that moves the weights."),
                code="optimizer.zero_grad(); loss.backward(); optimizer.step()" if cleared else "",
            ),
        ),
    )  # fmt: skip


def _undone(record: Record, loop: Loop) -> Iterator[Finding]:
    """The steps move the weights, and somebody puts them back before they are used."""
    found = course(record)
    if loop.kept_steps is None or loop.kept_looks < _LOOKS or loop.kept_steps >= _LEFT:
        return
    if found is None:
        return
    harm = any_of(stuck(record), hardly_falls(found), behind(record, found))
    yield Finding(
        name="weights-do-not-change",
        severity="stop" if harm else "note",
        what=Phrase("Of each step {share} is left when the next batch comes",
                    share=f"{100 * loop.kept_steps:.2g} %"),
        evidence=(
            Evidence(
                signal=Phrase("what is left of a step before the next forward pass, median of "
                              "{count}", count=loop.kept_looks),
                value=loop.kept_steps,
                baseline=1.0,
                threshold=_LEFT,
                unit="share",
            ),
            *harm,
        ),
        cause=Phrase("Something writes older values into the weights after each step: an average "
                     "of them, or a copy."),
        wrong_if=Phrase("the weights are put back on purpose"),
        treatments=(
            Treatment(
                name="average-beside",
                grade="advice",
                why=Phrase("Keep the average in a copy of the model, and train the model itself."),
                code="averaged = torch.optim.swa_utils.AveragedModel(model)",
            ),
        ),
    )  # fmt: skip
