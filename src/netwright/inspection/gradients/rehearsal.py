"""A network as one number, computed again and again in float64 with nothing else changed.

Each evaluation begins with the same weights, buffers, attributes and random numbers. Outputs are
contracted with fixed random numbers, so that one number depends on every entry of each.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import NetwrightError, SettingError
from netwright.core.unheard import unheard
from netwright.inspection.gradients.copies import copied, doubled, generators_in, mapped
from netwright.inspection.gradients.frozen import Replay
from netwright.inspection.gradients.precision import Precision
from netwright.inspection.gradients.reasons import Plan, Stage, refused
from netwright.inspection.gradients.slopes import noise_of
from netwright.inspection.gradients.states import States
from netwright.inspection.gradients.subjects import Subject, input_names, of_parameters
from netwright.inspection.step_loss import tensors_of

Move = Sequence[tuple[Subject, Tensor]]
"""Tensors, and the direction in which each goes."""

DOMAIN = (RuntimeError, ValueError, ArithmeticError, AssertionError)
"""What a function raises of numbers that it is not for."""

SAME = 1e-9
"""How far two evaluations of one thing may be apart, as a share: sums in another order."""


class Rehearsal:
    """`function(*args, **kwargs)`, or a loss of it, as a function of its tensors.

    The caller's module and tensors are copied, so nothing of theirs changes. Raises `SettingError`
    for what does not compute in float64, gives no number, or another one each time.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        loss: Callable[..., Any] | None = None,
        target: Any = None,
    ) -> None:
        self.name = _name(function)
        self._plan = Plan(self.name, function, args, kwargs, loss, target)
        self.evaluations = 0
        self._modules: list[nn.Module] = []
        self._subjects: list[Subject] = []
        self._function = self._taken(function, "")
        self._args, self._kwargs = self._inputs(function, args, kwargs)
        self._loss = self._taken(loss, "loss.") if loss is not None else None
        self._target = mapped(target, lambda each, _: doubled(each))
        self._states = States(self._modules)
        self._replay = Replay([g for module in self._modules for g in generators_in(module)])
        self._weights: dict[int, Tensor] = {}
        self._kept: tuple[int, ...] | None = None
        self._graph = False  # whether values, too, are computed with gradients on
        self._stage: Stage = "forward"
        if not self.subjects:
            raise SettingError(
                "{kind} has no tensor of real numbers whose gradient is wanted.",
                hint="Give it one as an input; a tensor that it closes over is not seen.",
                kind=self.name,
            )
        self._begin()

    @property
    def subjects(self) -> list[Subject]:
        """The tensors whose gradients are wanted, inputs first."""
        return [each for each in self._subjects if each.wanted]

    @property
    def left_out(self) -> list[Subject]:
        """Those whose gradients nobody wants."""
        return [each for each in self._subjects if not each.wanted]

    def gradients(self) -> list[Tensor | None]:
        """Backprop: one gradient for each of the subjects; None where none arrives."""
        for each in self._subjects:
            each.tensor.grad = None
        with self._again(), torch.enable_grad():
            found = self._number(self._compute())
            self._stage = "backward"
            found.backward()
        self.value_with_graph = float(found.detach())
        gradients = [each.tensor.grad for each in self.subjects]
        for each in self._subjects:
            each.tensor.grad = None
        return [
            None if each is None else (each.to_dense() if each.is_sparse else each).detach()
            for each in gradients
        ]

    def value(self, move: Move = (), t: float = 0.0) -> float:
        """The number after each tensor of `move` went `t` times its direction."""
        with torch.no_grad():
            for subject, direction in move:
                torch.add(subject.base, direction, alpha=t, out=subject.tensor)
        try:
            with self._again(), torch.set_grad_enabled(self._graph):
                return float(self._number(self._compute()).detach())
        except DOMAIN:
            if not move:
                raise
            return math.nan  # a function that refuses what lies beside its input
        finally:
            with torch.no_grad():
                for subject, _ in move:
                    subject.tensor.copy_(subject.base)

    def noise(self, move: Move) -> float:
        """The rounding error of a value, from values along `move` too near to differ else; those
        of a coarser type stay the same for longer, so they are taken further apart."""
        apart = 10 * torch.finfo(self.precision).eps if self._coarse else 1e-12
        values = [self.value(move, number * apart) for number in range(1, 7 if self._coarse else 6)]
        finite = [each for each in values if math.isfinite(each)]
        found = noise_of(finite, least=3 if self._coarse else 2)
        return max(found, 1e-16 * max(map(abs, finite), default=0.0), 1e-300)

    @property
    def _coarse(self) -> bool:
        return self.precision != torch.float64

    @contextlib.contextmanager
    def beside(self, generator: torch.Generator, amount: float) -> Iterator[None]:
        """In the block all tensors stand a little beside where they were, where no kink is."""
        before = [each.base for each in self.subjects]
        try:
            with torch.no_grad():
                for each in self.subjects:
                    each.base = each.base + amount * each.direction(generator)
                    each.tensor.copy_(each.base)
            yield
        finally:
            with torch.no_grad():
                for each, base in zip(self.subjects, before, strict=True):
                    each.base = base
                    each.tensor.copy_(base)

    def _taken(self, function: Callable[..., Any], prefix: str) -> Callable[..., Any]:
        """The function itself, or a copy of a module, whose parameters become subjects."""
        if not isinstance(function, nn.Module):
            return function
        made = copied(function)
        self._modules.append(made)
        self._subjects += of_parameters(made, prefix)
        return made

    def _inputs(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """The arguments in float64, with a subject in place of each tensor with a point."""
        given = tensors_of([*args, *kwargs.values()])
        marked = any(each.requires_grad for each in given)
        alone = not isinstance(function, nn.Module)
        found: list[Subject] = []

        def change(tensor: Tensor, path: str) -> Any:
            if not (tensor.is_floating_point() or tensor.is_complex()):
                return tensor.detach().clone()
            wanted = tensor.requires_grad or not marked
            if tensor.is_meta:
                raise SettingError(
                    "{kind} is on the meta device, so it holds no values.", kind=path
                )
            subject = Subject(
                name=path,
                role="input",
                tensor=doubled(tensor).requires_grad_(wanted),
                wanted=wanted,
                lenient=not tensor.requires_grad and not alone,
            )
            found.append(subject)
            return subject.tensor

        names = input_names(function, len(args))
        made = [mapped(each, change, path) for each, path in zip(args, names, strict=True)]
        named = {key: mapped(each, change, key) for key, each in kwargs.items()}
        self._subjects = found + self._subjects
        return made, named

    def _compute(self) -> Any:
        """One forward pass; what it is given are copies, so it may write into them."""
        self.evaluations += 1
        self._stage = "forward"
        args = [mapped(each, lambda tensor, _: tensor.clone()) for each in self._args]
        kwargs = {k: mapped(v, lambda tensor, _: tensor.clone()) for k, v in self._kwargs.items()}
        output = self._function(*args, **kwargs)
        if self._loss is None:
            return output
        self._stage = "loss"
        if self._target is None:
            return self._loss(output)
        return self._loss(output, mapped(self._target, lambda tensor, _: tensor.clone()))

    def _number(self, output: Any) -> Tensor:
        """Outputs times fixed random numbers, summed; a loss as it is."""
        tensors = [each for each in tensors_of(output) if each.is_floating_point()
                   or each.is_complex()]  # fmt: skip
        if self._loss is not None and not tensors:
            raise SettingError(
                "The loss gives {kind}, which carries no gradient: expected a tensor of one "
                "number.",
                kind=type(output).__name__,
            )
        if self._loss is not None and (len(tensors) != 1 or tensors[0].numel() != 1):
            raise SettingError(
                "The loss has the shape {shape}: expected one number.",
                hint="Take its mean: reduction='mean', or .mean() at the end.",
                shape=tuple(tensors[0].shape),
            )
        if self._kept is None:
            self._kept = tuple(n for n, each in enumerate(tensors) if each.requires_grad)
        if not self._kept or max(self._kept) >= len(tensors):
            raise SettingError(
                "{kind} returns nothing that carries a gradient.",
                hint="Is it detached, turned into a number, or computed under torch.no_grad()?",
                kind=self.name,
            )
        if not any(tensors[number].numel() for number in self._kept):
            raise SettingError(
                "{kind} gives no number for this input: nothing can be compared.",
                hint="Give it a batch with samples in it.",
                kind=self.name,
            )
        if self._loss is not None:
            return tensors[0].reshape(())
        parts = []
        for number in self._kept:
            each = tensors[number]
            real = torch.view_as_real(each) if each.is_complex() else each
            real = real.to_dense() if real.layout is not torch.strided else real
            parts.append((real * self._cotangent(number, real)).sum())
        return torch.stack([part.to(parts[0]) for part in parts]).sum()

    def _cotangent(self, number: int, like: Tensor) -> Tensor:
        """Normal random numbers, the same in every evaluation."""
        known = self._weights.get(number)
        if known is None or known.shape != like.shape:
            generator = torch.Generator().manual_seed(number)
            drawn = torch.randn(like.shape, generator=generator, dtype=torch.float64)
            known = (drawn / max(1, like.numel()) ** 0.5).to(like.device)
            self._weights[number] = known
        return known

    @contextlib.contextmanager
    def _again(self) -> Iterator[None]:
        """Random numbers as at the beginning before the block, what modules keep after it."""
        self._replay.again()
        with self._states.kept((each.tensor, each.base) for each in self._subjects):
            yield

    def _begin(self) -> None:
        """The first passes, which say whether there is a function here at all."""
        try:
            with unheard(), Precision() as seen:
                self.first = self.gradients()
        except NetwrightError:
            raise
        except Exception as error:
            raise refused(error, self._stage, self._plan) from error
        self._replay.narrow()
        self.precision = seen.coarsest
        try:
            self._graph = not self._alike(self.value())
        except RuntimeError:  # a network that takes gradients itself needs them on
            self._graph = True
        if self._graph and not self._alike(self.value()):
            raise SettingError(
                "{kind} gives another number each time for the same input: {first} and {second}.",
                hint="What it keeps from one call to the next must lie in its attributes and "
                "buffers, or be left out.",
                kind=self.name,
                first=self.value_with_graph,
                second=self.value(),
            )

    def _alike(self, value: float) -> bool:
        if not math.isfinite(self.value_with_graph):
            raise SettingError(
                "{kind} gives {value} for this input: there is no gradient to be checked.",
                kind=self.name,
                value=self.value_with_graph,
            )
        return math.isclose(value, self.value_with_graph, rel_tol=SAME, abs_tol=1e-12)


def _name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):
        return owner.__name__
    return str(getattr(function, "__name__", None) or type(function).__name__)
