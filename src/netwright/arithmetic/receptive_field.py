"""The receptive field of a chain of layers along one axis: size, jump, where the fields lie.

    r_l = r_(l-1) + (k_l - 1) d_l j_(l-1)        j_l = j_(l-1) s_l        r_0 = j_0 = 1

The jump in the first line is that of the *earlier* layers. Unit u of layer l sees the input rows
from u j_l - p_l on, r_l of them, where p_l = p_(l-1) + padding_l j_(l-1) (Araujo, Norris & Sim
2019, Computing receptive fields of convolutional neural networks). Padding moves fields and never
changes their size; channels play no part.

Behind a transposed convolution units do not all see equally much, so a chain is carried as its
*phases*: unit q P + r sees what phase r sees, moved by q A rows. Without one, P = 1 and A = j, and
what follows is the recurrence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from netwright.arithmetic.sizes import Padding, conv_size, pool_size, transposed_size
from netwright.core.errors import SettingError

Kind = Literal["conv", "pool", "transposed", "up", "global"]

MOST_PHASES = 256
_MOST_BITS = 1 << 16  # a field larger than this is not looked through for holes,
_MOST_TAPS = 4096  # nor one that a kernel larger than this reads


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a chain. `transposed` cuts its padding away; `up` repeats each unit `stride`
    times; `global` (global pooling, flatten and linear) has nothing to set."""

    kind: Kind = "conv"
    kernel_size: int = 1
    stride: int = 1
    padding: Padding = (0, 0)
    dilation: int = 1
    ceil_mode: bool = False
    output_padding: int = 0


@dataclass(frozen=True)
class Phase:
    """The rows from `first` to `last`; `read` has a bit for each, None where it was not kept."""

    first: int
    last: int
    read: int | None

    def moved(self, rows: int) -> Phase:
        return Phase(self.first + rows, self.last + rows, self.read)

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the units behind a layer see; `phases` is None where they see everything, and a phase
    is None where it sees nothing. `output` is how many units there are, if that was asked."""

    phases: tuple[Phase | None, ...] | None
    advance: int = 1
    output: int | None = None

    @property
    def size(self) -> int | None:
        """Rows of the field, those of the largest phase; None for everything."""
        return None if self.phases is None else max(each.size for each in self.phases if each)

    @property
    def jump(self) -> Fraction | None:
        """Rows from one field to the next, the average where the phases differ."""
        return None if self.phases is None else Fraction(self.advance, len(self.phases))

    @property
    def padding(self) -> int | None:
        """How many rows before the image the field of unit 0 begins."""
        return None if self.phases is None or not self.phases[0] else -self.phases[0].first

    @property
    def start(self) -> Fraction | None:
        """The centre of unit 0's field, in rows from the centre of the first row."""
        if self.phases is None or not self.phases[0]:
            return None
        return Fraction(self.phases[0].first + self.phases[0].last, 2)

    @property
    def reads(self) -> int | None:
        """How many rows of the field are read at all, fewer than `size` where there are holes."""
        if self.phases is None:
            return None
        largest = max((each for each in self.phases if each), key=lambda each: each.size)
        return None if largest.read is None else largest.read.bit_count()

    @property
    def varies(self) -> bool:
        return self.phases is not None and len(self.phases) > 1

    @property
    def blind(self) -> bool:
        """Whether some units see nothing."""
        return self.phases is not None and None in self.phases

    def sees(self, unit: int) -> tuple[int, int] | None:
        """The first and last row that `unit` sees; they may lie in the padding."""
        if self.phases is None:
            return None
        period, phase = divmod(unit, len(self.phases))
        seen = self.phases[phase]
        return None if seen is None else (
            seen.first + period * self.advance,
            seen.last + period * self.advance,
        )  # fmt: skip


def receptive_field(layers: Iterable[Layer], size: int | None = None) -> list[Step]:
    """The field behind every layer, the input itself first; with the `size` of the input the
    output sizes as well.

    >>> steps = receptive_field([Layer(kernel_size=3, stride=2), Layer(kernel_size=3)])
    >>> [(step.size, int(step.jump)) for step in steps]
    [(1, 1), (3, 2), (7, 2)]
    """
    steps = [Step(phases=(Phase(0, 0, 1),), output=size)]
    for layer in layers:
        before = steps[-1]
        output = None if before.output is None else output_size(before.output, layer)
        if layer.kind == "global" or before.phases is None:
            steps.append(Step(phases=None, output=output))
            continue
        spreads = layer.kind in ("transposed", "up")
        phases, advance = (_spread if spreads else _gathered)(before, layer)
        steps.append(_shortest(phases, advance, output))
    return steps


