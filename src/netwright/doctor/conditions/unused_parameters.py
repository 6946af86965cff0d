"""Parameters that no operation reads: they are stored, and never trained."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course, halted
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._harm import LONG, any_of, stuck, unfit
from netwright.records.facts.affinity import Affinity
from netwright.records.facts.loop import Loop
from netwright.records.facts.reach import Reach
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord
from netwright.records.record import Record

# Steps looked at without a gradient: an expert or a branch by chance would have had its turn.
_LOOKS = 3

AFFINE, AFFINE_AFTER = 1e-5, 100
"""Bend of an affine map (rounding), and the steps after which one must have come under half of
guessing, where a network of many layers was meant."""

MOST = 0.5
"""Share of the tensors that the optimizers hold: less is a branch, a head, an embedding."""


@CONDITIONS.register(
    "unused-parameters",
    reads=(InspectionRecord, Record),
    when="before the first step",
    group="wiring",
    severity="warn",
    yields_to=("detached-graph", "loss-ignores-parameters", "stale-optimizer"),
)
def unused_parameters(record: InspectionRecord | Record) -> Iterator[Finding]:
    """The network holds parameters that its forward pass does not read.

    Why it hurts: they keep their first values for ever. Training on several devices stops over
    them (DistributedDataParallel waits for their gradients), and a layer that was meant to run
    does not.

    Evidence: the parameters that ask for a gradient and that no operation of the pass read, by
    the path of their module. In a loop: those that had no gradient at any of at least three steps
    looked at, while others had one. It is a note, unless most of the network is so and the run
    stands far from done: at guessing, where its later half brought nothing, or, where what is left
    is one linear map, above half of guessing.

    Would be wrong if: they run in another mode or on another branch: heads that only training
    uses, experts that this input did not choose.

    Not to be confused with: frozen parameters, which are read and not trained.

    Treatment: call the module in forward, or take it out: only a person knows which.
    """
    if isinstance(record, Record):
        inspection = record.get(InspectionRecord)
        if inspection is None:
            yield from _in_loop(record)
            return
        record = inspection
    unused = [each for each in record.unused if each.trainable]
    if not unused:
        return
    owners = list(dict.fromkeys(each.paths[0].rpartition(".")[0] for each in unused))
    count = sum(each.numel for each in unused)
    shown = listed([each or each_path for each, each_path in zip(
        owners, (each.paths[0] for each in unused), strict=False)])  # fmt: skip
    yield Finding(
        name="unused-parameters",
        severity="note",
        layers=tuple(owners),
        what=Phrase("Nothing reads the parameters of {layers}", layers=shown),
        evidence=(
            Evidence(
                signal=Phrase("parameters that no operation read, of {all}", all=record.params),
                value=count,
                baseline=0,
            ),
        ),
        cause=Phrase("They are registered in the network, and forward does not use them."),
        wrong_if=Phrase("they are used in another mode, or for another input"),
        treatments=(
            Treatment(
                name="use-or-remove",
                grade="advice",
                why=Phrase("Call these modules in forward, or take them out of the network."),
            ),
        ),
    )


def _in_loop(record: Record) -> Iterator[Finding]:
    loop = record.get(Loop)
    if loop is None or loop.looked < _LOOKS or not loop.never_graded or not loop.changed_steps:
        return
    owners = list(dict.fromkeys(each.rpartition(".")[0] for each in loop.never_graded))
    reach = record.get(Reach)
    # What ran and gets no gradient is cut off: `detached-graph` tells.
    idle = set(loop.never_graded).difference(reach.missing if reach is not None else ())
    harm = _stands(record) if len(idle) >= MOST * max(1, loop.held) else ()
    yield Finding(
        name="unused-parameters",
        severity="warn" if harm else "note",
        layers=tuple(owners),
        what=Phrase(
            "The parameters of {layers} never get a gradient",
            layers=listed([each or "(model)" for each in owners]),
        ),
        evidence=(
            Evidence(
                signal=Phrase("parameters without a gradient at {count} steps", count=loop.looked),
                value=len(loop.never_graded),
                baseline=0,
            ),
            *harm,
        ),
        cause=Phrase("The loss does not depend on them, or its graph is cut before them."),
        wrong_if=Phrase("they are used in another mode, or for another input"),
        treatments=(
            Treatment(
                name="use-or-remove",
                grade="advice",
                why=Phrase("Call these modules in forward, or take them out of the network."),
            ),
        ),
    )


def _stands(record: Record) -> tuple[Evidence, ...]:
    """The harm that what is left of the network learns nothing, or no more."""
    found, still = course(record), None
    if found is not None and found.broken is None and found.latest > 0.5 * found.ignorance:
        if found.steps >= LONG:
            still = halted(found)
        if still is None and found.steps >= AFFINE_AFTER and _affine(record):
            still = Evidence(
                signal=Phrase(
                    "loss of the last steps, against guessing, of what is one linear "
                    "map without them"
                ),
                value=found.latest,
                baseline=found.ignorance,
                threshold=0.5 * found.ignorance,
                witness="harm",
                step=found.steps,
            )
    return any_of(stuck(record), still, unfit(record))  # fmt: skip


def _affine(record: Record) -> bool:
    tried = record.get(Affinity)
    return tried is not None and tried.span > 0 and tried.share <= AFFINE
