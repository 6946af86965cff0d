"""A few parameters that are not trained, in the midst of those that are."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._still import Stillness, stillness
from netwright.doctor.conditions._trials import end_of
from netwright.records.facts.setup import Setup
from netwright.records.facts.still import Still
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, ParameterFact
from netwright.records.record import Record

# Who trains less than half is adapting a network on purpose: a new head, LoRA, prompts.
_MOSTLY_TRAINED = 0.5


@CONDITIONS.register(
    "frozen-parameters",
    reads=(InspectionRecord, Record),
    when="before the first step",
    group="wiring",
    severity="warn",
)
def frozen_parameters(record: InspectionRecord | Record) -> Iterator[Finding]:
    """Parameters are frozen where nothing says transfer learning.

    Why it hurts: what does not ask for a gradient keeps its first, random values, while the rest
    is trained round it.

    Evidence: weights are frozen that bear the mark of an initialiser (biases of zero, a uniform
    spread that ends at its bound), and one batch, which is fitted on a copy with all weights
    trained, is not fitted with these still; or half of the weights are so, a plain network fits the
    batch, and the run stands above half of guessing: a warning, unless the run does well all the
    same. Weights that were trained once have no such mark.

    Else a note: the frozen parameters by module, among a majority that is trained; something before
    them is trained as well. Where weights were loaded rather than drawn nothing is said. All of
    these are taken for intent and left alone: a network frozen whole; a frozen front (a backbone
    under a new head); more frozen than trained (adapters); frozen norms; one fixed tensor in a
    module that has no other (a filter, a table of positions).

    Would be wrong if: the layer was frozen on purpose.

    Not to be confused with: a layer whose rate is 0, which the optimizer knows and the network
    does not; wide random features under a trained head, which can do well.

    Treatment: requires_grad_(True), if it was not meant: ask.
    """
    if isinstance(record, Record):
        still = stillness(record, "frozen")
        if still is not None:
            yield _never_trained(still)
            return
        setup, inspection = record.get(Setup), record.get(InspectionRecord)
        if inspection is None or (setup is not None and setup.pretrained):
            return
        record = inspection
    used = [each for each in record.parameters if each.used]
    frozen = [each for each in used if not each.trainable]
    total = sum(each.numel for each in used)
    if not frozen or sum(e.numel for e in frozen) >= (1 - _MOSTLY_TRAINED) * total:
        return
    order = _first_use(record)
    first_trained = min(
        (order.get(path, 0) for each in used if each.trainable for path in each.paths), default=0
    )
    odd = [
        each
        for each in frozen
        if not _is_of_a_norm(each, record)
        and not _is_alone(each, record)
        and max(order.get(path, 0) for path in each.paths) > first_trained
    ]
    if not odd:
        return
    owners = list(dict.fromkeys(each.paths[0].rpartition(".")[0] for each in odd))
    yield Finding(
        name="frozen-parameters",
        severity="note",
        layers=tuple(owners),
        what=Phrase("{layers} is frozen while what lies before it is trained",
                    layers=listed([each or "(model)" for each in owners])),
        evidence=(
            Evidence(
                signal=Phrase("frozen parameters, of {all}", all=total),
                value=sum(each.numel for each in odd),
                baseline=0,
            ),
            Evidence(
                signal=Phrase("share of the network that is trained"),
                value=1 - sum(each.numel for each in frozen) / total,
                threshold=_MOSTLY_TRAINED,
                unit="share",
            ),
        ),
        cause=Phrase("requires_grad is False on these parameters."),
        wrong_if=Phrase("they were frozen on purpose"),
        treatments=(
            Treatment(
                name="unfreeze",
                grade="ask",
                why=Phrase("Call requires_grad_(True) on them before the optimizer is made."),
            ),
        ),
    )  # fmt: skip


def _never_trained(still: Stillness) -> Finding:
    fact = still.fact
    return Finding(
        name="frozen-parameters",
        severity="warn",
        layers=fact.layers,
        what=Phrase("{layers}: frozen as they were drawn, {share:.0%} of the weights",
                    layers=listed(list(fact.layers)), share=fact.share),
        evidence=(*still.cause, still.harm),
        confidence=0.9,
        cause=Phrase("requires_grad is False on weights that were never trained or loaded."),
        counterfactual=_counterfactual(fact),
        wrong_if=Phrase("random features are meant, and wide enough"),
        not_to_be_confused_with=Phrase("a trained network that is left as it is under a new head"),
        treatments=(
            Treatment(
                name="unfreeze",
                grade="ask",
                why=Phrase("Call requires_grad_(True) on them before the optimizer is made, or "
                           "load the weights they were meant to have."),
                code="model.requires_grad_(True)",
            ),
        ),
    )  # fmt: skip


def _counterfactual(fact: Still) -> Phrase | None:
    if fact.held is None or fact.moved is None:
        return None
    return Phrase(
        "With all weights trained the same batch goes from {start} to {end} in {steps} steps, "
        "else to {held}.",
        start=f"{fact.moved.start:.3g}",
        end=f"{fact.moved.end:.3g}",
        steps=fact.moved.steps,
        held=f"{end_of(fact.held):.3g}",
    )


def _first_use(record: InspectionRecord) -> dict[str, int]:
    order: dict[str, int] = {}
    for each in record.operations:
        for path in each.weights:
            order.setdefault(path, each.number)
    return order


def _is_of_a_norm(parameter: ParameterFact, record: InspectionRecord) -> bool:
    readers = [e.name for e in record.operations if not set(e.weights).isdisjoint(parameter.paths)]
    return bool(readers) and all("norm" in name for name in readers)


def _is_alone(parameter: ParameterFact, record: InspectionRecord) -> bool:
    """The only parameter of its module: a fixed filter, a table."""
    owner = parameter.paths[0].rpartition(".")[0]
    family = [e for e in record.parameters if e.paths[0].rpartition(".")[0] == owner]
    return len(family) == 1
