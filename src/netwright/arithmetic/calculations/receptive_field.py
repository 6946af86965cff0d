"""The receptive field of a chain of layers, and which chains have a wanted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._values import MOST
from netwright.arithmetic.calculations._windows import kernel_three_note
from netwright.arithmetic.inverse import nearest_fields, stacks_with_field, windows_with_field
from netwright.arithmetic.layer_list import read_layers, spelled
from netwright.arithmetic.receptive_field import Layer, Step, receptive_field
from netwright.arithmetic.working import Fact, Line, Rows, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = 'netwright calc receptive-field "conv 7 s2 p3, pool 3 s2 p1, 4*conv 3 same" input=224'
SHOWN = 40


@config
class FieldOptions:
    chain: str | None = setting(None, help="the layers, such as: conv 3 s2 p1, conv 3 d2, pool 2")
    input: int | None = setting(None, ge=1, le=MOST, help="size of the input along this axis")
    unit: int | None = setting(None, ge=0, le=MOST, help="tells which rows this unit sees")
    want: int | None = setting(
        None, ge=2, le=100_000, help="asks backwards: which layers see so many rows"
    )
    kernel_size: int | None = setting(None, ge=2, le=1000, help="with want: this kernel alone")
    stride: int | None = setting(None, ge=1, le=1000, help="with want: this stride alone")


@CALCULATIONS.register(
    "receptive-field",
    options=FieldOptions,
    thing="chain",
    example=EXAMPLE,
    paper="Araujo, Norris & Sim 2019, Computing receptive fields of convolutional neural networks",
)
def chain_field(options: FieldOptions) -> Worked:
    """What one unit sees behind a chain of layers: size, jump and start; or chains with a field."""
    if options.want is not None:
        if options.chain is not None:
            raise SettingError("Give layers or want=, one of them.")
        return _wanted(options)
    if options.chain is None:
        raise SettingError(
            "netwright calc receptive-field needs layers, or want=.",
            hint="For example: {example}",
            example=EXAMPLE,
        )
    layers = read_layers(options.chain)
    steps = receptive_field(layers, options.input)
    last = steps[-1]
    facts = _facts(last, options)
    working = []
    for number, (layer, before, after) in enumerate(zip(layers, steps, steps[1:], strict=False), 1):
        working += _lines(number, layer, before, after)
    rows: list[tuple[Any, ...]] = [
        (number, spelled(layer), *_cells(step))
        for number, (layer, step) in enumerate(zip(layers, steps[1:], strict=True), 1)
    ]
    head: tuple[str, ...] = ("", "layer", "size", "jump", "start", "padding", "output")
    if options.input is None:
        head, rows = head[:-1], [row[:-1] for row in rows]
    notes = _notes(layers, steps, options)
    if len(rows) > SHOWN:
        notes.append(Phrase("The last {shown} of {count} are shown.", shown=SHOWN, count=len(rows)))
    return Worked(
        facts=tuple(facts),
        working=tuple(working[-SHOWN:]) if len(layers) <= SHOWN else (),
        tables=(Rows(name="layers", head=head, rows=tuple(rows[-SHOWN:]), topic="field"),),
        notes=tuple(notes),
    )


def _facts(last: Step, options: FieldOptions) -> list[Fact]:
    everything = last.phases is None
    facts = [
        Fact(
            name="size",
            label=Phrase("receptive field"),
            value="all" if everything else last.size,
            topic="field",
        )
    ]
    if not everything:
        facts += [
            Fact(name="jump", label=Phrase("jump"), value=last.jump, topic="field"),
            Fact(name="start", label=Phrase("start"), value=last.start, topic="field"),
            Fact(name="padding", label=Phrase("rows before the image"), value=last.padding,
                 topic="field"),
            Fact(name="reads", label=Phrase("rows that are read"), value=last.reads, topic="field"),
        ]  # fmt: skip
    if last.output is not None:
        facts.append(
            Fact(name="output", label=Phrase("output size"), value=last.output, topic="field")
        )
    if options.unit is not None:
        if last.output is not None and options.unit >= last.output:
            raise SettingError(
                "There is no unit {unit}: the output has {count}, counted from 0.",
                unit=options.unit,
                count=last.output,
            )
        seen = last.sees(options.unit)
        value: Any = "all" if everything else "nothing" if seen is None else list(seen)
        facts.append(
            Fact(
                name="unit_sees",
                label=Phrase("first and last row it sees"),
                value=value,
                topic="field",
            )
        )
    return facts


def _lines(number: int, layer: Layer, before: Step, after: Step) -> list[Line]:
    """The recurrence with its numbers, where it is the recurrence."""
    if layer.kind in ("global", "up", "transposed") or after.size is None:
        return []
    if before.varies or before.size is None or before.jump is None:
        return []
    r, k, d, j = before.size, layer.kernel_size, layer.dilation, before.jump
    return [
        line(f"r{number}", "r + (k - 1)*d*j", topic="field", r=r, k=k, d=d, j=j),
        line(f"j{number}", "j * s", topic="field", j=j, s=layer.stride),
    ]


def _cells(step: Step) -> tuple[Any, ...]:
    size = "all" if step.phases is None else step.size
    return size, step.jump, step.start, step.padding, step.output


def _notes(layers: Sequence[Layer], steps: Sequence[Step], options: FieldOptions) -> list[Phrase]:
    last, notes = steps[-1], []
    windows = [each for each in layers if each.kind in ("conv", "pool")]
    if [(each.kernel_size, each.dilation) for each in layers] == [(3, 3)]:
        notes.append(
            Phrase(
                "A common note says that a 3x3 kernel with dilation 3 sees 8. It sees 7: 3 + 2*2."
            )
        )
    notes += kernel_three_note([(each.kernel_size, each.dilation) for each in windows])
    if last.size is not None and len(windows) == len(layers):
        wrong = _with_own_stride(layers)
        if wrong != last.size:
            notes.append(
                Phrase(
                    "Common notes multiply the strides up to the layer itself, which would be "
                    "{wrong} here: the product runs over the earlier layers only.",
                    wrong=wrong,
                )
            )
    if last.varies:
        notes.append(
            Phrase(
                "Units do not all see equally much: the size is the largest, the jump the average, "
                "start and padding those of unit 0."
            )
        )
    if last.blind:
        notes.append(
            Phrase("Some units see nothing at all: a kernel below its stride leaves gaps.")
        )
    if last.size is not None and last.reads is not None and last.reads < last.size:
        notes.append(
            Phrase(
                "Of {size} rows {reads} are read; the dilations leave holes (gridding).",
                size=last.size,
                reads=last.reads,
            )
        )
    if last.size is not None and options.input is not None and last.size > options.input:
        notes.append(
            Phrase(
                "The field is larger than the input of {input}: every unit sees some padding.",
                input=options.input,
            )
        )
    notes.append(
        Phrase(
            "Padding and channels play no part in the size. Influence is not even: it is strongest "
            "in the middle (the effective field, Luo et al. 2016)."
        )
    )
    return notes


def _with_own_stride(layers: Sequence[Layer]) -> int:
    """The field by the common wrong formula."""
    field = strides = 1
    for each in layers:
        strides *= each.stride
        field += (each.kernel_size - 1) * each.dilation * strides
    return field


def _wanted(options: FieldOptions) -> Worked:
    assert options.want is not None
    kernels = range(2, 12) if options.kernel_size is None else [options.kernel_size]
    strides = (1, 2, 3, 4) if options.stride is None else (options.stride,)
    rows = _stacks(options.want, kernels, strides)
    tables = []
    nearest: list[int] = []
    if not rows:
        nearest = nearest_fields(options.want, kernels=kernels, strides=strides)
        near = [(each, *row) for each in nearest for row in _stacks(each, kernels, strides)[:3]]
        tables = [
            Rows(
                name="nearest",
                head=("field", "layers", "kernel", "stride", "dilation"),
                rows=tuple(near),
                topic="field",
            )
        ]
    notes = [
        Phrase(
            "Stacks of equal layers; the stride is that of every layer, the last one's counts for "
            "nothing. Equal rates above 1 leave holes (netwright calc gridding)."
        )
    ]
    if not rows:
        notes.insert(
            0,
            Phrase(
                "No stack of equal layers sees exactly {want}; the nearest that can be had: "
                "{nearest}.",
                want=options.want,
                nearest=", ".join(map(str, nearest)),
            ),
        )
    if len(rows) > SHOWN:
        notes.append(
            Phrase("The first {shown} of {count} are shown.", shown=SHOWN, count=len(rows))
        )
    return Worked(
        facts=(
            Fact(name="combinations", label=Phrase("combinations"), value=len(rows), topic="field"),
        ),
        tables=(
            Rows(
                name="stacks",
                head=("layers", "kernel", "stride", "dilation"),
                rows=tuple(rows[:SHOWN]),
                topic="field",
            ),
            *tables,
        ),
        notes=tuple(notes),
    )


def _stacks(
    want: int, kernels: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int, int, str]]:
    """Layers, kernel, stride and dilation of what sees `want`."""
    rows = []
    if 1 in strides:
        rows += [(1, k, 1, str(d)) for k, d in windows_with_field(want, kernels=kernels)]
    every = stacks_with_field(want, kernels=kernels, strides=strides)
    rows += [each for each in every if each[0] > 1]
    return sorted(rows, key=lambda row: (row[1], row[2], -row[0]))
