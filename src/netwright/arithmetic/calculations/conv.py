"""A convolution: its output size, parameters and multiply-adds, or what gives a wanted size."""

from __future__ import annotations

import math
from typing import Literal

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._costs import conv_costs
from netwright.arithmetic.calculations._intensity import intensity_of
from netwright.arithmetic.calculations._search import conv_search, solved_paddings
from netwright.arithmetic.calculations._values import (
    MOST,
    AnyOf,
    Extent,
    Margins,
    given,
    per_axis,
    sample,
)
from netwright.arithmetic.calculations._windows import geometry, slid
from netwright.arithmetic.sizes import (
    Padding,
    conv_size,
    same_padding,
)
from netwright.arithmetic.working import Fact, Line, Worked
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc conv input=3x224x224 kernel=7 stride=2 padding=3 out=64"


@config
class ConvOptions:
    input: Extent | None = setting(
        None, help="the image: 224x112, or with its channels 3x224x112; one number is a square"
    )
    kernel_size: Extent | AnyOf | None = setting(None, help="the kernel; any asks for it")
    stride: Extent | AnyOf | None = setting(None, help="the step, 1 unless given; any asks for it")
    padding: Margins | Literal["same", "valid"] | None = setting(
        None, help="on both sides, or before:after; 0 unless a size is wanted"
    )
    dilation: Extent | AnyOf = setting(Extent((1,)), help="the rate; any asks for it")
    in_channels: int | None = setting(None, ge=1, le=MOST, help="channels that come in")
    out_channels: int | None = setting(None, ge=1, le=MOST, help="channels that go out: kernels")
    groups: int = setting(1, ge=1, le=MOST, help="groups that never mix; as many as in: depthwise")
    bias: bool = setting(True, help="whether each kernel has one")
    want: Extent | None = setting(
        None, help="asks backwards: which padding (or what is any) gives this size"
    )
    dims: int = setting(2, ge=1, le=3, help="axes of the image")


@CALCULATIONS.register(
    "conv",
    options=ConvOptions,
    example=EXAMPLE,
    paper="Dumoulin & Visin 2016, A guide to convolution arithmetic for deep learning",
)
def conv(options: ConvOptions) -> Worked:
    """Output size, parameters and multiply-adds of a convolution, or what gives a wanted size."""
    in_channels, sizes = sample(options.input, options.dims, options.in_channels)
    if "any" in (options.kernel_size, options.stride, options.dilation) or (
        options.kernel_size is None and options.want is not None
    ):
        return conv_search(options, sizes, EXAMPLE)
    kernel, stride, dilation = conv_geometry(options)
    paddings, notes = _paddings(options, sizes, kernel, stride, dilation)
    facts: list[Fact] = []
    working: list[Line] = []
    outputs = None
    if sizes is not None:
        outputs, facts, working, more = slid(sizes, kernel, stride, paddings, dilation)
        notes += more
        if options.want is not None or isinstance(options.padding, str):
            shown = Margins(paddings)
            facts.insert(
                1, Fact(name="padding", label=Phrase("padding"), value=shown, topic="size")
            )
    costs = conv_costs(
        in_channels,
        options.out_channels,
        kernel,
        outputs,
        groups=options.groups,
        bias=options.bias,
    )
    moved = Worked(facts=())
    if in_channels is not None and options.out_channels is not None and "macs" in costs:
        assert sizes is not None
        assert outputs is not None
        moved = intensity_of(
            costs["macs"],
            in_channels * math.prod(sizes),
            costs["params"],
            options.out_channels * math.prod(outputs),
        )
    if sizes is None and not costs.facts:
        given(None, "input", EXAMPLE)
    return Worked(
        facts=(*facts, *costs.facts, *moved.facts),
        working=(*working, *costs.working, *moved.working),
        notes=(*notes, *costs.notes, *moved.notes),
    )


def conv_geometry(options: ConvOptions) -> tuple[tuple[int, ...], ...]:
    """As `geometry`, with the stride of a convolution."""
    kernel, stride, dilation = geometry(options, EXAMPLE)
    return kernel, ((1,) * options.dims if options.stride is None else stride), dilation


def _paddings(
    options: ConvOptions,
    sizes: tuple[int, ...] | None,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[Padding, ...], list[Phrase]]:
    """The padding that is given, or that gives the wanted size."""
    dims = options.dims
    if options.padding == "same":
        if any(each != 1 for each in stride):
            raise SettingError(
                'padding="same" keeps the size at stride 1 only; here the stride is {stride}.',
                hint="Ask for the size instead: want=...",
                stride=Extent(stride),
            )
        found = tuple(same_padding(k, dilation=d) for k, d in zip(kernel, dilation, strict=True))
        return found, _asymmetric(found)
    if options.want is None or isinstance(options.padding, Margins):
        pads = options.padding if isinstance(options.padding, Margins) else Margins(((0, 0),))
        found = per_axis(pads, dims, "padding")
        if options.want is not None:
            _must_give(options, sizes, found)
        return found, []
    sizes = given(sizes, "input", EXAMPLE)
    want = per_axis(options.want, dims, "want")
    if options.padding == "valid":
        _must_give(options, sizes, ((0, 0),) * dims)
        return ((0, 0),) * dims, []
    found = solved_paddings(sizes, want, kernel, stride, dilation)
    return found, _asymmetric(found)


def _must_give(
    options: ConvOptions, sizes: tuple[int, ...] | None, paddings: tuple[Padding, ...]
) -> None:
    """With the padding given, a wanted size is a claim to be checked."""
    sizes = given(sizes, "input", EXAMPLE)
    kernel, stride, dilation = conv_geometry(options)
    assert options.want is not None
    want = per_axis(options.want, options.dims, "want")
    for i, k, s, p, d, wanted in zip(sizes, kernel, stride, paddings, dilation, want, strict=True):
        found = conv_size(i, k, stride=s, padding=p, dilation=d)
        if found != wanted:
            raise SettingError(
                "With padding {padding} the output is {found}, not {want}.",
                hint="Leave padding= out to have it found.",
                padding=Margins((p,)),
                found=found,
                want=wanted,
            )


def _asymmetric(paddings: tuple[Padding, ...]) -> list[Phrase]:
    if all(before == after for before, after in paddings):
        return []
    flat = ", ".join(str(each) for pair in reversed(paddings) for each in pair)
    return [
        Phrase(
            "No symmetric padding does it: one more is needed behind. In torch F.pad(x, ({pads})) "
            'before the layer, or padding="same" at stride 1.',
            pads=flat,
        )
    ]
