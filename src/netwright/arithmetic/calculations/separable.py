"""A depthwise-separable convolution against the full one."""

from __future__ import annotations

import math
from fractions import Fraction

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._costs import flops_note, mac_facts, named
from netwright.arithmetic.calculations._values import (
    MOST,
    Extent,
    per_axis,
    sample,
)
from netwright.arithmetic.factoring import full_weights, separable_share, separable_weights
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc separable in=64 out=128 kernel=3 input=56"


@config
class SeparableOptions:
    in_channels: int | None = setting(None, ge=1, le=MOST, help="channels that come in")
    out_channels: int | None = setting(None, ge=1, le=MOST, help="channels that go out")
    kernel_size: Extent = setting(Extent((3,)), help="the kernel")
    input: Extent | None = setting(None, help="the map, at stride 1 and kept in size: 56x56")
    dims: int = setting(2, ge=1, le=3, help="axes of the map")


@CALCULATIONS.register(
    "separable",
    options=SeparableOptions,
    example=EXAMPLE,
    required=("out_channels",),
    paper="Sifre 2014; Chollet 2017 (Xception); Howard et al. 2017 (MobileNet)",
)
def separable(options: SeparableOptions) -> Worked:
    """What a depthwise-separable convolution saves against the full one."""
    channels, sizes = sample(options.input, options.dims, options.in_channels)
    out = options.out_channels
    if channels is None or out is None:
        raise missing_settings(["in_channels", "out_channels"], EXAMPLE)
    kernel = per_axis(options.kernel_size, options.dims, "kernel")
    window, sides = named("k", kernel)
    full = full_weights(channels, out, kernel)
    apart = separable_weights(channels, out, kernel)
    share = separable_share(out, kernel)
    facts = [
        Fact(name="weights_full", label=Phrase("weights, full"), value=full, topic="params"),
        Fact(name="params", label=Phrase("weights, separable"), value=apart, topic="params"),
        Fact(name="share", label=Phrase("share"), value=share, topic="params"),
        Fact(name="saving", label=Phrase("times fewer"), value=float(1 / share), topic="params"),
    ]
    letters = {**sides, "C": channels, "N": out}
    working = [
        line("full", f"{window} * C * N", topic="params", **letters),
        line("separable", f"{window} * C + C * N", topic="params", **letters),
        line("share", f"1 / N + 1 / ({window})", topic="params", **letters),
    ]
    if sizes is not None:
        macs = math.prod(sizes) * apart
        facts += [
            Fact(
                name="macs_full",
                label=Phrase("multiply-adds, full"),
                value=math.prod(sizes) * full,
                topic="macs",
            ),
            *mac_facts(macs),
        ]
        where, places = named("o", sizes)
        formula = f"{where} * ({window} * C + C * N)"
        working.append(line("MACs", formula, topic="macs", **places, **letters))
    return Worked(facts=tuple(facts), working=tuple(working), notes=_notes(out, kernel, share))


def _notes(out: int, kernel: tuple[int, ...], share: Fraction) -> tuple[Phrase, ...]:
    return (
        Phrase(
            "Common notes give 1/k^2 alone for the share, {wrong:.4f} here instead of {share:.4f}: "
            "they drop 1/N, which is small only for many channels.",
            wrong=1 / math.prod(kernel),
            share=float(share),
        ),
        Phrase(
            "Time falls less than the count: such layers wait for memory. Biases are left out here."
        ),
        flops_note(),
    )
