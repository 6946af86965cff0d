"""What an inspection found: rows, operations and totals as frozen facts that need no torch.

The conventions stand here, once. A multiply-add (MAC) is one product added to a sum, counted in
contractions alone: convolution, transposed convolution, linear, matrix product, einsum, attention,
the gates of recurrent layers; taps on padding count, a causal mask does not halve. FLOPs are
twice that. What biases, norms, activations, pools and softmax compute stands apart, as `other_ops`,
and is never mixed in. Shapes are whole, with the batch; bytes are of tensors as they lie in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

Shape = tuple[int, ...]

CONVENTION = "FLOPs = 2 x multiply-adds of contractions; the rest stands under other operations"

_WAITING = "_waiting"

Sight = Literal["window", "varies", "all", "nothing", "unknown"]


@dataclass(frozen=True, kw_only=True)
class AxisField:
    """What the units of one tensor see along one spatial axis of the input (Araujo, Norris &
    Sim 2019): unit u sees the input rows from u * stride - padding on, `size` of them.

    `window`: exactly so. `varies`: the field depends on the position (resizing, branches that
    are not aligned); `size` is then the largest, `stride` the average advance, `padding` that of
    unit 0. `all`: every unit sees the whole axis; `nothing`: no pixel reaches it; `unknown`: an
    operation without a rule lies between. Then `size`, `stride` and `padding` are None.

    `reads` is how many of the `size` rows are read at all, fewer where a dilation leaves gaps.
    `why` says in English what made the field vary, or the operation without a rule.
    """

    sight: Sight
    size: int | None = None
    stride: float | None = None
    padding: int | None = None
    reads: int | None = None
    why: str = ""

    @property
    def start(self) -> float | None:
        """The centre of unit 0's field, in pixels from the first pixel's centre."""
        if self.size is None or self.padding is None:
            return None
        return (self.size - 1) / 2 - self.padding


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation that ran, in the order it ran; the operations are the network's graph.

    `name` is the field's word ("conv2d", "batch_norm", "add"), `layer` the path of the module in
    whose forward it ran ("" is the network itself), `inputs` are the numbers of the operations
    whose tensors it read; -1, -2, ... stand for the inputs of the network. `weights` are the paths
    of the parameters it used. `options` are what shapes its result: kernel, stride, padding,
    dilation, groups, ceil_mode, ... `ruled` is False where Netwright has no rule for it: its
    cost is then not known, and not zero. `view`: the result shares its input's memory.
    """

    number: int
    name: str
    layer: str
    inputs: tuple[int, ...]
    output: Shape
    macs: int = 0
    other_ops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    weights: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    fields: tuple[AxisField, ...] = ()
    ruled: bool = True
    view: bool = False


@dataclass(frozen=True, kw_only=True)
class InspectedLayer:
    """One call of one module, in the order they began; a container stands before its parts.

    `name` is its path ("" is the network itself), `depth` the number of modules round it, `call`
    counts from 0 how often this module ran before. `params` are its own and its parts', each
    distinct tensor counted where it is used first; `own_params` its own alone. `macs` and
    `other_ops` are of all that ran within this call. `activation_bytes` are what it and its parts
    wrote (views and in-place results write nothing new). `fields` has one entry for each spatial
    axis of each input image, of its first output tensor.
    """

    name: str
    kind: str
    depth: int
    call: int
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    params: int
    own_params: int
    trainable: int
    weight_bytes: int
    buffer_bytes: int
    macs: int
    other_ops: int
    activation_bytes: int
    fields: tuple[AxisField, ...]
    operations: tuple[int, int]
    """The first operation that ran within, and the one after the last."""
    leaf: bool
    training: bool = False
    unruled: tuple[tuple[str, int], ...] = ()
    rate: float | None = None
    """What a layer for dropout leaves out; in evaluation no operation says so."""
    along: tuple[tuple[int, ...], ...] = ()
    """For each entry of `fields` the dimensions of the first output along which its units are
    counted; none where all see the same."""

    @property
    def flops(self) -> int:
        return 2 * self.macs


