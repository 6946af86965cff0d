"""Planning a bottleneck: how many channels a 1 x 1 convolution should leave before a k x k."""

from __future__ import annotations

from fractions import Fraction

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._costs import named
from netwright.arithmetic.calculations._values import MOST, Extent, per_axis
from netwright.arithmetic.factoring import bottleneck_weights, full_weights, widest_bottleneck
from netwright.arithmetic.working import Fact, Rows, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc bottleneck in=192 out=32 kernel=5 width=16"


@config
class BottleneckOptions:
    in_channels: int | None = setting(None, ge=1, le=MOST, help="channels that come in")
    out_channels: int | None = setting(None, ge=1, le=MOST, help="channels that go out")
    kernel_size: Extent = setting(Extent((3,)), help="the kernel behind the 1 x 1")
    width: int | None = setting(None, ge=1, le=MOST, help="channels between the two")
    share: float | None = setting(
        None, gt=0, le=1, help="asks backwards: the widest that has this share of the weights"
    )
    dims: int = setting(2, ge=1, le=3, help="axes of the map")


@CALCULATIONS.register(
    "bottleneck",
    options=BottleneckOptions,
    example=EXAMPLE,
    required=("in_channels", "out_channels"),
    paper="Lin, Chen & Yan 2014 (NIN); Szegedy et al. 2015 (GoogLeNet)",
)
def bottleneck(options: BottleneckOptions) -> Worked:
    """What a 1 x 1 convolution before a k x k saves, for some widths or the one you name."""
    channels, out = options.in_channels, options.out_channels
    if channels is None or out is None:
        raise missing_settings(["in_channels", "out_channels"], EXAMPLE)
    kernel = per_axis(options.kernel_size, options.dims, "kernel")
    window, sides = named("k", kernel)
    full = full_weights(channels, out, kernel)
    widest = widest_bottleneck(channels, out, kernel)
    letters = {**sides, "C": channels, "N": out}
    facts = [
        Fact(name="weights_full", label=Phrase("weights, full"), value=full, topic="params"),
        Fact(
            name="break_even", label=Phrase("saves up to a width of"), value=widest, topic="params"
        ),
    ]
    working = [
        line("full", f"{window} * C * N", topic="params", **letters),
        line(
            "break_even",
            f"floor({window} * C * N / (C + {window} * N))",
            topic="params",
            **letters,
        ),
    ]
    width = options.width
    if options.share is not None:
        if width is not None:
            raise SettingError("Give width= or share=, one of them.")
        asked = Fraction(str(options.share))
        width = widest_bottleneck(channels, out, kernel, asked)
        if width < 1:
            raise SettingError(
                "Not even one channel between the two has so small a share: {least:.4f} at least.",
                least=bottleneck_weights(channels, out, kernel, 1) / full,
            )
    if width is not None:
        weights = bottleneck_weights(channels, out, kernel, width)
        facts += [
            Fact(name="width", label=Phrase("width"), value=width, topic="params"),
            Fact(name="params", label=Phrase("weights, bottleneck"), value=weights, topic="params"),
            Fact(
                name="share", label=Phrase("share"), value=Fraction(weights, full), topic="params"
            ),
        ]
        formula = f"C * M + {window} * M * N"
        working.append(line("bottleneck", formula, topic="params", M=width, **letters))
    widths = sorted({max(1, channels // part) for part in (2, 4, 8, 16)}, reverse=True)
    rows = []
    for each in widths:
        weights = bottleneck_weights(channels, out, kernel, each)
        rows.append((each, weights, weights / full))
    return Worked(
        facts=tuple(facts),
        working=tuple(working),
        tables=(
            Rows(
                name="widths", head=("width", "weights", "share"), rows=tuple(rows), topic="params"
            ),
        ),
        notes=(
            Phrase(
                "At stride 1 the multiply-adds have the same share. A 1 x 1 convolution adds no "
                "receptive field. Biases are left out."
            ),
        ),
    )
