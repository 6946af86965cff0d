"""The checkerboard of transposed convolutions."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.checkerboard import contributions, even_kernels, unevenness
from netwright.arithmetic.working import Fact, Rows, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc checkerboard kernel=3 stride=2"


@config
class CheckerboardOptions:
    kernel_size: int | None = setting(None, ge=1, le=10_000, help="the kernel")
    stride: int = setting(2, ge=1, le=1000, help="the stride")
    dilation: int = setting(1, ge=1, le=1000, help="the rate")
    dims: int = setting(2, ge=1, le=3, help="axes of the map")


@CALCULATIONS.register(
    "checkerboard",
    options=CheckerboardOptions,
    example=EXAMPLE,
    required=("kernel_size",),
    paper="Odena, Dumoulin & Olah 2016, Deconvolution and checkerboard artifacts",
)
def checkerboard(options: CheckerboardOptions) -> Worked:
    """How unevenly a transposed convolution writes, and which kernels are even."""
    if options.kernel_size is None:
        raise missing_settings(["kernel_size"], EXAMPLE)
    k, s = options.kernel_size, options.stride
    counts = contributions(k, s, dilation=options.dilation)
    uneven = unevenness(k, s, dilation=options.dilation, dims=options.dims)
    facts = [
        Fact(
            name="unevenness",
            label=Phrase("contributions, most over fewest"),
            value=uneven,
            topic="checkerboard",
        ),
        Fact(
            name="even_kernels",
            label=Phrase("even kernels nearby"),
            value=list(even_kernels(s, k)),
            topic="checkerboard",
        ),
    ]
    working = []
    if uneven is not None:
        formula = f"(most / fewest)**{options.dims}"
        working.append(
            line("unevenness", formula, topic="checkerboard", most=max(counts), fewest=min(counts))
        )
    rows = tuple(enumerate(counts[:16]))
    notes = [
        Phrase("Some positions are written to by no input: they hold the bias alone.")
        if uneven is None
        else Phrase("Every position gets as many contributions: no checkerboard from the layer.")
        if uneven == 1
        else Phrase(
            "Some positions are written more often than others. Take a kernel that the stride "
            "divides, or resize and then convolve."
        )
    ]
    return Worked(
        facts=tuple(facts),
        working=tuple(working),
        tables=(
            Rows(
                name="contributions",
                head=("position", "contributions"),
                rows=rows,
                topic="checkerboard",
            ),
        ),
        notes=tuple(notes),
    )
