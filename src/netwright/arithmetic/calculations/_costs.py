"""Parameters, multiply-adds and memory of a layer as facts with their working."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from netwright.arithmetic.calculations._values import letters as axis_letters
from netwright.arithmetic.counts import conv_macs, conv_params
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.languages import Phrase


def params_fact(count: int) -> Fact:
    return Fact(name="params", label=Phrase("parameters"), value=count, topic="params")


def memory_fact(params: int) -> Fact:
    label = Phrase("weights in float32")
    return Fact(name="weight_bytes", label=label, value=4 * params, topic="params", unit="bytes")


def mac_facts(count: int) -> list[Fact]:
    return [
        Fact(name="macs", label=Phrase("multiply-adds"), value=count, topic="macs"),
        Fact(name="flops", label=Phrase("FLOPs"), value=2 * count, topic="macs"),
    ]


def flops_note() -> Phrase:
    return Phrase(
        "FLOPs = 2 x multiply-adds, for one sample; bias, norm and activation stand apart. Papers "
        "often print multiply-adds as FLOPs; FLOPS with a capital S is a speed."
    )


def conv_costs(
    in_channels: int | None,
    out_channels: int | None,
    kernel: tuple[int, ...],
    positions: tuple[int, ...] | None,
    *,
    groups: int,
    bias: bool,
    transposed: bool = False,
) -> Worked:
    """What the channels and the sizes that are known allow to count."""
    if in_channels is None or out_channels is None:
        return Worked(facts=())
    params = conv_params(in_channels, out_channels, kernel, groups=groups, bias=bias)
    facts = [params_fact(params), memory_fact(params)]
    window, sides = named("k", kernel)
    letters = {"C": in_channels, "G": groups, "N": out_channels}
    per_group = "C/G" if groups > 1 else "C"
    if groups == 1:
        del letters["G"]
    formula = f"{window} * {per_group} * N" + (" + N" if bias else "")
    working = [line("params", formula, topic="params", **sides, **letters)]
    notes = []
    if positions is not None:
        macs = conv_macs(in_channels, out_channels, kernel, positions, groups=groups)
        facts += mac_facts(macs)
        # Every weight is used at each output, or, transposed, at each input.
        where, places = named("i" if transposed else "o", positions)
        formula = f"{where} * {window} * {per_group} * N"
        working.append(line("MACs", formula, topic="macs", **places, **sides, **letters))
        notes.append(flops_note())
    if groups > 1:
        facts += _grouped(in_channels, out_channels, kernel, groups)
        notes.append(_group_note(in_channels, out_channels, groups, bias))
    return Worked(facts=tuple(facts), working=tuple(working), notes=tuple(notes))


def named(letter: str, sizes: Sequence[int]) -> tuple[str, dict[str, int]]:
    """The product of sizes as a formula, and what its letters stand for.

    >>> named("k", (3, 3)), named("o", (4, 5))
    (('k**2', {'k': 3}), ('o_h * o_w', {'o_h': 4, 'o_w': 5}))
    """
    if len(set(sizes)) == 1:
        power = f"{letter}**{len(sizes)}" if len(sizes) > 1 else letter
        return power, {letter: sizes[0]}
    names = [f"{letter}{axis}" for axis in axis_letters(len(sizes))]
    return " * ".join(names), dict(zip(names, sizes, strict=True))


def _grouped(
    in_channels: int, out_channels: int, kernel: tuple[int, ...], groups: int
) -> list[Fact]:
    full = math.prod(kernel) * in_channels * out_channels
    return [
        Fact(
            name="weights_ungrouped",
            label=Phrase("weights without groups"),
            value=full,
            topic="params",
        ),
        Fact(
            name="share",
            label=Phrase("share of these"),
            value=Fraction(1, groups),
            topic="params",
        ),
    ]


def _group_note(in_channels: int, out_channels: int, groups: int, bias: bool) -> Phrase:
    if groups == in_channels:
        return Phrase(
            "Depthwise: each channel has its own kernel and nothing crosses channels; a 1x1 "
            "convolution behind it does (netwright calc separable)."
        )
    if bias:
        return Phrase(
            "Groups divide weights and multiplications by exactly {groups}; the {biases} biases "
            "stay. No information crosses groups.",
            groups=groups,
            biases=out_channels,
        )
    return Phrase(
        "Groups divide weights and multiplications by exactly {groups}. No information crosses "
        "groups.",
        groups=groups,
    )
