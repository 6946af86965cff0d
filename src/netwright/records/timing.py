"""Where the time of a forward pass goes: what a machine can do, what a network should take on it,
and what it took, as frozen facts. All times are in seconds, all rates in float32."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Bound = Literal["compute", "memory", "overhead"]
"""What an operation waits for most: arithmetic, the bytes it moves, or the call itself."""

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a machine does in a second, by the size of the work: (size, per second), sizes rising.

    Between two sizes it is interpolated on logarithmic axes, outside them it is the nearest.

    >>> rate = Rate(points=((10.0, 100.0), (1000.0, 10000.0)))
    >>> rate.at(1), round(rate.at(100)), rate.at(1e6)
    (100.0, 1000, 10000.0)
    """

    points: tuple[tuple[float, float], ...]

    def at(self, size: float) -> float:
        below = [each for each in self.points if each[0] <= size]
        above = [each for each in self.points if each[0] > size]
        if not below or not above:
            return (below[-1] if below else above[0])[1]
        (low, slow), (high, fast) = below[-1], above[0]
        share = math.log(size / low) / math.log(high / low)
        return float(slow * (fast / slow) ** share)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A processor or graphics card, with so many threads and such a torch, measured once.

    `rates` by kind of work: multiply-adds a second of "conv", "pointwise" and "depthwise" by their
    width, each for maps of so many positions ("conv@49"); of "stem" and "matmul" by their width;
    results of "pool" and of "curve" (exp, tanh, ...); bytes that "read" (of a linear layer) and
    "filters" (of a convolution) take in of a network whose weights are so large; bytes read and
    written by "copy", so many in all. `overheads` are seconds for a call of each kind.
    """

    processor: str
    device: str
    threads: int
    torch: str
    rates: Mapping[str, Rate]
    overheads: Mapping[str, float]
    kept: bool = True
    """Whether the measurement is kept for the next time."""

    def rate(self, kind: str, size: float, positions: int = 1) -> float:
        """How much of `kind` is done in a second, at this size and, for convolutions, for maps of
        so many positions: interpolated between those that were measured."""
        if kind in self.rates:
            return self.rates[kind].at(size)
        known = sorted(
            (float(name.partition("@")[2]), each.at(size))
            for name, each in self.rates.items()
            if name.partition("@")[0] == kind
        )
        return Rate(points=tuple(known)).at(positions)

    def to_json(self) -> dict[str, Any]:
        """What `machine_from` reads back."""
        return {
            "format": FORMAT,
            "processor": self.processor,
            "device": self.device,
            "threads": self.threads,
            "torch": self.torch,
            "rates": {kind: [list(p) for p in each.points] for kind, each in self.rates.items()},
            "overheads": dict(self.overheads),
        }


RATES = {"conv", "pointwise", "depthwise", "stem", "matmul", "pool", "curve", "read", "filters",
         "copy"}  # fmt: skip
OVERHEADS = ("conv", "matmul", "norm", "pool", "other", "view")


def machine_from(value: Any) -> Machine:
    """The machine that `to_json` wrote. Raises `ValueError` for anything else."""
    try:
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']}, expected {FORMAT}")
        rates = {
            kind: Rate(points=tuple((_above_0(size), _above_0(rate)) for size, rate in points))
            for kind, points in value["rates"].items()
        }
        found = Machine(
            processor=str(value["processor"]),
            device=str(value["device"]),
            threads=int(value["threads"]),
            torch=str(value["torch"]),
            rates=rates,
            overheads={kind: _above_0(each) for kind, each in value["overheads"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no record of a machine: {error}") from error
    sizes = [[size for size, _ in each.points] for each in rates.values()]
    if {each.partition("@")[0] for each in rates} != RATES or set(found.overheads) != set(
        OVERHEADS
    ):
        raise ValueError("no record of a machine: rates are missing")
    if not all(each and each == sorted(set(each)) for each in sizes):
        raise ValueError("no record of a machine: sizes do not rise")
    return found


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """One call of one module: what it should take and, where it was measured, what it took.

    `bound` is what most of the estimate is spent on. `bytes` are read and written."""

    name: str
    kind: str
    depth: int
    call: int
    leaf: bool
    macs: int
    bytes: int
    seconds: float
    bound: Bound
    measured: float | None = None

    @property
    def ratio(self) -> float | None:
        """Measured over estimated."""
        return _ratio(self.measured, self.seconds)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A forward pass. `measured` is the median of `repeats` passes without any hook; those of the
    layers are from passes with hooks, whose cost (microseconds a module) is in them."""

    model: str
    machine: Machine
    layers: tuple[LayerTime, ...]
    seconds: float
    compute: float
    memory: float
    overhead: float
    """How much of the estimate is spent on operations that wait for each."""
    unruled: tuple[tuple[str, int], ...] = ()
    """Operations whose work is not known: their time is estimated by their bytes alone."""
    measured: float | None = None
    repeats: int = 0

    @property
    def ratio(self) -> float | None:
        """Measured over estimated."""
        return _ratio(self.measured, self.seconds)

    @property
    def memory_bound(self) -> tuple[LayerTime, ...]:
        """The layers without parts that wait for memory, the longest first."""
        found = [each for each in self.layers if each.leaf and each.bound == "memory"]
        return tuple(sorted(found, key=lambda each: -each.seconds))

    def to_json(self) -> dict[str, Any]:
        """All facts as what JSON can hold."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        layers = [{**dataclasses.asdict(each), "ratio": each.ratio} for each in self.layers]
        return {**plain, "machine": self.machine.to_json(), "layers": layers, "ratio": self.ratio}


def _ratio(measured: float | None, estimated: float) -> float | None:
    return measured / estimated if measured is not None and estimated > 0 else None


def _above_0(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    if not 0 < value < math.inf:
        raise ValueError(f"{value!r} is not above 0")
    return float(value)