@dataclass(frozen=True, kw_only=True)
class ParameterFact:
    """One distinct parameter; `paths` has more than one where it is tied."""

    paths: tuple[str, ...]
    shape: Shape
    numel: int
    bytes: int
    dtype: str
    trainable: bool
    used: bool


@dataclass(frozen=True, kw_only=True)
class InspectionRecord:
    """All an inspection found. Totals are in the properties."""

    model: str
    kind: str
    inputs: tuple[Shape, ...]
    input_dtypes: tuple[str, ...]
    spatial: tuple[tuple[int, int], ...]
    """What each entry of `fields` is: (number of the input, its dimension)."""
    layers: tuple[InspectedLayer, ...]
    operations: tuple[Operation, ...]
    parameters: tuple[ParameterFact, ...]
    outputs: tuple[Shape, ...]
    output_bytes: int
    peak_activation_bytes: int
    """The most activations that live at once in a forward pass that keeps none for a backward."""
    buffer_bytes: int
    concrete: bool = False
    """Whether values were computed, because the network branches on them."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """What the pass took."""
    results: tuple[int, ...] = ()
    """The operation each output came from; -1, -2, ... is an input that is handed on."""

    @classmethod
    def when_asked(
        cls, facts: dict[str, Any], layers: Callable[[], tuple[InspectedLayer, ...]]
    ) -> InspectionRecord:
        """A record of all its `facts` but the layers, which are made when they are first looked
        at: there are as many as operations, and totals need none. The dict becomes its own."""
        record = object.__new__(cls)
        facts[_WAITING] = layers
        object.__setattr__(record, "__dict__", facts)
        return record

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            own = self.__dict__
            if name == "layers" and _WAITING in own:
                own["layers"] = own[_WAITING]()
                own.pop(_WAITING, None)
            if name in own:  # or another thread was faster
                return own[name]
            raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __setstate__(self, facts: dict[str, Any]) -> None:
        object.__setattr__(self, "__dict__", facts)

    @property
    def params(self) -> int:
        """Equal to `sum(p.numel() for p in model.parameters())`."""
        return sum(each.numel for each in self.parameters)

    @property
    def trainable(self) -> int:
        return sum(each.numel for each in self.parameters if each.trainable)

    @property
    def unused(self) -> tuple[ParameterFact, ...]:
        """Parameters that no operation of this pass read."""
        return tuple(each for each in self.parameters if not each.used)

    @property
    def tied(self) -> tuple[ParameterFact, ...]:
        return tuple(each for each in self.parameters if len(each.paths) > 1)

    @property
    def macs(self) -> int:
        return sum(each.macs for each in self.operations)

    @property
    def flops(self) -> int:
        return 2 * self.macs

    @property
    def other_ops(self) -> int:
        return sum(each.other_ops for each in self.operations)

    @property
    def weight_bytes(self) -> int:
        return sum(each.bytes for each in self.parameters)

    @property
    def unruled(self) -> tuple[tuple[str, int], ...]:
        """Operations without a rule, by name, and how often they ran: their cost is not known."""
        found: dict[str, int] = {}
        for each in self.operations:
            if not each.ruled:
                found[each.name] = found.get(each.name, 0) + 1
        return tuple(sorted(found.items()))

    def to_json(self) -> dict[str, Any]:
        """All facts and totals as what JSON can hold."""
        return {
            "format": 1,
            "convention": CONVENTION,
            "totals": {
                "params": self.params,
                "trainable": self.trainable,
                "macs": self.macs,
                "flops": self.flops,
                "other_ops": self.other_ops,
                "weight_bytes": self.weight_bytes,
                "unruled": dict(self.unruled),
            },
            **dataclasses.asdict(self),
        }
