"""Which windows, steps and paddings of a pool give a wanted size, as a table."""

from __future__ import annotations

from typing import Any

from netwright.arithmetic.calculations._search import SHOWN, offered, one_axis, one_of
from netwright.arithmetic.inverse import pools_for
from netwright.arithmetic.sizes import dropped_pixels
from netwright.arithmetic.working import Fact, Rows, Worked
from netwright.core.languages import Phrase

LARGEST = 11


def pool_search(options: Any, sizes: tuple[int, ...], example: str) -> Worked:
    """The table of pools that make `want` of the input; those that read every pixel first."""
    size, want = one_axis(options, sizes, example)
    (dilation,) = one_of(options.dilation, "dilation")
    step = max(1, size // want)
    # The window of adaptive pooling, if all are alike, may be larger than what is tried.
    kernels = {*range(2, LARGEST + 1), max(1, size - (want - 1) * step)}
    chosen = options.padding is not None and options.padding != "any"
    found = pools_for(
        size,
        want,
        kernels=offered(options.kernel_size, sorted(kernels), "kernel"),
        strides=None if options.stride in (None, "any") else one_of(options.stride, "stride"),
        paddings=one_of(options.padding, "padding") if chosen else None,
        dilation=dilation,
        ceil_mode=options.ceil_mode,
    )
    rows = []
    for kernel, stride, padding in found:
        left = (
            0
            if options.ceil_mode
            else dropped_pixels(
                size, kernel, stride=stride, padding=(padding, padding), dilation=dilation
            )
        )
        rows.append((kernel, stride, padding, left))
    rows.sort(key=lambda row: (row[3] > 0, row[2], row[0] != row[1], row[0], row[1]))
    notes = [
        Phrase(
            "Tried: windows up to {kernels}, and the one that adaptive pooling would take; steps "
            "up to the window, where they are not given. A step above it would leave pixels out.",
            kernels=LARGEST,
        )
    ]
    if not rows:
        notes.insert(
            0,
            Phrase("No combination that was tried gives {want} of {size}.", want=want, size=size),
        )
    if len(rows) > SHOWN:
        notes.append(
            Phrase("The first {shown} of {count} are shown.", shown=SHOWN, count=len(rows))
        )
    return Worked(
        facts=(
            Fact(name="combinations", label=Phrase("combinations"), value=len(rows), topic="size"),
        ),
        tables=(
            Rows(
                name="settings",
                head=("kernel", "stride", "padding", "pixels dropped"),
                rows=tuple(rows[:SHOWN]),
                topic="size",
            ),
        ),
        notes=tuple(notes),
    )
