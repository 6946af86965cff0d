"""Batch normalisation over a handful of values."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import BATCH_NORMS, Graph, layers_of, listed, named
from netwright.records.facts.modes import Modes
from netwright.records.facts.norms import Norms
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, Operation
from netwright.records.record import Record

# Loss of one batch in one mode over that in the other, median of the looks.
_GAP = 1.5

# The noise of a normalised value goes as the root of 1 / count: a quarter at 16.
_FEWEST = 16


@CONDITIONS.register(
    "batchnorm-small-batch",
    reads=(InspectionRecord, Record),
    when="before the first step",
    group="structure",
    severity="stop",
    yields_to=("tiny-feature-map",),
)
def batchnorm_small_batch(record: InspectionRecord | Record) -> Iterator[Finding]:
    """Batch normalisation takes its mean and spread from too few values.

    Why it hurts: the mean and the spread are estimates, and their noise goes as one over the root
    of the count. Of two values the normalised ones are +1 and -1, whatever they were; of one there
    is no spread at all, and torch refuses.

    Evidence: values a channel, batch x height x width, where the network was inspected in training
    mode or with a batch of several. It is a warning at two values or fewer, where nothing of the
    size of a value is left; a note below 16. It is a stop where the samples do not go into batches
    but for one, whose norm torch refuses to compute, and the last batch is not left out.

    Would be wrong if: training uses a larger batch than the one inspected.

    Not to be confused with: layer, group and instance normalisation, which do not look at the
    batch; and with a frozen norm, which does not either.

    Treatment: a larger batch, or group normalisation; both change the experiment: ask.

    Source: Wu & He 2018, Group normalization.
    """
    if isinstance(record, Record):
        kept, inspection = record.get(Norms), record.get(InspectionRecord)
        if kept is not None:
            alone = list(_left_alone(kept, record.get(Setup)))
            yield from alone or _in_loop(kept, record.get(Modes), record.get(Setup))
            return
        if inspection is None:
            return
        record = inspection
    graph = Graph(record)
    few: list[tuple[Operation, int]] = []
    for each in record.operations:
        if each.name not in BATCH_NORMS or len(each.output) < 2:
            continue
        facts = graph.parameters(each)
        frozen = bool(facts) and not any(fact.trainable for fact in facts)
        count = each.output[0] * math.prod(each.output[2:])
        if count < _FEWEST and not frozen and (each.output[0] > 1 or _in_training(record, each)):
            few.append((each, count))
    if not few:
        return
    worst, count = min(few, key=lambda pair: pair[1])
    norms = [each for each, _ in few]
    evidence = [
        Evidence(
            signal=Phrase("values a channel in {layer}, batch x places", layer=named(worst)),
            value=count,
            threshold=_FEWEST,
            layer=worst.layer,
        )
    ]
    if count <= 2:
        evidence.append(
            Evidence(
                signal=Phrase("different sizes a normalised value can have"),
                value=1 if count == 2 else 0,
                baseline=worst.output[0] * 8,
                witness="harm",
            )
        )
    yield Finding(
        name="batchnorm-small-batch",
        severity="warn" if count <= 2 else "note",
        layers=layers_of(norms),
        what=Phrase(
            "{layers}: batch normalisation over {count} values a channel",
            layers=listed([named(each) for each in norms]),
            count=count,
        ),
        evidence=tuple(evidence),
        formula="noise of a normalised value ~ 1 / sqrt(batch x height x width)",
        cause=Phrase("The batch has {batch} samples, and the map {places} places.",
                     batch=worst.output[0], places=math.prod(worst.output[2:])),
        wrong_if=Phrase("training uses a larger batch than the one inspected"),
        treatments=(
            Treatment(
                name="larger-batch",
                grade="ask",
                why=Phrase("Take larger batches, or group normalisation (model.norm=group)."),
            ),
        ),
    )  # fmt: skip


def _in_training(record: InspectionRecord, operation: Operation) -> bool:
    return any(
        each.name == operation.layer and each.training and each.leaf for each in record.layers
    )


def _left_alone(norms: Norms, setup: Setup | None) -> Iterator[Finding]:
    """The last batch of an epoch is one sample, of which a norm gets one value a channel."""
    if setup is None or not setup.batch or not setup.train_samples or not setup.steps_per_epoch:
        return
    batch, samples = setup.batch, setup.train_samples
    refused = [each for each in norms.norms if each.updated and each.values == batch]
    kept = setup.steps_per_epoch == samples // batch + 1
    if batch < 2 or samples <= batch or samples % batch != 1 or not kept or not refused:
        return
    names = tuple(each.name for each in refused)
    yield Finding(
        name="batchnorm-small-batch",
        severity="stop",
        layers=names,
        what=Phrase("The last batch of an epoch has one sample, and {layers} cannot take its "
                    "spread", layers=listed(list(names))),
        evidence=(
            Evidence(
                signal=Phrase("samples left over when {samples} go into batches of {batch}",
                              samples=samples, batch=batch),
                value=1,
                baseline=0,
            ),
            Evidence(
                signal=Phrase("values a channel in {layer} at the last step of the epoch; torch "
                              "raises at one", layer=names[0]),
                value=1,
                threshold=2,
                witness="harm",
                layer=names[0],
                step=setup.steps_per_epoch,
            ),
        ),
        formula=f"{samples} = {samples // batch} x {batch} + 1",
        cause=Phrase("A norm of one place a channel needs two samples to train on."),
        wrong_if=Phrase("the loop leaves the last batch out by itself"),
        treatments=(
            Treatment(
                name="drop-last",
                grade="safe",
                why=Phrase("Leave the last batch out, or take batches of another size."),
                code="DataLoader(..., drop_last=True)",
            ),
        ),
    )  # fmt: skip


def _in_loop(norms: Norms, modes: Modes | None, setup: Setup | None) -> Iterator[Finding]:
    few = [each for each in norms.norms if each.updated and each.values < _FEWEST]
    # What was counted may be the remainder of an epoch: a usual batch gives a value a sample.
    if not few or (setup is not None and (setup.batch or 0) >= _FEWEST):
        return
    worst = min(few, key=lambda each: each.values)
    harm = []
    if worst.values <= 2:
        harm.append(
            Evidence(
                signal=Phrase("different sizes a normalised value can have"),
                value=1 if worst.values == 2 else 0,
                baseline=worst.values * 8,
                witness="harm",
            )
        )
    gap = modes.usual_gap if modes is not None else None
    if gap is not None and gap > _GAP:
        harm.append(
            Evidence(
                signal=Phrase("loss of one batch in one mode, over that in the other"),
                value=gap,
                baseline=1.0,
                threshold=_GAP,
                unit="times",
                witness="harm",
            )
        )
    yield Finding(
        name="batchnorm-small-batch",
        severity="warn" if harm else "note",
        layers=tuple(each.name for each in few),
        what=Phrase(
            "{layers}: batch normalisation over {count} values a channel",
            layers=listed([each.name for each in few]),
            count=worst.values,
        ),
        evidence=(
            Evidence(
                signal=Phrase("values a channel in {layer}, batch x places", layer=worst.name),
                value=worst.values,
                threshold=_FEWEST,
                layer=worst.name,
            ),
            *harm,
        ),
        formula="noise of a normalised value ~ 1 / sqrt(batch x height x width)",
        cause=Phrase("A mean and a spread taken from so few values are mostly noise."),
        wrong_if=Phrase("only the last batch of an epoch is so small"),
        treatments=(
            Treatment(
                name="larger-batch",
                grade="ask",
                why=Phrase("Take larger batches, or group normalisation (model.norm=group)."),
            ),
        ),
    )
