"""The operations of an inspection as a graph: who reads whose result, and how they reshape it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from netwright.records.inspection import InspectionRecord, Operation, ParameterFact, Shape

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}
TRANSPOSED = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
LINEAR = {"linear"}
WEIGHTED = CONVOLUTIONS | TRANSPOSED | LINEAR
BATCH_NORMS = {"batch_norm", "sync_batch_norm"}
DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
            "feature_alpha_dropout"}  # fmt: skip
VIEWS = {
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose",
    "movedim", "contiguous", "identity", "clone", "to", "float", "type_as", "detach", "alias",
    "t", "swapaxes", "ravel", "view_as", "reshape_as", "expand",
}  # fmt: skip
"""What only lays values out anew: each stays what it is."""

AVERAGES = {
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "mean",
}  # fmt: skip
GLOBAL_POOLS = AVERAGES | {
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "max_pool1d",
    "max_pool2d", "max_pool3d", "max", "amax", "sum", "logsumexp",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a kernel lies on its input along one axis, in elements of that input."""

    side: int
    out: int
    kernel: int
    stride: int
    dilation: int
    before: int

    @property
    def span(self) -> int:
        return (self.kernel - 1) * self.dilation + 1

    def taps(self) -> Iterator[tuple[int, int]]:
        """(output position, tap) of each product that reads the input and not its padding."""
        for place in range(self.out):
            for tap in range(self.kernel):
                if 0 <= place * self.stride - self.before + tap * self.dilation < self.side:
                    yield place, tap

    @functools.cached_property
    def real(self) -> float:
        """The share of taps that read the input; the rest reads padding."""
        return sum(1 for _ in self.taps()) / max(1, self.out * self.kernel)

    @functools.cached_property
    def used(self) -> float:
        """The share of the kernel's places that read the input at least once."""
        return len({tap for _, tap in self.taps()}) / self.kernel


class Graph:
    """What conditions ask of the operations of one record."""

    def __init__(self, record: InspectionRecord) -> None:
        self.record = record
        self.operations = record.operations
        self._by_number = {each.number: each for each in record.operations}
        self._parameters = {path: each for each in record.parameters for path in each.paths}

    @functools.cached_property
    def readers(self) -> dict[int, tuple[Operation, ...]]:
        """By number of an operation: those that read its result."""
        found: dict[int, list[Operation]] = {}
        for each in self.operations:
            for number in set(each.inputs):
                found.setdefault(number, []).append(each)
        return {number: tuple(each) for number, each in found.items()}

    @functools.cached_property
    def reached(self) -> set[int]:
        """The numbers of what depends on the network's input."""
        found: set[int] = set()
        for each in self.operations:
            if any(number < 0 or number in found for number in each.inputs):
                found.add(each.number)
        return found

    @functools.cached_property
    def results(self) -> tuple[int, ...]:
        """The operations that made the outputs, an input that is handed on left out.

        Where the record does not say, an output is the last result of its shape that nobody
        reads, else the last of its shape.
        """
        if self.record.results:
            return tuple(number for number in self.record.results if number in self._by_number)
        found: list[int] = []
        for shape in self.record.outputs:
            fitting = [
                each.number
                for each in self.operations
                if each.output == shape and each.number not in found
            ]
            unread = [number for number in fitting if number not in self.readers]
            if fitting:
                found.append((unread or fitting)[-1])
        return tuple(found)

    @functools.cached_property
    def live(self) -> set[int]:
        """The numbers of what an output depends on."""
        found = set(self.results)
        for each in reversed(self.operations):
            if each.number in found:
                found.update(number for number in each.inputs if number >= 0)
        return found

    def get(self, number: int) -> Operation | None:
        return self._by_number.get(number)

    def shape(self, number: int) -> Shape:
        """The shape of a result or, for a negative number, of an input; () if it is not known."""
        if number >= 0:
            made = self._by_number.get(number)
            return made.output if made is not None else ()
        inputs = self.record.inputs
        return inputs[-number - 1] if -number <= len(inputs) else ()

    def data(self, operation: Operation) -> tuple[int, ...]:
        """The inputs that depend on the network's input: no weights, no constants."""
        return tuple(n for n in operation.inputs if n < 0 or n in self.reached)

    def source(self, operation: Operation) -> Shape:
        """The shape of the first data it reads."""
        data = self.data(operation) or operation.inputs
        return self.shape(data[0]) if data else ()

    def before(
        self, operation: Operation, through: Callable[[Operation], bool]
    ) -> tuple[Operation | None, tuple[Operation, ...]]:
        """The operation whose result this one reads, walking back through those that `through`
        lets pass and that nobody else reads; and those passed, the nearest first.

        None where it reads an input, several results, or a result that others read as well.
        """
        passed: list[Operation] = []
        while True:
            data = self.data(operation)
            made = self.get(data[0]) if len(data) == 1 else None
            if made is None or len(self.readers.get(made.number, ())) != 1:
                return None, tuple(passed)
            if made.number in self.results:
                return None, tuple(passed)
            if not through(made):
                return made, tuple(passed)
            passed.append(made)
            operation = made

    def weight(self, operation: Operation) -> ParameterFact | None:
        """Its kernel or matrix: the first parameter of at least two dimensions."""
        facts = self.parameters(operation)
        return next((each for each in facts if len(each.shape) > 1), None)

    def bias(self, operation: Operation) -> ParameterFact | None:
        """Its bias: a parameter of one dimension beside the kernel."""
        if self.weight(operation) is None:
            return None
        return next((each for each in self.parameters(operation) if len(each.shape) == 1), None)

    def parameters(self, operation: Operation) -> tuple[ParameterFact, ...]:
        known = (self._parameters.get(path) for path in operation.weights)
        return tuple(each for each in known if each is not None)

    def channels(self, operation: Operation) -> tuple[int, int, int]:
        """(in, out, groups) of a convolution or a linear layer; 0 where it cannot be known."""
        source, groups = self.source(operation), int(option(operation, "groups", 1) or 1)
        if operation.name in LINEAR:
            ends = (source[-1] if source else 0, operation.output[-1] if operation.output else 0)
            return (*ends, 1)
        axes = axes_of(operation)
        place = -axes - 1  # (N, C, ...) or (C, ...)
        if len(source) <= axes or len(operation.output) <= axes:
            return 0, 0, groups
        return source[place], operation.output[place], groups

    def kernel(self, operation: Operation) -> tuple[int, ...]:
        """The sides of its kernel, () where it has none that is known."""
        axes = axes_of(operation)
        given = option(operation, "kernel", option(operation, "kernel_size", None))
        weight = self.weight(operation)
        if given is None and weight is not None and len(weight.shape) == axes + 2:
            return weight.shape[2:]
        return _sides(given, axes) or ()

    def windows(self, operation: Operation) -> tuple[Window, ...]:
        """How its kernel lies along each spatial axis; () where that cannot be known."""
        axes, kernel, source = axes_of(operation), self.kernel(operation), self.source(operation)
        if not axes or len(kernel) != axes or min(len(source), len(operation.output)) <= axes:
            return ()
        strides = _sides(option(operation, "stride", 1), axes) or kernel
        dilations = _sides(option(operation, "dilation", 1), axes) or (1,) * axes
        paddings = _sides(_before(option(operation, "padding", None)), axes)
        made = []
        for axis in range(axes):
            side, out = source[axis - axes], operation.output[axis - axes]
            span = (kernel[axis] - 1) * dilations[axis] + 1
            # "same": what the sizes need in all, the smaller half before.
            needed = max(0, (out - 1) * strides[axis] + span - side) // 2
            before = needed if paddings is None else paddings[axis]
            made.append(
                Window(
                    side=side,
                    out=out,
                    kernel=kernel[axis],
                    stride=strides[axis],
                    dilation=dilations[axis],
                    before=before,
                )
            )
        return tuple(made)


