"""Arithmetic intensity as a fact of a layer, with its working."""

from __future__ import annotations

from netwright.arithmetic.intensity import bytes_moved, intensity
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.languages import Phrase


def intensity_of(macs: int, inputs: int, weights: int, outputs: int) -> Worked:
    """Bytes and FLOPs per byte of one sample in float32, for counts of values."""
    return Worked(
        facts=(
            Fact(
                name="bytes_moved",
                label=Phrase("bytes moved at least"),
                value=bytes_moved(inputs, weights, outputs),
                topic="macs",
                unit="bytes",
            ),
            Fact(
                name="intensity",
                label=Phrase("FLOPs per byte"),
                value=float(intensity(macs, inputs, weights, outputs)),
                topic="macs",
            ),
        ),
        working=(
            line(
                "intensity",
                "2 * MACs / (4 * (x + w + y))",
                topic="macs",
                MACs=macs,
                x=inputs,
                w=weights,
                y=outputs,
            ),
        ),
        notes=(
            Phrase(
                "FLOPs per byte: inputs x and weights w read once, outputs y written once, in "
                "float32, for one sample; a batch shares the weights and has more. Below the "
                "balance of the machine (FLOPs a second over bytes a second) memory sets the time "
                "(roofline)."
            ),
        ),
    )
