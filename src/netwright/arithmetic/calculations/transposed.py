"""A transposed convolution: its output size, its costs, and how evenly it writes."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._costs import conv_costs
from netwright.arithmetic.calculations._values import (
    MOST,
    Amount,
    Extent,
    letters,
    per_axis,
    sample,
)
from netwright.arithmetic.calculations._windows import geometry
from netwright.arithmetic.checkerboard import contributions, even_kernels, unevenness
from netwright.arithmetic.inverse import transposed_for, transposed_range
from netwright.arithmetic.sizes import transposed_size
from netwright.arithmetic.working import Fact, Rows, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc transposed input=64x16x16 kernel=4 stride=2 padding=1 out=32"


@config
class TransposedOptions:
    input: Extent | None = setting(
        None, help="the map: 16x16, or with its channels 64x16x16; one number is a square"
    )
    kernel_size: Extent | None = setting(None, help="the kernel")
    stride: Extent = setting(Extent((1,)), help="how far apart neighbours are written")
    padding: Amount | None = setting(None, help="cut away on both sides; 0 unless a size is wanted")
    output_padding: Amount | None = setting(None, help="more rows behind; below stride or dilation")
    dilation: Extent = setting(Extent((1,)), help="the rate")
    in_channels: int | None = setting(None, ge=1, le=MOST, help="channels that come in")
    out_channels: int | None = setting(None, ge=1, le=MOST, help="channels that go out")
    groups: int = setting(1, ge=1, le=MOST, help="groups that never mix")
    bias: bool = setting(True, help="whether each output channel has one")
    want: Extent | None = setting(
        None, help="asks backwards: which padding and output_padding give this size"
    )
    dims: int = setting(2, ge=1, le=3, help="axes of the map")


@CALCULATIONS.register(
    "transposed",
    options=TransposedOptions,
    example=EXAMPLE,
    required=("kernel_size",),
    paper="Dumoulin & Visin 2016; Odena, Dumoulin & Olah 2016 (checkerboard)",
)
def transposed(options: TransposedOptions) -> Worked:
    """Output size and costs of a transposed convolution, and how evenly it writes."""
    in_channels, sizes = sample(options.input, options.dims, options.in_channels)
    kernel, stride, dilation = geometry(options, EXAMPLE)
    facts, working, tables, notes = [], [], [], []
    if sizes is not None:
        padding, extra = _paddings(options, sizes, kernel, stride, dilation)
        axes = list(zip(sizes, kernel, stride, padding, extra, dilation, strict=True))
        outputs = tuple(
            transposed_size(i, k, stride=s, padding=p, output_padding=e, dilation=d)
            for i, k, s, p, e, d in axes
        )
        facts.append(Fact(name="output", label=Phrase("output size"), value=outputs, topic="size"))
        if options.want is not None:
            facts += [
                Fact(name=name, label=label, value=Amount(values), topic="size")
                for name, label, values in (
                    ("padding", Phrase("padding"), padding),
                    ("output_padding", Phrase("output_padding"), extra),
                )
            ]
        for name, (i, k, s, p, e, d) in zip(
            letters(len(axes), same=len(set(axes)) == 1), axes, strict=False
        ):
            formula = "(i - 1)*s - 2*p + d*(k - 1) + e + 1"
            working.append(line(f"o{name}", formula, topic="size", i=i, s=s, p=p, d=d, k=k, e=e))
        notes += _size_notes(axes, outputs)
    writes = zip(kernel, stride, dilation, strict=True)
    worst = [unevenness(k, s, dilation=d, dims=1) for k, s, d in writes]
    if any(s > 1 for s in stride):
        facts.append(_evenness(worst))
        tables.append(_table(kernel[0], stride[0], dilation[0]))
        notes += _checkerboard_notes(kernel, stride, dilation, worst)
    costs = conv_costs(
        in_channels,
        options.out_channels,
        kernel,
        sizes,
        groups=options.groups,
        bias=options.bias,
        transposed=True,
    )
    return Worked(
        facts=(*facts, *costs.facts),
        working=(*working, *costs.working),
        tables=tuple(tables),
        notes=(*notes, *costs.notes),
    )


def _paddings(
    options: TransposedOptions,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding and output padding: given, or found so that the wanted size comes out."""
    dims = options.dims
    none = (None,) * dims
    padding = none if options.padding is None else per_axis(options.padding, dims, "padding")
    extra = (
        none
        if options.output_padding is None
        else per_axis(options.output_padding, dims, "output_padding")
    )
    if options.want is None:
        return tuple(p or 0 for p in padding), tuple(e or 0 for e in extra)
    want = per_axis(options.want, dims, "want")
    found = []
    for i, o, k, s, d, p, e in zip(
        sizes, want, kernel, stride, dilation, padding, extra, strict=True
    ):
        pairs = transposed_for(i, o, k, stride=s, dilation=d, padding=p, output_padding=e)
        if not pairs:
            least, most = transposed_range(i, k, stride=s, padding=p or 0, dilation=d)
            raise SettingError(
                "No {what} gives {want} of {size}: with padding {padding} it can be {least} to "
                "{most}, and each row of padding takes two away.",
                what="output_padding" if p is not None else "padding with output_padding",
                want=o,
                size=i,
                padding=p or 0,
                least=least,
                most=most,
            )
        found.append(pairs[0])
    return tuple(p for p, _ in found), tuple(e for _, e in found)


