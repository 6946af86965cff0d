"""Weight decay on biases and on the scales of norms."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._rate import groups
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord
from netwright.records.record import Record


@CONDITIONS.register(
    "decay-on-norm-and-bias",
    reads=Record,
    when="before the first step",
    group="rate",
    severity="note",
)
def decay_on_norm_and_bias(record: Record) -> Iterator[Finding]:
    """Weight decay also pulls biases and the scales of norms towards zero.

    Why it hurts: little. Decay limits the size of maps; a bias or the scale of a norm is no map,
    and gains nothing from being small. In large batches leaving them out was worth some tenths of
    a percent.

    Evidence: the parameter groups: decay above 0, with names that end in `bias` or belong to a
    norm.

    Would be wrong if: a run without decay on them scores the same; then leave it.

    Not to be confused with: decay that is too strong (`over-regularised`), which acts on the maps.

    Treatment: two parameter groups, the one with biases and norms without decay; safe.

    Source: Goyal et al. 2017, section 5.3; He et al. 2019, Bag of tricks, section 3.1.
    """
    inspection = record.get(InspectionRecord)
    norms = (
        {each.name for each in inspection.layers if "Norm" in each.kind} if inspection else set()
    )
    names = [
        name
        for group in groups(record)
        if group.weight_decay > 0
        for name in group.names
        if name and (name.rpartition(".")[2] == "bias" or name.rpartition(".")[0] in norms)
    ]
    if not names:
        return
    yield Finding(
        name="decay-on-norm-and-bias",
        severity="note",
        what=Phrase("Weight decay also acts on {count} biases and scales of norms",
                    count=len(names)),
        evidence=(
            Evidence(
                signal=Phrase("biases and scales of norms under weight decay"),
                value=len(names),
                baseline=0,
            ),
        ),
        cause=Phrase("All parameters stand in one group with one weight decay."),
        wrong_if=Phrase("a run without decay on them scores the same"),
        treatments=(
            Treatment(
                name="parameter-groups",
                grade="safe",
                why=Phrase("Give the parameters of fewer than two axes a group without decay."),
                code=(
                    "decay = [p for p in model.parameters() if p.ndim > 1]\n"
                    "rest = [p for p in model.parameters() if p.ndim < 2]\n"
                    'groups = [{"params": decay}, {"params": rest, "weight_decay": 0.0}]'
                ),
            ),
        ),
    )  # fmt: skip
