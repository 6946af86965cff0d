"""Normalisation layers: what is learned, and over which values the mean is taken."""

from __future__ import annotations

from typing import Literal

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._costs import memory_fact, params_fact
from netwright.arithmetic.calculations._values import MOST, Extent
from netwright.arithmetic.norms import norm_facts
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc norm batch input=64x56x56 batch=32"


@config
class NormOptions:
    kind: Literal["batch", "layer", "group", "instance"] = setting("batch", help="which norm")
    input: Extent | None = setting(None, help="one sample: channels, then sizes, such as 64x56x56")
    batch: int = setting(1, ge=1, le=MOST, help="samples in the batch")
    groups: int = setting(32, ge=1, le=MOST, help="groups of channels, for the group norm")
    affine: bool = setting(True, help="whether a scale and a shift are learned")


@CALCULATIONS.register(
    "norm",
    options=NormOptions,
    thing="kind",
    example=EXAMPLE,
    required=("input",),
    paper="Ioffe & Szegedy 2015; Ba et al. 2016; Ulyanov et al. 2016; Wu & He 2018",
)
def norm(options: NormOptions) -> Worked:
    """Parameters and buffers of batch, layer, group and instance norm, and what is averaged."""
    if options.input is None:
        raise missing_settings(["input"], EXAMPLE)
    channels, *positions = options.input
    kind = options.kind
    groups = options.groups if kind == "group" else 1
    found = norm_facts(
        kind, channels, positions, batch=options.batch, groups=groups, affine=options.affine
    )
    facts = [
        params_fact(found.params),
        memory_fact(found.params),
        Fact(name="buffers", label=Phrase("buffers"), value=found.buffers, topic="params"),
        Fact(name="axes", label=Phrase("mean over"), value=found.axes, topic="axes"),
        Fact(name="averaged", label=Phrase("values in a mean"), value=found.averaged, topic="axes"),
        Fact(name="means", label=Phrase("means"), value=found.means, topic="axes"),
    ]
    working = []
    if options.affine:
        sizes = dict(zip("CDHW" if len(positions) == 3 else "CHW", options.input, strict=False))
        learned = " * ".join(sizes) if kind == "layer" else "C"
        working.append(line("params", f"2 * {learned}", topic="params", **sizes))
    return Worked(facts=tuple(facts), working=tuple(working), notes=_notes(options, found.averaged))


def _notes(options: NormOptions, averaged: int) -> tuple[Phrase, ...]:
    if options.kind == "batch":
        notes = [
            Phrase(
                "The running mean and variance, and a counter, are buffers and not parameters. A "
                "bias before it is dead weight."
            )
        ]
        if averaged == 1:
            notes.append(
                Phrase("A mean over one value leaves nothing: torch refuses it in training.")
            )
        return tuple(notes)
    if options.kind == "layer":
        return (
            Phrase(
                "Counted as LayerNorm over the whole sample. Over the channels alone, as in "
                "transformers, give input=C."
            ),
        )
    if options.kind == "instance":
        return (
            Phrase(
                "torch's InstanceNorm learns nothing and keeps no running statistics unless it is "
                "told to: affine=false is its default."
            ),
        )
    return (Phrase("With 1 group it is layer norm over C, H, W; with C groups instance norm."),)
