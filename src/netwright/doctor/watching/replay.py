"""A step that went wrong, run again with every operation looked at: where was the first bad value?

The forward pass is followed operation by operation; a value that is not finite is traced to the
operation that made it from finite ones. Where the loss is finite, its gradient is followed node by
node. Nothing of the run changes: buffers, gradients and random states are as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from netwright.doctor.graph import name_of
from netwright.doctor.patient import LOSSES, tensors_in
from netwright.doctor.tape import Objective

Where = Literal["input", "target", "weights", "forward", "loss", "backward", "step", "unknown"]

DELIBERATE = {
    "masked_fill", "full", "full_like", "new_full", "where", "__setitem__", "tensor", "fill",
    "masked_scatter", "index_fill", "triu", "tril", "new_tensor", "scatter",
}  # fmt: skip
"""Operations by which somebody writes an infinity on purpose, as for a mask."""

OVER_A_ROW = {"softmax", "log_softmax", "logsumexp", "scaled_dot_product_attention"}
"""For these -inf is a mask, and only a row that is all -inf is bad."""

SILENT = {"backward", "__get__", "__set__", "register_hook", "requires_grad_", "retain_grad"}

UNARY = {
    "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "exp", "exp2", "expm1", "acos", "asin",
    "atanh", "acosh", "reciprocal", "tan", "logit", "lgamma", "norm", "square", "arccos", "arcsin",
}  # fmt: skip
QUOTIENTS = {"div", "true_divide", "divide", "__truediv__", "__itruediv__", "__rtruediv__"}
POWERS = {"pow", "__pow__", "float_power"}


@dataclass(eq=False)
class Origin:
    """The operation that made the first bad value, in the module `layer`."""

    where: Where
    layer: str = ""
    operation: str = ""
    made: Tensor | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    run: Any = None


@dataclass(eq=False)
class _Bad:
    tensor: Tensor
    nan: bool
    origin: Origin | None
    """None where somebody wrote the infinity on purpose."""


class Follower(TorchFunctionMode):
    """Follows bad values through a forward pass of `models`."""

    def __init__(self, models: Sequence[nn.Module], given: Sequence[Tensor]) -> None:
        super().__init__()
        self.nodes: dict[Any, Origin] = {}
        """By node of the graph: the operation that made it."""
        self._bad: dict[int, _Bad] = {}
        self._path: list[str] = []
        self._weights = {
            id(each): name
            for model in models
            for name, each in (*model.named_parameters(), *model.named_buffers())
        }
        self._given = {id(each) for each in given}
        self._models = models

    def origin(self, tensor: Tensor) -> Origin | None:
        """Where the bad values of `tensor` came from; None where all is finite."""
        found = self._of(tensor)
        return found.origin if found is not None else None

    def hooked(self) -> list[Any]:
        """Hooks that tell which module is running; the caller removes them."""
        hooks: list[Any] = []
        for model in self._models:
            for name, module in model.named_modules():
                if isinstance(module, torch.jit.ScriptModule):
                    continue

                def begins(_: nn.Module, __: Any, name: str = name) -> None:
                    self._path.append(name)

                def ended(_: nn.Module, __: Any, ___: Any) -> None:
                    if self._path:
                        self._path.pop()

                hooks.append(module.register_forward_pre_hook(begins))
                hooks.append(module.register_forward_hook(ended, always_call=True))
        return hooks

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name not in SILENT:
            with torch.no_grad():
                self._judge(func, name, args, kwargs or {}, result)
        return result

    def _judge(self, func: Any, name: str, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        bare = name if name.startswith("__") else name.removesuffix("_")
        made = args[:1] if result is None or bare == "__setitem__" else result
        call = Origin(
            where="forward" if self._path else "loss",
            layer=self._path[-1] if self._path else "",
            operation=bare.strip("_"),
            args=args,
            kwargs=kwargs,
            run=func,
        )
        in_place = made is not result or (name.endswith("_") and not name.endswith("__"))
        given = () if in_place else {id(each) for each in tensors_in((args, kwargs))}
        for out in tensors_in(made):
            if id(out) in given:
                continue  # handed on as it was
            self._enter(out, call)
            if not _can_be_bad(out) or _finite(out):
                self._bad.pop(id(out), None)
                continue
            nan = bool(torch.isnan(_values(out)).any())
            self._bad[id(out)] = _Bad(out, nan, self._maker(bare, out, nan, args, kwargs, call))

    def _maker(
        self, bare: str, out: Tensor, nan: bool, args: Any, kwargs: dict[str, Any], call: Origin
    ) -> Origin | None:
        given = [each for each in tensors_in((args, kwargs)) if each is not out]
        bad = [found for each in given if (found := self._of(each)) is not None]
        for each in bad:
            if each.nan and nan:
                return each.origin
        infinite = [each for each in bad if each.origin is not None]
        if infinite and bare not in OVER_A_ROW:
            return infinite[0].origin
        if bad and not nan:
            return None  # a mask handed on
        if bare in DELIBERATE and not nan:
            return None
        call.made = out
        return call

    def _of(self, tensor: Tensor) -> _Bad | None:
        """The bad tensor, also one that no operation made: a weight, a batch."""
        known = self._bad.get(id(tensor))
        if known is not None or not _can_be_bad(tensor) or _finite(tensor):
            return known
        where: Where = "target"
        layer = operation = ""
        if id(tensor) in self._weights:
            where, layer = "weights", self._weights[id(tensor)]
        elif id(tensor) in self._given:
            where = "input"
        elif tensor.grad_fn is not None:
            where, operation = ("forward" if self._path else "loss"), name_of(tensor.grad_fn)
        nan = bool(torch.isnan(_values(tensor)).any())
        found = _Bad(tensor, nan, Origin(where, layer, operation, made=tensor))
        self._bad[id(tensor)] = found
        return found

    def _enter(self, out: Tensor, call: Origin) -> None:
        """The new nodes of the graph behind `out` belong to this call."""
        waiting = [out.grad_fn] if out.grad_fn is not None else []
        while waiting:
            node: Any = waiting.pop()
            if node in self.nodes or name_of(node) == "accumulate_grad":
                continue
            self.nodes[node] = call
            waiting += [each for each, _ in node.next_functions if each is not None]


def forward_origin(
    objective: Objective, models: Sequence[nn.Module], swaps: dict[int, Any]
) -> tuple[Origin | None, Tensor, Follower]:
    """The loss computed again, and the first bad value on the way to it, if there is one."""
    given = [each for call in objective.modules for each in tensors_in((call.args, call.kwargs))]
    follower = Follower(models, given)
    hooks = follower.hooked()
    try:
        with follower:
            loss = objective.again(swaps)
    finally:
        for each in hooks:
            each.remove()
    return follower.origin(loss), loss, follower


def backward_origin(
    loss: Tensor, follower: Follower, parameters: Sequence[Tensor]
) -> tuple[Origin | None, Tensor | None]:
    """The first node whose gradient is bad though what came to it was finite, and that gradient."""
    found: list[tuple[Origin, Tensor]] = []
    hooks: list[Any] = []

    def listen(node: Any) -> None:
        def after(inputs: Any, outputs: Any) -> None:
            if found:
                return
            came = [each for each in outputs if isinstance(each, Tensor)]
            went = [each for each in inputs if isinstance(each, Tensor)]
            with torch.no_grad():
                bad = next((each for each in went if not _finite(each)), None)
                if bad is not None and all(_finite(each) for each in came):
                    call = follower.nodes.get(node) or Origin("backward", operation=name_of(node))
                    found.append((call, bad.detach().clone()))

        hooks.append(node.register_hook(after))

    for node in nodes_behind(loss):
        listen(node)
    try:
        torch.autograd.grad(loss, list(parameters), allow_unused=True)
    finally:
        for each in hooks:
            each.remove()
    return found[0] if found else (None, None)


def nodes_behind(tensor: Tensor, most: int = 50_000) -> Iterator[Any]:
    """The nodes of the graph that led to `tensor`, leaves left out."""
    waiting: list[Any] = [tensor.grad_fn]
    seen: set[Any] = set()
    while waiting and len(seen) < most:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if name_of(node) != "accumulate_grad":
            yield node
            waiting += [each for each, _ in node.next_functions]


@dataclass(frozen=True)
class Place:
    """What is bad about a tensor, and what went in there."""

    value: str
    row: int | None
    rows: int | None
    before: float | None
    example: str


def place(origin: Origin, bad: Tensor, batch: int, *, backward: bool) -> Place:
    """The first bad value of `bad`: its row of the batch, and the numbers it was made from."""
    with torch.no_grad():
        mask = ~torch.isfinite(_values(bad))
        kinds = _values(bad)[mask]
        value = "nan" if bool(torch.isnan(kinds).any()) else "inf"
        rows = _rows(mask, batch) if bad.layout is torch.strided else None
        if rows is None and not backward and origin.operation in LOSSES:
            rows = _rows_of_loss(origin, batch)
        before, example = _numbers(origin, bad, mask, backward=backward)
    if rows is None or not len(rows):
        return Place(value, None, None, before, example)
    return Place(value, int(rows[0]), len(rows), before, example)


def _rows(mask: Tensor, batch: int) -> Tensor | None:
    if not batch or not mask.ndim or len(mask) != batch:
        return None
    return mask.reshape(batch, -1).any(1).nonzero().flatten().cpu()


def _rows_of_loss(origin: Origin, batch: int) -> Tensor | None:
    """The same loss for each sample."""
    if len(origin.args) > 2:
        return None
    try:
        each = origin.run(*origin.args, **{**origin.kwargs, "reduction": "none"})
    except (TypeError, ValueError, RuntimeError):
        return None
    return _rows(~torch.isfinite(each), batch)


def _numbers(
    origin: Origin, bad: Tensor, mask: Tensor, *, backward: bool
) -> tuple[float | None, str]:
    """What went in at the first bad place: one number, and the operation with its numbers."""
    given = [each for each in tensors_in((origin.args, origin.kwargs)) if each.is_floating_point()]
    if not given or not bad.ndim:
        place: tuple[int, ...] = ()
    else:
        place = tuple(int(each) for each in mask.nonzero()[0]) if mask.any() else ()
    prime = "'" if backward else ""
    values = [_at(each, bad, place) for each in origin.args[:2]]
    first = values[0] if values else None
    if origin.operation in UNARY and first is not None:
        return abs(first), f"{origin.operation}{prime}({first:.4g})"
    if len(values) > 1 and first is not None and values[1] is not None:
        second = values[1]
        if origin.operation in {each.strip("_") for each in QUOTIENTS}:
            if origin.operation == "rtruediv":
                first, second = second, first
            return abs(second), f"({first:.4g} / {second:.4g}){prime}"
        if origin.operation in {each.strip("_") for each in POWERS}:
            return abs(first), f"({first:.4g} ** {second:.4g}){prime}"
    sizes = [each.detach().abs()[torch.isfinite(each.detach())] for each in given]
    largest = max((float(each.max()) for each in sizes if each.numel()), default=None)
    return largest, ""


def _at(value: Any, bad: Tensor, place: tuple[int, ...]) -> float | None:
    """The number that `value` has where `bad` is bad."""
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    try:
        return float(value.detach().expand(bad.shape)[place])
    except (RuntimeError, IndexError):
        return None


def _values(tensor: Tensor) -> Tensor:
    return tensor.detach()._values() if tensor.layout is torch.sparse_coo else tensor.detach()


def _can_be_bad(tensor: Tensor) -> bool:
    return (tensor.is_floating_point() or tensor.is_complex()) and tensor.layout in (
        torch.strided, torch.sparse_coo,
    )  # fmt: skip


def _finite(tensor: Tensor) -> bool:
    return not _can_be_bad(tensor) or bool(torch.isfinite(_values(tensor)).all())