def option(operation: Operation, name: str, default: Any) -> Any:
    """What the operation was called with under this name."""
    return dict(operation.options).get(name, default)


def axes_of(operation: Operation) -> int:
    """Spatial axes by the name: 2 for conv2d, 0 for what has none."""
    last = operation.name[-2:]
    return int(last[0]) if last in {"1d", "2d", "3d"} else 0


def is_view(operation: Operation) -> bool:
    return operation.view or operation.name in VIEWS or operation.name in DROPOUTS


def is_dense(operation: Operation) -> bool:
    """Whether it is a convolution whose every output channel reads every input channel."""
    return operation.name in CONVOLUTIONS and int(option(operation, "groups", 1) or 1) == 1


def named(operation: Operation) -> str:
    """What the operation is called to the user: its layer, or its own name at the top."""
    return operation.layer or operation.name


def layers_of(operations: list[Operation] | tuple[Operation, ...]) -> tuple[str, ...]:
    """The layers of operations, each once, in order."""
    return tuple(dict.fromkeys(each.layer for each in operations))


def features(shape: Shape) -> int:
    """Numbers a sample: all but the batch."""
    return math.prod(shape[1:])


def listed(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    """A few names, each once, and how many there are in all.

    >>> listed(["a", "b", "a"]), listed(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c, ... (5)')
    """
    names = list(dict.fromkeys(names))
    shown = ", ".join(names[:most])
    return f"{shown}, ... ({len(names)})" if len(names) > most else shown


def sides(numbers: tuple[int, ...]) -> str:
    """
    >>> sides((3, 3))
    '3x3'
    """
    return "x".join(map(str, numbers))


def _before(padding: Any) -> Any:
    """The part before the first element, where an axis has (before, after)."""
    if isinstance(padding, list | tuple):
        return tuple(e[0] if isinstance(e, list | tuple) and e else e for e in padding)
    return padding


def _sides(given: Any, axes: int) -> tuple[int, ...] | None:
    """A number for each axis; None where `given` is a word such as "same", or nothing."""
    if isinstance(given, bool) or given is None:
        return None
    if isinstance(given, int):
        return (given,) * axes
    if isinstance(given, list | tuple) and all(isinstance(each, int) for each in given):
        if len(given) == axes:
            return tuple(given)
        if len(given) == 1:
            return tuple(given) * axes
    return None
