"""Which settings of a convolution give a wanted size: one answer, or a table of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netwright.arithmetic.calculations._values import Extent, Margins, given, per_axis
from netwright.arithmetic.inverse import padding_for, windows_for
from netwright.arithmetic.sizes import Padding, conv_size, effective_kernel
from netwright.arithmetic.working import Fact, Rows, Worked
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

KERNELS, DILATIONS, SHOWN = range(1, 12), range(1, 5), 40


def solved_paddings(
    sizes: tuple[int, ...],
    want: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[Padding, ...]:
    """The least padding for each axis, symmetric where that is possible."""
    found = []
    for i, o, k, s, d in zip(sizes, want, kernel, stride, dilation, strict=True):
        paddings = padding_for(i, o, k, stride=s, dilation=d)
        if not paddings:
            raise SettingError(
                "No padding makes {want} of {size} with a window of {span} at stride {stride}: "
                "without any it is {least} already.",
                hint="Take a larger stride, kernel or dilation. To see which do: kernel=any "
                "stride=any",
                want=o,
                size=i,
                span=effective_kernel(k, d),
                stride=s,
                least=conv_size(i, k, stride=s, dilation=d),
            )
        found.append(paddings[0])
    return tuple(found)


def conv_search(options: Any, sizes: tuple[int, ...] | None, example: str) -> Worked:
    """The table of kernels, strides, paddings and dilations that make `want` of the input."""
    size, wanted = one_axis(options, sizes, example)
    kernels = offered(options.kernel_size, KERNELS, "kernel")
    strides = offered(options.stride, range(1, max(4, size // wanted + 1) + 1), "stride")
    paddings: Iterable[Padding] | None = None
    if isinstance(options.padding, Margins):
        paddings = one_of(options.padding, "padding")
    elif options.padding == "valid":
        paddings = [(0, 0)]
    found = list(
        windows_for(
            size,
            wanted,
            kernels=kernels,
            strides=strides,
            dilations=offered(options.dilation, DILATIONS, "dilation"),
            paddings=paddings,
        )
    )
    rows = tuple((k, s, str(Margins((p,))), d) for k, s, p, d in found)
    notes = [
        Phrase("No combination that was tried gives {want} of {size}.", want=wanted, size=size)
    ]
    if found:
        notes = []
    if options.kernel_size in (None, "any") or options.dilation == "any":
        notes.append(
            Phrase(
                "Tried: kernels up to {kernels}, dilations up to {dilations} where they are asked "
                "for, and the least symmetric padding.",
                kernels=KERNELS[-1],
                dilations=DILATIONS[-1],
            )
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
                head=("kernel", "stride", "padding", "dilation"),
                rows=rows[:SHOWN],
                topic="size",
            ),
        ),
        notes=tuple(notes),
    )


def one_axis(options: Any, sizes: tuple[int, ...] | None, example: str) -> tuple[int, int]:
    """The one size, and the one that is wanted of it: a table has no place for several."""
    sizes = given(sizes, "input", example)
    want = per_axis(given(options.want, "want", example), options.dims, "want")
    if len(set(sizes)) > 1 or len(set(want)) > 1:
        raise SettingError(
            "A table of settings is for one axis: {sizes} has several.",
            hint="Ask for each axis: input={first} want={wanted}",
            sizes=Extent(sizes),
            first=sizes[0],
            wanted=want[0],
        )
    return sizes[0], want[0]


def offered(value: Any, every: Iterable[int], name: str) -> Iterable[int]:
    """All to be tried: `every` where nothing or `any` is given, else what is given."""
    return every if value is None or value == "any" else one_of(value, name)


def one_of(values: Any, name: str) -> list[Any]:
    if len(set(values)) > 1:
        raise SettingError(
            "A table of settings is for one axis: {sizes} has several.",
            sizes=f"{name}={values}",
        )
    return [values[0]]
