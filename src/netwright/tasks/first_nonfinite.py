"""The first number of a step that is not finite: in which layer, on the way there or back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from torch import Tensor, nn

from netwright.core.languages import Phrase


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where it began.

    `where` says what is not finite first: the `output` of a layer whose input was finite, the
    gradient that a layer passes `back`, the gradient of a `weight` of it, the `loss` of outputs
    that are finite, or the `norm` of gradients each of which is finite.
    """

    where: Literal["output", "back", "weight", "loss", "norm"]
    layer: str
    kind: str
    """The class of the layer."""
    bad: int = 0
    """Numbers that are not finite, of `count`."""
    count: int = 0
    largest: float = 0.0
    """The largest magnitude that was finite before it: of the layer's input, of the network's
    output, of the gradients."""
    samples: tuple[int, ...] = ()
    """The places in the batch that it is in, where each sample has its own numbers; of a batch that
    goes through in several passes those in all of them."""

    def to_json(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "layer": self.layer,
            "kind": self.kind,
            "bad": self.bad,
            "count": self.count,
            "largest": self.largest,
        }

    @property
    def what(self) -> Phrase:
        """In words."""
        layer = f"{self.layer or '.'} ({self.kind})"
        if self.where == "output":
            return Phrase(
                "{layer} is the first layer whose output is not finite: {bad:,} of {count:,} "
                "numbers. The largest it was given is {largest:.3g}.",
                layer=layer, bad=self.bad, count=self.count, largest=self.largest,
            )  # fmt: skip
        if self.where == "back":
            return Phrase(
                "All outputs are finite. {layer} is the first layer that passes back a gradient "
                "which is not: {bad:,} of {count:,} numbers. The largest it was given is "
                "{largest:.3g}.",
                layer=layer, bad=self.bad, count=self.count, largest=self.largest,
            )  # fmt: skip
        if self.where == "weight":
            return Phrase(
                "All outputs are finite. The gradient of {layer} is the first that is not: {bad:,} "
                "of {count:,} numbers.",
                layer=layer, bad=self.bad, count=self.count,
            )  # fmt: skip
        if self.where == "loss":
            return Phrase(
                "The output of every layer is finite, the loss of them is not. The largest that "
                "the network puts out is {largest:.3g}.",
                largest=self.largest,
            )
        return Phrase(
            "Each gradient is finite, and their norm is not. The largest is {largest:.3g}, in "
            "{layer}.",
            largest=self.largest, layer=layer,
        )  # fmt: skip


class FirstNonFinite:
    """While the block lasts, every layer of a model is looked at, on the way there and back."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._handles: list[Any] = []
        self._origin: Origin | None = None
        self._first: Tensor | None = None
        """The gradient that was the first not to be finite."""
        self._inputs: dict[str, float] = {}
        self._given: dict[str, float] = {}
        self._out = 0.0
        self._largest = (0.0, "", "")
        self._offset = 0
        self._rows = 0
        self._told = -1
        """The offset of the last pass that the origin has its numbers of."""

    def origin(self) -> Origin:
        """Where it began, of a step that was not finite."""
        if self._origin is not None:
            return self._origin
        largest, layer, kind = self._largest
        if layer:
            return Origin(where="norm", layer=layer, kind=kind, largest=largest)
        return Origin(where="loss", layer="", kind="", largest=self._out)

    def __enter__(self) -> FirstNonFinite:
        add = self._handles.append
        add(self._model.register_forward_pre_hook(self._begun))
        for name, module in self._model.named_modules():
            add(module.register_forward_pre_hook(self._entered(name)))
            add(module.register_forward_hook(self._left(name)))
            for own, parameter in module.named_parameters(recurse=False):
                if parameter.requires_grad:
                    whole = f"{name}.{own}".lstrip(".")
                    hook = self._summed(whole, type(module).__name__)
                    add(parameter.register_post_accumulate_grad_hook(hook))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._handles:
            each.remove()

    def _begun(self, module: nn.Module, given: Any) -> None:
        """A pass begins: its samples come behind those of the passes before."""
        self._offset += self._rows
        first = next(_tensors(given), None)
        self._rows = len(first) if first is not None and first.ndim else 0

    def _entered(self, name: str) -> Callable[[nn.Module, Any], None]:
        def look(module: nn.Module, given: Any) -> None:
            # Before the layer is called: it may work in place.
            self._inputs[name] = max((_magnitude(each) for each in _tensors(given)), default=0.0)
            for each in _tensors(given):
                if each.requires_grad:
                    each.register_hook(self._back(name, type(module).__name__))

        return look

    def _left(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, given: Any, made: Any) -> None:
            for each in _tensors(made):
                if name == "":
                    self._out = max(self._out, _magnitude(each))
                if self._concerns("output", name) and not each.isfinite().all():
                    self._note("output", name, type(module).__name__, each, self._inputs[name])
                if each.requires_grad:
                    each.register_hook(self._came(name))

        return look

    def _came(self, name: str) -> Callable[[Tensor], None]:
        """The gradient that a layer is given."""

        def look(gradient: Tensor) -> None:
            self._given[name] = _magnitude(gradient)

        return look

    def _back(self, name: str, kind: str) -> Callable[[Tensor], None]:
        """The gradient that a layer passes back to one before it."""

        def look(gradient: Tensor) -> None:
            # A layer that holds others is entered before those within it: the last one that is
            # told of the same gradient is the innermost.
            if self._concerns("back", name) and not gradient.isfinite().all():
                self._first = gradient
            if self._first is gradient:
                self._note("back", name, kind, gradient, self._given.get(name, 0.0))

        return look

    def _summed(self, name: str, kind: str) -> Callable[[Tensor], None]:
        def look(parameter: Tensor) -> None:
            gradient = parameter.grad
            if gradient is None:
                return
            if self._origin is None and not gradient.isfinite().all():
                self._note("weight", name, kind, gradient, 0.0, rows=False)
            self._largest = max(self._largest, (_magnitude(gradient), name, kind))

        return look

    def _concerns(self, where: str, layer: str) -> bool:
        """Whether it may begin here, or has begun here in a pass before this one."""
        origin = self._origin
        if origin is None:
            return True
        return self._offset > self._told and (origin.where, origin.layer) == (where, layer)

    def _note(
        self,
        where: Literal["output", "back", "weight"],
        layer: str,
        kind: str,
        value: Tensor,
        largest: float,
        *,
        rows: bool = True,
    ) -> None:
        bad = ~value.detach().isfinite()
        samples: tuple[int, ...] = ()
        if rows and value.ndim and len(value) == self._rows:
            rows_of = bad.reshape(len(value), -1).any(1).nonzero().flatten()
            samples = tuple(self._offset + int(each) for each in rows_of)
        found = Origin(
            where=where, layer=layer, kind=kind, bad=int(bad.sum()), count=value.numel(),
            largest=largest, samples=samples,
        )  # fmt: skip
        before = self._origin if self._offset > self._told else None
        self._origin = found if before is None else _together(before, found)
        self._told = self._offset


def _together(before: Origin, now: Origin) -> Origin:
    """The same layer in the passes before and in this one."""
    return dataclasses.replace(
        before,
        bad=before.bad + now.bad,
        count=before.count + now.count,
        largest=max(before.largest, now.largest),
        samples=before.samples + now.samples,
    )


def _tensors(value: Any) -> Any:
    """The tensors of floats in what a layer is given or makes."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _magnitude(value: Tensor) -> float:
    """The largest magnitude of the numbers that are finite."""
    value = value.detach()
    found = value[value.isfinite()]
    return float(found.abs().max()) if found.numel() else 0.0
