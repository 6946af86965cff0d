"""Does backprop give the derivative? `nw.check_gradients`: numeric differences beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.core.unheard import unheard
from netwright.inspection.gradients.blame import WRONG, blamed
from netwright.inspection.gradients.examination import Examination
from netwright.inspection.gradients.frozen import seeded
from netwright.inspection.gradients.rehearsal import Rehearsal
from netwright.inspection.inputs import is_shape, with_samples
from netwright.inspection.isolation import isolated
from netwright.inspection.refusals import opened
from netwright.records.gradients import FAULTS, GradientRecord, GradientRow, Worst
from netwright.report.gradient_table import gradient_lines

TOLERANCE = 1e-6
SAMPLES = 2
"""In the batch that is drawn for the shape of a sample; a norm over the batch needs two."""


class GradientCheck:
    """What `nw.check_gradients` found: true where every gradient is right.

    `record` holds all facts; printed it is a table with what is wrong under it.
    """

    def __init__(self, record: GradientRecord) -> None:
        self.record = record

    @property
    def ok(self) -> bool:
        """Whether no gradient is wrong, all are finite, and none could not be judged; kinks are no
        errors."""
        return self.record.ok

    @property
    def worst(self) -> Worst | None:
        """The row that is furthest off: `name`, `error`, `bound`; None if none was compared."""
        return self.record.worst

    @property
    def table(self) -> tuple[GradientRow, ...]:
        """A row for each input and each parameter."""
        return self.record.rows

    @property
    def blamed(self) -> tuple[str, ...]:
        """The layers whose own backward pass is wrong, by their paths; "" is the whole."""
        return self.record.blamed

    def to_json(self) -> dict[str, Any]:
        """All facts as what JSON can hold."""
        return self.record.to_json()

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join(gradient_lines(self.record))

    def __repr__(self) -> str:
        wrong = [each.name for each in self.table if each.verdict in FAULTS]
        return f"GradientCheck({self.record.name}: {'ok' if self.ok else 'wrong'} {wrong or ''})"


def check_gradients(
    module_or_function: nn.Module | Callable[..., Any],
    *inputs: Any,
    loss: Callable[..., Tensor] | None = None,
    target: Any = None,
    directions: int = 2,
    entries: int = 1,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    **kwargs: Any,
) -> GradientCheck:
    r"""Compare backprop with numeric derivatives, for each input and each parameter.

    `module_or_function` is a network, a layer, a function of tensors or a
    `torch.autograd.Function`; `inputs` and `kwargs` are what it is called with, tensors however
    they are nested. For a module a tuple of ints is the shape of one sample: a batch of two
    random ones is drawn. All is done on a copy in float64, in the mode the module is in, with the
    same random numbers in every evaluation: dropout drops the same units. Nothing of the caller's
    changes. If inputs have `requires_grad`, those are checked, else all with real numbers.

    With `g` the gradient by backprop and `d` a random direction, `g · d` is compared with the
    central difference :math:`(f(x + h d) - f(x - h d)) / 2h`, extrapolated over two steps, for
    `directions` directions over whole tensors and `entries` single entries of each; steps shrink
    until the derivative is known. Outputs are contracted with fixed random numbers, or by
    `loss(output)`, with a `target` by `loss(output, target)`. An error counts when it exceeds both
    what the numeric derivative is known to and `tolerance` times the size of the gradient. At a
    kink, where a function has no derivative, backprop is judged beside it.

    Raises `SettingError` for complex inputs, and for what does not compute in float64, cannot be
    copied, returns nothing with a gradient, or gives another number each time.

    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         return grad * ctx.saved_tensors[0]  # a factor of 2 is missing
    >>> found = check_gradients(Square, torch.tensor([1.0, 2.0, 3.0]))
    >>> found.ok, found.worst.name, round(found.table[0].ratio, 6)
    (False, 'x', 0.5)
    >>> check_gradients(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (4,)).ok
    True
    """
    function = _callable(module_or_function)
    if directions < 1 or entries < 0 or not 0 < tolerance < 1:
        raise SettingError(
            "Expected directions of 1 and more, entries of 0 and more, and a tolerance between 0 "
            "and 1, not {directions}, {entries} and {tolerance}.",
            directions=directions,
            entries=entries,
            tolerance=tolerance,
        )
    if loss is None and target is not None:
        kwargs = {**kwargs, "target": target}  # then it is an argument of the function's own
        target = None
    if isinstance(loss, type):
        raise SettingError("{kind} is a class; expected an instance of it.", kind=loss.__name__)
    if isinstance(function, nn.Module):
        inputs = _drawn(inputs, seed)
    with surroundings(seed):
        rehearsal = Rehearsal(function, inputs, kwargs, loss=loss, target=target)
        examination = Examination(
            rehearsal, directions=directions, entries=entries, tolerance=tolerance, seed=seed
        )
        rows = examination.rows()
        found: tuple[str, ...] = ()
        unsearched: tuple[str, ...] = ()
        if isinstance(function, nn.Module) and any(e.verdict in WRONG for e in rows):
            found, unsearched = blamed(function, inputs, kwargs, tolerance=tolerance, seed=seed)
    return GradientCheck(
        GradientRecord(
            name=rehearsal.name,
            rows=tuple(rows),
            evaluations=rehearsal.evaluations,
            noise=examination.noise,
            precision=str(rehearsal.precision).removeprefix("torch."),
            blamed=found,
            unsearched=unsearched,
        )
    )


@contextlib.contextmanager
def surroundings(seed: int) -> Iterator[None]:
    """New tensors are float64, nothing is cast, nothing printed, and all is put back afterwards."""
    kept, fast = torch.get_default_dtype(), torch.backends.mha.get_fastpath_enabled()
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolated())
        stack.enter_context(seeded(seed))
        stack.enter_context(unheard())
        for kind in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            stack.enter_context(torch.autocast(kind, enabled=False))
        try:
            torch.set_default_dtype(torch.float64)
            torch.backends.mha.set_fastpath_enabled(False)
            yield
        finally:
            torch.set_default_dtype(kept)
            torch.backends.mha.set_fastpath_enabled(fast)


def _callable(given: Any) -> Callable[..., Any]:
    if isinstance(given, type) and issubclass(given, torch.autograd.Function):
        return given.apply
    if isinstance(given, nn.Module):
        return opened(given, [])
    if isinstance(given, type) and issubclass(given, nn.Module):
        raise SettingError("{kind} is a class; expected an instance of it.", kind=given.__name__)
    if not callable(given):
        raise SettingError(
            "nw.check_gradients takes a torch.nn.Module or a function, not {kind}.",
            hint="A network by its name: netwright check NAME --gradients",
            kind=type(given).__name__,
        )
    return given


def _drawn(inputs: Sequence[Any], seed: int) -> tuple[Any, ...]:
    with_samples(tuple(inputs))  # says what is wrong with a shape
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn((SAMPLES, *each), generator=generator) if is_shape(each) else each
        for each in inputs
    )
