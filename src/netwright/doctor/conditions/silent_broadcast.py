"""(N, 1) against (N,): every output is held against every sample's target."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._terms import floored, terms_of
from netwright.records.facts.pull import Pull
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SAME = 1e-4
"""Relative change of the loss that rounding explains."""

DIFFERENT = 1e-3
"""Spread of the outputs below which no loss can tell whose target is whose."""


@CONDITIONS.register(
    "silent-broadcast",
    reads=Record,
    when="before the first step",
    group="output",
    severity="stop",
)
def silent_broadcast(record: Record) -> Iterator[Finding]:
    """Output and target have different shapes, and the loss pairs every sample with all others.

    Why it hurts: torch lines shapes up at their ends, so that (N, 1) and (N,) become (N, N). The
    output that is best against all targets at once is their mean, the same for every sample: the
    loss cannot fall below that of a constant, and the network learns to ignore its input.

    Evidence: the two shapes, and the best constant's loss on these targets, which is the floor:
    mean over i, j of (o_i - t_j)^2 >= var(t). Of a loss of one's own: the two shapes, and the loss
    itself, which stays what it is when every sample is given the target of another one.

    Would be wrong if: the outputs are meant to be compared with every target of the batch.

    Not to be confused with: one number for all (a GAN's 0 or 1), one target spread over the
    outputs of its own sample (quantiles, ensembles): there every sample keeps to itself.

    Treatment: give both one shape; safe.

    Source: torch's rules of broadcasting; torch.nn.MSELoss warns of it once, a loss by hand never.
    """
    for term in terms_of(record):
        if term.broadcast != "crossed":
            continue
        harm = floored(term)
        more = len(term.input_shape) > len(term.target_shape)
        places = 1 if min(len(term.input_shape), len(term.target_shape)) > 1 else -1
        code = (
            f"target = target.unsqueeze({places})"
            if more
            else f"output = output.unsqueeze({places})"
        )
        yield Finding(
            name="silent-broadcast",
            severity="stop" if harm else "note",
            what=Phrase(
                "{loss} gets an output of shape {output} and a target of shape {target}",
                loss=term.kind,
                output=str(term.input_shape),
                target=str(term.target_shape),
            ),
            evidence=(
                Evidence(
                    signal=Phrase("targets that each output is held against"),
                    value=term.target_shape[0],
                    baseline=1,
                ),
                *([harm] if harm else []),
            ),
            formula="mean over i, j of (o_i - t_j)^2 >= var(t)",
            cause=Phrase("Torch spreads one over the other, sample by sample."),
            wrong_if=Phrase("every output is meant to be compared with every target of the batch"),
            not_to_be_confused_with=Phrase("one target spread over the outputs of its own sample"),
            treatments=(
                Treatment(
                    name="same-shape",
                    grade="safe",
                    why=Phrase("Give output and target one shape."),
                    code=code,
                ),
            ),
        )
        return
    pull = record.get(Pull)
    if pull is not None and pull.crossed and pull.dealt_change is not None:
        yield from _own_loss(pull, pull.dealt_change)


def _own_loss(pull: Pull, change: float) -> Iterator[Finding]:
    if pull.output_spread < DIFFERENT or change > SAME:
        return
    output, target = pull.crossed
    yield Finding(
        name="silent-broadcast",
        severity="stop",
        what=Phrase(
            "{loss} gets an output of shape {output} and a target of shape {target}",
            loss=Phrase("A loss by hand"),
            output=str(output),
            target=str(target),
        ),
        evidence=(
            Evidence(
                signal=Phrase("targets that each output is held against"),
                value=pull.samples,
                baseline=1,
            ),
            Evidence(
                signal=Phrase("relative change of the loss when samples exchange their targets"),
                value=change,
                baseline=1.0,
                threshold=SAME,
                witness="harm",
            ),
        ),
        cause=Phrase("Torch spreads one over the other, sample by sample."),
        wrong_if=Phrase("every output is meant to be compared with every target of the batch"),
        not_to_be_confused_with=Phrase("one target spread over the outputs of its own sample"),
        treatments=(
            Treatment(
                name="same-shape",
                grade="safe",
                why=Phrase("Give output and target one shape."),
                code="target = target.view_as(output)",
            ),
        ),
    )
