"""The tensors a gradient is checked of: their names, and how far each is moved."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.records.gradients import Role


@dataclass(kw_only=True, eq=False)
class Subject:
    """An input or parameter in float64, as a leaf that takes a gradient where it is `wanted`.

    `lenient`: nobody asked for its gradient, so there may be none. `rows_apart` are rows that get
    no gradient by design, `fixed` entries that are not moved.
    """

    name: str
    role: Role
    tensor: Tensor
    wanted: bool = True
    lenient: bool = False
    rows_apart: tuple[int, ...] = ()
    also: tuple[str, ...] = ()
    fixed: Tensor | None = None
    base: Tensor = field(init=False)
    size: float = field(init=False)
    whole: bool = field(init=False)

    def __post_init__(self) -> None:
        if self.tensor.is_complex():
            raise SettingError(
                "{name} holds complex numbers: only gradients of real ones are checked.",
                hint="Give its real and imaginary parts (torch.view_as_real) as inputs of a "
                "function that puts them together.",
                name=self.name,
            )
        self.base = self.tensor.detach().clone()
        there = torch.isfinite(self.base)
        self.whole = bool(there.all())
        finite = self.base if self.whole else self.base[there]
        rms = float(finite.square().mean().sqrt()) if finite.numel() else 0.0
        self.size = rms if rms > 0 else 1.0

    def direction(self, generator: torch.Generator) -> Tensor:
        """Every entry moved, by half to one and a half times the usual size of an entry."""
        signs = torch.randint(0, 2, self.base.shape, generator=generator) * 2 - 1
        sizes = torch.rand(self.base.shape, generator=generator, dtype=torch.float64) + 0.5
        return self._kept((signs * sizes * self.size).to(self.base))

    def entry(self, index: int) -> Tensor:
        """The entry with this number moved alone."""
        made = torch.zeros_like(self.base, memory_format=torch.contiguous_format)
        made.view(-1)[index] = self.size
        return self._kept(made)

    def _kept(self, direction: Tensor) -> Tensor:
        if not self.whole:
            direction = torch.where(torch.isfinite(self.base), direction, 0.0)
        for row in self.rows_apart:
            direction[row] = 0.0
        if self.fixed is not None:
            direction = direction.masked_fill(self.fixed, 0.0)
        return direction


def of_parameters(model: nn.Module, prefix: str = "") -> list[Subject]:
    """The parameters of a copy, each tensor once under its first name."""
    names: dict[int, list[str]] = {}
    for name, each in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(each), []).append(prefix + name)
    padded: dict[int, tuple[int, ...]] = {}
    for module in model.modules():
        row = getattr(module, "padding_idx", None)
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and row is not None:
            padded[id(module.weight)] = (row,)  # torch gives that row no gradient, ever
    found = []
    for each in model.parameters():
        first, *others = names[id(each)]
        if each.is_floating_point() or each.is_complex():
            found.append(
                Subject(
                    name=first,
                    role="parameter",
                    tensor=each,
                    wanted=each.requires_grad,
                    rows_apart=padded.get(id(each), ()),
                    also=tuple(others),
                )
            )
    return found


def input_names(function: Callable[..., Any], count: int) -> list[str]:
    """What `forward` calls its arguments by position.

    >>> input_names(lambda x, *rest: x, 3)
    ['x', 'rest.0', 'rest.1']
    """
    called: Any = function.forward if isinstance(function, nn.Module) else function
    owner = getattr(function, "__self__", None)
    apart = 0
    if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
        called = owner.forward
        # With `setup_context` forward takes no context.
        apart = int(owner.setup_context is torch.autograd.Function.setup_context)
    try:
        parameters = list(inspect.signature(called).parameters.values())[apart:]
    except (TypeError, ValueError):  # a built-in that does not tell
        parameters = []
    names: list[str] = []
    for each in parameters:
        if each.kind is each.VAR_POSITIONAL:
            names += [f"{each.name}.{number}" for number in range(count - len(names))]
        elif each.kind is not each.KEYWORD_ONLY:
            names.append(each.name)
    return [*names, *(f"input{number}" for number in range(len(names), count))][:count]