def output_size(size: int, layer: Layer) -> int:
    """What the layer makes of an axis of `size`."""
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    if layer.kind == "global":
        return 1
    if layer.kind == "up":
        return size * stride
    if layer.kind == "transposed":
        return transposed_size(
            size,
            kernel,
            stride=stride,
            padding=layer.padding[0],
            output_padding=layer.output_padding,
            dilation=dilation,
        )
    if layer.kind == "pool":
        return pool_size(
            size,
            kernel,
            stride=stride,
            padding=layer.padding[0],
            dilation=dilation,
            ceil_mode=layer.ceil_mode,
        )
    return conv_size(size, kernel, stride=stride, padding=layer.padding, dilation=dilation)


Phases = tuple[Phase | None, ...]


def _gathered(before: Step, layer: Layer) -> tuple[Phases, int]:
    """A window: unit v reads the units v s - p + t d, t = 0 .. k - 1."""
    assert before.phases is not None
    period = len(before.phases) // math.gcd(len(before.phases), layer.stride)
    advance = before.advance * (period * layer.stride) // len(before.phases)
    found = []
    taps, every = _taps(layer.kernel_size, len(before.phases))
    for unit in range(period):
        first = unit * layer.stride - layer.padding[0]
        units = (first + tap * layer.dilation for tap in taps)
        found.append(_union(_seen(before, units), keep=every))
    return tuple(found), advance


def _spread(before: Step, layer: Layer) -> tuple[Phases, int]:
    """A transposed window: unit v hears of every unit u with u s - p + t d = v."""
    assert before.phases is not None
    kernel, padding = layer.kernel_size, layer.padding[0]
    if layer.kind == "up":
        kernel, padding = layer.stride, 0
    period = len(before.phases) * layer.stride
    if period > MOST_PHASES:
        raise SettingError(
            "Up-sampling by {factor} in all is more than a field is followed through: at most "
            "{most}.",
            factor=period,
            most=MOST_PHASES,
        )
    # A tap meets the same phase again a period later, so the ends need no more of them.
    taps, every = _taps(kernel, period)
    found = []
    for unit in range(period):
        places = (unit + padding - tap * layer.dilation for tap in taps)
        sources = (place // layer.stride for place in places if place % layer.stride == 0)
        found.append(_union(_seen(before, sources), keep=every))
    return tuple(found), before.advance


def _taps(kernel: int, period: int) -> tuple[Sequence[int], bool]:
    """The taps to look at, and whether these are all: for the ends of a field a period of them at
    both ends of the kernel is enough, to find the holes in it each counts."""
    if kernel <= max(2 * period, _MOST_TAPS // period):
        return range(kernel), True
    return [*range(period), *range(kernel - period, kernel)], False


def _seen(step: Step, units: Iterable[int]) -> Iterator[Phase]:
    assert step.phases is not None
    for unit in units:
        period, number = divmod(unit, len(step.phases))
        phase = step.phases[number]
        if phase is not None:
            yield phase.moved(period * step.advance)


def _union(phases: Iterable[Phase], *, keep: bool) -> Phase | None:
    """All that any of them sees; which rows of it are read if `keep`, and if that is known."""
    every = list(phases)
    if not every:
        return None
    first, last = min(each.first for each in every), max(each.last for each in every)
    if not keep or last - first >= _MOST_BITS:
        return Phase(first, last, None)
    read = 0
    for each in every:
        if each.read is None:
            return Phase(first, last, None)
        read |= each.read << (each.first - first)
    return Phase(first, last, read)


def _shortest(phases: Sequence[Phase | None], advance: int, output: int | None) -> Step:
    """The same with the shortest period: phases that are one another moved count once."""
    whole = len(phases)
    for period in (n for n in range(1, whole + 1) if whole % n == 0):
        if advance * period % whole:
            continue
        moved = advance * period // whole
        if all(
            phases[number] == (None if before is None else before.moved(moved))
            for number, before in zip(range(period, whole), phases, strict=False)
        ):
            return Step(phases=tuple(phases[:period]), advance=moved, output=output)
    return Step(phases=tuple(phases), advance=advance, output=output)
