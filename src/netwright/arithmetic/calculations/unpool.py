"""Max-unpooling: the size it gives back, and the sizes a pool may have had."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._values import (
    Amount,
    Extent,
    given,
    letters,
    per_axis,
    sample,
)
from netwright.arithmetic.calculations._windows import geometry
from netwright.arithmetic.inverse import sizes_before
from netwright.arithmetic.sizes import unpool_size
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc unpool input=64x56x56 kernel=2"


@config
class UnpoolOptions:
    input: Extent | None = setting(
        None, help="the pooled map: 56x56, or with its channels 64x56x56; one number is a square"
    )
    kernel_size: Extent | None = setting(None, help="the window of the pool")
    stride: Extent | None = setting(None, help="its step; the window's size unless given")
    padding: Amount = setting(Amount((0,)), help="its padding")
    dims: int = setting(2, ge=1, le=3, help="axes of the map")

    @property
    def dilation(self) -> Extent:
        return Extent((1,))


@CALCULATIONS.register(
    "unpool",
    options=UnpoolOptions,
    example=EXAMPLE,
    required=("input", "kernel_size"),
    paper="Zeiler & Fergus 2014; Badrinarayanan, Kendall & Cipolla 2017 (SegNet)",
)
def unpool(options: UnpoolOptions) -> Worked:
    """Output size of max-unpooling, and which sizes the pool may have come from."""
    _, sizes = sample(options.input, options.dims, None)
    sizes = given(sizes, "input", EXAMPLE)
    kernel, stride, _ = geometry(options, EXAMPLE)
    padding = per_axis(options.padding, options.dims, "padding")
    axes = list(zip(sizes, kernel, stride, padding, strict=True))
    outputs = tuple(unpool_size(i, k, stride=s, padding=p) for i, k, s, p in axes)
    before = [sizes_before(i, k, stride=s, padding=(p, p)) for i, k, s, p in axes]
    working = [
        line(f"o{name}", "(i - 1)*s - 2*p + k", topic="size", i=i, s=s, p=p, k=k)
        for name, (i, k, s, p) in zip(
            letters(len(axes), same=len(set(axes)) == 1), axes, strict=False
        )
    ]
    facts = [Fact(name="output", label=Phrase("output size"), value=outputs, topic="size")]
    facts += [
        Fact(name=name, label=label, value=tuple(each[end] for each in before), topic="size")
        for name, label, end in (
            ("least_before", Phrase("least size before the pool"), 0),
            ("most_before", Phrase("largest size before the pool"), 1),
        )
    ]
    return Worked(
        facts=tuple(facts),
        working=tuple(working),
        notes=(
            Phrase(
                "Give the size before the pool as output_size where it is another one: the pool "
                "has dropped the rest."
            ),
            Phrase(
                "The result is mostly zeros: a convolution must follow that fills it in. No "
                "parameters."
            ),
        ),
    )
