"""Unfolding: the patches of an image as columns of a matrix (im2col)."""

from __future__ import annotations

import math

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._costs import named
from netwright.arithmetic.calculations._values import Amount, Extent, given, per_axis, sample
from netwright.arithmetic.calculations._windows import geometry, slid
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc unfold input=3x32x32 kernel=3 padding=1"


@config
class UnfoldOptions:
    input: Extent | None = setting(
        None, help="the image: 32x32, or with its channels 3x32x32; one number is a square"
    )
    kernel_size: Extent | None = setting(None, help="the patch")
    stride: Extent = setting(Extent((1,)), help="the step")
    padding: Amount = setting(Amount((0,)), help="on both sides")
    dilation: Extent = setting(Extent((1,)), help="the rate")
    dims: int = setting(2, ge=1, le=3, help="axes of the image; torch unfolds two")


@CALCULATIONS.register(
    "unfold", options=UnfoldOptions, example=EXAMPLE, required=("input", "kernel_size")
)
def unfold(options: UnfoldOptions) -> Worked:
    """Rows and columns of the matrix of patches, and how much larger than the image it is."""
    channels, sizes = sample(options.input, options.dims, None)
    sizes = given(sizes, "input", EXAMPLE)
    channels = 1 if channels is None else channels
    kernel, stride, dilation = geometry(options, EXAMPLE)
    pads = tuple((p, p) for p in per_axis(options.padding, options.dims, "padding"))
    outputs, facts, working, notes = slid(sizes, kernel, stride, pads, dilation)
    rows, columns = channels * math.prod(kernel), math.prod(outputs)
    window, sides = named("k", kernel)
    places, counts = named("o", outputs)
    working += [
        line("rows", f"C * {window}", topic="size", C=channels, **sides),
        line("columns", places, topic="size", **counts),
    ]
    matrix = Fact(name="matrix", label=Phrase("matrix"), value=(rows, columns), topic="size")
    growth = rows * columns / (channels * math.prod(sizes))
    label = Phrase("times as many numbers as the image")
    return Worked(
        facts=(
            matrix,
            Fact(name="positions", label=Phrase("positions"), value=outputs, topic="size"),
            Fact(name="growth", label=label, value=growth, topic="size"),
            *facts[1:],
        ),
        working=tuple(working),
        notes=tuple(notes),
    )