def _size_notes(axes: Sequence[tuple[int, ...]], outputs: tuple[int, ...]) -> list[Phrase]:
    notes = []
    for (i, k, s, p, e, d), found in zip(axes, outputs, strict=True):
        short = (i - 1) * s - 2 * p + k
        if short != found:
            notes.append(
                Phrase(
                    "Common notes give (i - 1)s - 2p + k, without dilation and output_padding: "
                    "that would be {wrong} here.",
                    wrong=short,
                )
            )
            break
        if s > 1 and e == 0:
            least, most = transposed_range(i, k, stride=s, padding=p, dilation=d)
            notes.append(
                Phrase(
                    "A convolution with these settings makes {size} of every size from {least} to "
                    "{most}; output_padding chooses among them.",
                    size=i,
                    least=least,
                    most=min(most, least + s - 1),
                )
            )
            break
    if any(axis[2] == 1 for axis in axes) and all(
        found <= axis[0] for axis, found in zip(axes, outputs, strict=True)
    ):
        notes.append(
            Phrase(
                "It does not enlarge: zeros are put between the inputs only at strides above 1, "
                "and at stride 1 the map grows only if p < d(k - 1)/2."
            )
        )
    notes.append(
        Phrase(
            'It is the adjoint of the convolution, not its inverse ("deconvolution" misleads): '
            "shapes go back, values do not."
        )
    )
    return notes


def _evenness(worst: list[float | None]) -> Fact:
    value: float | None = 1.0
    for each in worst:
        value = None if value is None or each is None else value * each
    return Fact(
        name="unevenness",
        label=Phrase("contributions, most over fewest"),
        value=value,
        topic="checkerboard",
    )


def _table(kernel: int, stride: int, dilation: int) -> Rows:
    counts = contributions(kernel, stride, dilation=dilation)[:16]
    return Rows(
        name="contributions",
        head=("position", "contributions"),
        rows=tuple(enumerate(counts)),
        topic="checkerboard",
    )


def _checkerboard_notes(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    worst: list[float | None],
) -> list[Phrase]:
    for k, s, d, uneven in zip(kernel, stride, dilation, worst, strict=True):
        if uneven == 1.0:
            continue
        even = even_kernels(s, k)
        if uneven is None and d == 1:
            return [
                Phrase(
                    "The kernel {kernel} is smaller than the stride {stride}: some rows and "
                    "columns of the output get nothing but the bias.",
                    kernel=k,
                    stride=s,
                )
            ]
        return [
            Phrase(
                "The kernel {kernel} is not divided by the stride {stride}: some positions are "
                "written more often than others, which shows as a checkerboard. Even are kernels "
                "of {even} without dilation, or resizing and then a convolution.",
                kernel=k,
                stride=s,
                even=", ".join(map(str, even)),
            )
        ]
    return []
