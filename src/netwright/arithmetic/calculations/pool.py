"""A pool: its output size, rounding down or up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._pool_search import pool_search
from netwright.arithmetic.calculations._values import (
    Amount,
    AnyOf,
    Extent,
    given,
    letters,
    per_axis,
    sample,
)
from netwright.arithmetic.calculations._windows import geometry, slid
from netwright.arithmetic.sizes import effective_kernel, pool_size
from netwright.arithmetic.working import Fact, Line, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc pool input=64x112x112 kernel=3 stride=2 padding=1"


@config
class PoolOptions:
    input: Extent | None = setting(
        None, help="the map: 112x112, or with its channels 64x112x112; one number is a square"
    )
    kernel_size: Extent | AnyOf | None = setting(None, help="the window; any asks for it")
    stride: Extent | AnyOf | None = setting(
        None, help="the step, the window's size unless given; any asks for it"
    )
    padding: Amount | AnyOf | None = setting(
        None, help="on both sides, at most half of the window; 0 unless a size is wanted"
    )
    dilation: Extent = setting(Extent((1,)), help="the rate")
    ceil_mode: bool = setting(False, help="round up, so that a last window may hang over the end")
    want: Extent | None = setting(
        None, help="asks backwards: which windows, steps and paddings give this size"
    )
    dims: int = setting(2, ge=1, le=3, help="axes of the map")


@CALCULATIONS.register(
    "pool",
    options=PoolOptions,
    example=EXAMPLE,
    required=("input",),
    paper="Dumoulin & Visin 2016, A guide to convolution arithmetic for deep learning",
)
def pool(options: PoolOptions) -> Worked:
    """Output size of a max or average pool, rounding down or up, and what it leaves out."""
    channels, sizes = sample(options.input, options.dims, None)
    sizes = given(sizes, "input", EXAMPLE)
    if options.want is not None or "any" in (options.kernel_size, options.stride, options.padding):
        return pool_search(options, sizes, EXAMPLE)
    kernel, stride, dilation = geometry(options, EXAMPLE)
    pads = options.padding if isinstance(options.padding, Amount) else Amount((0,))
    padding = per_axis(pads, options.dims, "padding")
    axes = list(zip(sizes, kernel, stride, padding, dilation, strict=True))
    outputs = tuple(
        pool_size(i, k, stride=s, padding=p, dilation=d, ceil_mode=options.ceil_mode)
        for i, k, s, p, d in axes
    )
    notes = [
        Phrase("No parameters, and the channels stay as many. Nothing is multiplied in a max pool.")
    ]
    if any(padding):
        notes.append(Phrase("Max pooling is padded with minus infinity, not with 0."))
    if options.ceil_mode:
        facts, working, more = _rounded_up(axes, outputs)
        notes += more
    else:
        pairs = tuple((p, p) for p in padding)
        _, facts, working, more = slid(sizes, kernel, stride, pairs, dilation)
        notes += more
        facts += _kept(axes, outputs)
    if channels is not None:
        facts.append(
            Fact(
                name="elements",
                label=Phrase("elements of the output"),
                value=channels * math.prod(outputs),
                topic="size",
            )
        )
    return Worked(facts=tuple(facts), working=tuple(working), notes=tuple(notes))


def _kept(axes: Sequence[tuple[int, ...]], outputs: tuple[int, ...]) -> list[Fact]:
    """What rounding up would give, where that is something else."""
    up = tuple(pool_size(i, k, stride=s, padding=p, dilation=d, ceil_mode=True)
               for i, k, s, p, d in axes)  # fmt: skip
    if up == outputs:
        return []
    label = Phrase("output with ceil_mode=true")
    return [Fact(name="output_ceil_mode", label=label, value=up, topic="size")]


def _rounded_up(
    axes: Sequence[tuple[int, ...]], outputs: tuple[int, ...]
) -> tuple[list[Fact], list[Line], list[Phrase]]:
    facts = [Fact(name="output", label=Phrase("output size"), value=outputs, topic="size")]
    working, notes = [], []
    names = letters(len(axes), same=len(set(axes)) == 1)
    for name, (i, k, s, p, d), found in zip(names, axes, outputs, strict=False):
        numbers = {"i": i, "p": p, "d": d, "k": k, "s": s}
        formula = "ceil((i + 2*p - d*(k - 1) - 1) / s) + 1"
        up = line(f"o{name}", formula, topic="size", **numbers)
        working.append(up)
        if up.value != found:
            working.append(line(f"o{name}", "o - 1", topic="size", o=up.value))
            notes.append(
                Phrase(
                    "The last window would begin at {place}, in the padding behind the image "
                    "(from {end} on): it is left out.",
                    place=(int(up.value) - 1) * s,
                    end=i + p,
                )
            )
        over = (found - 1) * s + effective_kernel(k, d) - i - 2 * p
        if over > 0:
            notes.append(Phrase("The last window hangs {over} over the padded end.", over=over))
    return facts, working, notes
