"""One dense convolution that costs a large part of the whole network."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import Graph, is_dense, named, sides
from netwright.records.findings import Evidence, Finding, Treatment, amount
from netwright.records.inspection import InspectionRecord, Operation

# Amdahl: below a quarter of the whole even a free layer makes the network 1.33 times as fast.
_SHARE = 0.25
_FEWEST = 100_000_000  # multiply-adds of one sample: below it a layer takes about a millisecond
_NARROW = 32  # channels below which there is little to factor: the first layer reads three


@CONDITIONS.register(
    "cheaper-convolution",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
)
def cheaper_convolution(record: InspectionRecord) -> Iterator[Finding]:
    """One dense convolution takes a quarter or more of all multiply-adds.

    Why it hurts: time and energy, where a factored form often does as well.

    Evidence: the layer's multiply-adds against the network's, and those of each alternative:
    depthwise and then pointwise (1/N + 1/k^2 of the dense one), four groups (1/4), a 1x1
    bottleneck of a quarter of the channels, and two or more 3x3 in place of a larger kernel.

    Would be wrong if: measured time does not follow: factored forms are bound by memory, and
    7 to 9 times fewer products have been seen to save a third of the time.

    Not to be confused with: a network of many such layers, none of which dominates; there the
    choice of architecture is the question.

    Treatment: one of the alternatives, trained anew; ask.

    Source: Howard et al. 2017, MobileNets; Lin, Chen & Yan 2014; Simonyan & Zisserman 2015.
    """
    graph = Graph(record)
    samples = record.inputs[0][0] if record.inputs and record.inputs[0] else 1
    heavy = max(_SHARE * record.macs, _FEWEST * max(1, samples))
    for each in record.operations:
        if each.macs < heavy or not is_dense(each):
            continue
        (start, end, _), kernel = graph.channels(each), graph.kernel(each)
        if min(start, end) >= _NARROW and max(kernel, default=1) > 1:
            yield _finding(record, each, start, end, kernel)


def _finding(
    record: InspectionRecord, operation: Operation, start: int, end: int, kernel: tuple[int, ...]
) -> Finding:
    size = math.prod(kernel)
    dense = size * start * end
    forms: list[tuple[str, Phrase, int]] = [
        (
            "depthwise-separable",
            Phrase("multiply-adds with depthwise, then pointwise"),
            size * start + start * end,
        )
    ]
    if start % 4 == 0 and end % 4 == 0:
        forms.append(("grouped", Phrase("multiply-adds with four groups"), dense // 4))
    narrow = max(1, start // 4)
    forms.append(
        (
            "bottleneck",
            Phrase("multiply-adds with a 1x1 bottleneck of {narrow} channels", narrow=narrow),
            start * narrow + size * narrow * end,
        )
    )
    steps = (max(kernel) - 1) // 2
    if steps > 1 and min(kernel) == max(kernel) and max(kernel) % 2:
        middle = 3 ** len(kernel) * (start * end + (steps - 1) * end * end)
        forms.append(
            ("small-kernels", Phrase("multiply-adds with {steps} of 3x3", steps=steps), middle)
        )
    forms = [each for each in forms if each[2] < dense]
    best, _, weights = min(forms, key=lambda each: each[2])
    saved = operation.macs * (1 - weights / dense)
    return Finding(
        name="cheaper-convolution",
        severity="note",
        layers=(operation.layer,),
        what=Phrase(
            "{layer} ({kernel}, {start} to {end} channels) takes {macs} of {all} multiply-adds",
            layer=named(operation),
            kernel=sides(kernel),
            start=start,
            end=end,
            macs=amount(operation.macs),
            all=amount(record.macs),
        ),
        evidence=(
            Evidence(
                signal=Phrase("share of the network's multiply-adds in {layer}",
                              layer=named(operation)),
                value=operation.macs / record.macs,
                threshold=_SHARE,
                unit="share",
                layer=operation.layer,
            ),
            *(
                Evidence(signal=said, value=operation.macs * form // dense, baseline=operation.macs)
                for _, said, form in forms
            ),
        ),
        formula=f"dense {dense:,} weights; depthwise-separable 1/{end} + 1/{size} of it",
        cause=Phrase("Every one of {end} kernels reads all {start} channels at {size} places.",
                     end=end, start=start, size=size),
        wrong_if=Phrase("measured time does not follow the multiply-adds"),
        treatments=(
            Treatment(
                name=best,
                grade="ask",
                why=Phrase(
                    "The cheapest form saves {saved} multiply-adds and {weights} parameters, and "
                    "has to be trained anew.",
                    saved=amount(saved),
                    weights=amount(dense - weights),
                ),
            ),
        ),
    )  # fmt: skip
