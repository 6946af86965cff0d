"""Adaptive pooling: the windows that give an output of a wished size."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._values import MOST
from netwright.arithmetic.sizes import adaptive_windows
from netwright.arithmetic.working import Fact, Rows, Worked
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc adaptive-pool input=13 size=6"


@config
class AdaptivePoolOptions:
    input: int | None = setting(None, ge=1, le=MOST, help="size of one axis")
    output_size: int | None = setting(None, ge=1, le=1000, help="the size it shall have")


@CALCULATIONS.register(
    "adaptive-pool",
    options=AdaptivePoolOptions,
    example=EXAMPLE,
    required=("input", "output_size"),
)
def adaptive_pool(options: AdaptivePoolOptions) -> Worked:
    """The windows of adaptive pooling along one axis."""
    if options.input is None or options.output_size is None:
        raise missing_settings(["input", "size"], EXAMPLE)
    windows = adaptive_windows(options.input, options.output_size)
    lengths = sorted({stop - start for start, stop in windows})
    notes = []
    if len(lengths) > 1 or lengths[0] * len(windows) != options.input:
        notes.append(
            Phrase(
                "{size} does not divide {input}: the windows overlap or differ, and no pool with a "
                "fixed window and stride does the same.",
                size=options.output_size,
                input=options.input,
            )
        )
    return Worked(
        facts=(
            Fact(
                name="output",
                label=Phrase("output size"),
                value=options.output_size,
                topic="size",
            ),
            Fact(name="lengths", label=Phrase("window lengths"), value=lengths, topic="size"),
        ),
        tables=(
            Rows(
                name="windows",
                head=("position", "first", "last"),
                rows=tuple((n, a, b - 1) for n, (a, b) in enumerate(windows[:40])),
                topic="size",
            ),
        ),
        notes=(
            Phrase("Window j reaches from floor(j i / o) to ceil((j + 1) i / o) - 1."),
            *notes,
        ),
    )
