"""Windows that slide: what they leave of each axis, what they drop, what notes say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netwright.arithmetic.calculations._values import given, letters, per_axis
from netwright.arithmetic.sizes import (
    Padding,
    conv_size,
    dropped,
    dropped_pixels,
    effective_kernel,
)
from netwright.arithmetic.working import Fact, Line, line
from netwright.core.languages import Phrase


def geometry(
    options: Any, example: str
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, stride (a pool's is its kernel unless given) and dilation for each axis."""
    kernel = per_axis(given(options.kernel_size, "kernel_size", example), options.dims, "kernel")
    stride = kernel if options.stride is None else per_axis(options.stride, options.dims, "stride")
    return kernel, stride, per_axis(options.dilation, options.dims, "dilation")


def slid(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    paddings: tuple[Padding, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, ...], list[Fact], list[Line], list[Phrase]]:
    """The output of a window that slides, what it drops at the end, and the working."""
    axes = list(zip(sizes, kernel, stride, paddings, dilation, strict=True))
    outputs = tuple(conv_size(i, k, stride=s, padding=p, dilation=d) for i, k, s, p, d in axes)
    unread = tuple(dropped(i, k, stride=s, padding=p, dilation=d) for i, k, s, p, d in axes)
    pixels = tuple(dropped_pixels(i, k, stride=s, padding=p, dilation=d) for i, k, s, p, d in axes)
    facts = [Fact(name="output", label=Phrase("output size"), value=outputs, topic="size")]
    spans = tuple(effective_kernel(k, d) for k, d in zip(kernel, dilation, strict=True))
    if spans != kernel:
        facts.append(
            Fact(name="effective_kernel", label=Phrase("a kernel spans"), value=spans, topic="size")
        )
    if any(unread):
        facts.append(
            Fact(
                name="dropped", label=Phrase("dropped at the end"), value=list(unread), topic="size"
            )
        )
        facts.append(
            Fact(
                name="dropped_pixels",
                label=Phrase("of these in the image"),
                value=list(pixels),
                topic="size",
            )
        )
    working: list[Line] = []
    names = letters(len(axes), same=len(set(axes)) == 1)
    for name, (i, k, s, (p, q), d), span, left in zip(names, axes, spans, unread, strict=False):
        padded = "2*p" if p == q else "p + q"
        numbers = {"i": i, "p": p, "d": d, "k": k, "s": s, **({} if p == q else {"q": q})}
        if span != k:
            working.append(line(f"k_eff{name}", "d*(k - 1) + 1", topic="size", d=d, k=k))
        formula = f"floor((i + {padded} - d*(k - 1) - 1) / s) + 1"
        working.append(line(f"o{name}", formula, topic="size", **numbers))
        if left:
            formula = f"(i + {padded} - d*(k - 1) - 1) % s"
            working.append(line(f"dropped{name}", formula, topic="size", **numbers))
    return outputs, facts, working, _common_notes(axes, spans, unread)


def _common_notes(axes: list[Any], spans: tuple[int, ...], unread: tuple[int, ...]) -> list[Phrase]:
    """What common notes say otherwise."""
    notes = []
    if any(unread):
        i, k, s, (p, q), d = axes[next(n for n, each in enumerate(unread) if each)]
        wrong = line("o", "(i - k + p + q) / s + 1", i=i, k=k, p=p, q=q, s=s).value
        notes.append(
            Phrase(
                "Common notes give (i - k + 2p)/s + 1 without the floor: that would be "
                "{wrong:.4g} here.",
                wrong=float(wrong),
            )
        )
    if any(max(pads) >= span for (_, _, _, pads, _), span in zip(axes, spans, strict=True)):
        notes.append(
            Phrase("The padding is as wide as the window: the outermost outputs see no pixel.")
        )
    if any(k == 3 and d == 3 for _, k, _, _, d in axes):
        notes.append(
            Phrase(
                "A common note says that a 3x3 kernel with dilation 3 sees 8. It sees 7: 3 + 2*2."
            )
        )
    notes += kernel_three_note([(k, d) for _, k, _, _, d in axes])
    spread = [(k, d) for _, k, _, _, d in axes if k > 1 and d > 1 and (k, d) != (3, 3)]
    if spread:
        k, d = spread[0]
        notes.append(
            Phrase(
                "Formulas without dilation take the kernel for {kernel}, but it spans {span}. "
                "Weights and multiplications are those of the undilated kernel.",
                kernel=k,
                span=effective_kernel(k, d),
            )
        )
    return notes


def kernel_three_note(windows: Sequence[tuple[int, int]]) -> list[Phrase]:
    """What is wrong with the first (kernel, dilation) whose span a common note has wrong: it gives
    k + 2(d - 1), where k = 3 is hard-coded for k + (k - 1)(d - 1).

    >>> [str(each) for each in kernel_three_note([(3, 2), (5, 2)])]
    ['A common note gives 2(d - 1) + k, which holds for kernel 3 alone: 7 here, where it is 9.']
    """
    for kernel, dilation in windows:
        wrong = 2 * (dilation - 1) + kernel
        if wrong != effective_kernel(kernel, dilation):
            return [
                Phrase(
                    "A common note gives 2(d - 1) + k, which holds for kernel 3 alone: {wrong} "
                    "here, where it is {span}.",
                    wrong=wrong,
                    span=effective_kernel(kernel, dilation),
                )
            ]
    return []
