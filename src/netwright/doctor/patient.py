"""Who is looked at: a model, its optimizers, its loss on some batches, and its data if known.

The patient does not say whose loop it lives in. A check-up and a watch look at the same patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.core.errors import SettingError
from netwright.doctor.deadline import Deadline
from netwright.doctor.quiet import RandomState, Surroundings
from netwright.doctor.tape import Call, Cut, Objective, Tape, objective
from netwright.records.facts.setup import Setup

T = TypeVar("T")


@dataclass(eq=False)
class Sample:
    """One batch on its way to the loss: `objective` computes it again.

    `inputs` are the tensors that go into the first call of the model, `output` the first tensor
    that comes out of the last; `target` is what the loss compares it with, None where nothing of
    the kind was seen. `loss_call` is the call of the loss function on the tape. `scale` is what
    the value was multiplied with before the backward pass (loss scaling, accumulation).
    """

    objective: Objective
    inputs: tuple[Tensor, ...]
    output: Tensor | None
    target: Tensor | None
    loss_call: Call | None
    random: RandomState
    surroundings: Surroundings
    loss: float
    scale: float = 1.0
    step: int = 0
    cuts: tuple[Cut, ...] = ()
    """Calls between the model and the loss behind which there is no gradient."""
    besides: bool = False
    """Whether the loss has a gradient that comes from elsewhere than the model's output."""
    kept_size: int | None = None
    """The size of a batch that was let go."""

    def let_go(self) -> None:
        """Keep no tensor: a batch with all that was made of it may take as much memory as the
        network. The name of the loss, its value and the size of the batch stay."""
        self.kept_size = self.size
        call = self.loss_call
        self.loss_call = None if call is None else Call(call.run, (), {}, None)
        self.objective = Objective((), self.objective.loss.detach())
        self.inputs, self.cuts = (), ()
        self.output = self.target = None

    @property
    def size(self) -> int:
        """The number of samples of the batch."""
        if self.kept_size is not None:
            return self.kept_size
        first = next((each for each in self.inputs if each.ndim), None)
        return 0 if first is None else len(first)


Batches = Callable[[], Iterable[tuple[Tensor, Tensor | None]]]
"""Gives (inputs, target) in the order they are fed, from the beginning each time it is called."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data of one split. `batches` may be called again and again and changes nothing of the run;
    `samples` is how many there are, `shuffled` whether the loop shuffles, None where not known."""

    name: str
    batches: Batches
    samples: int | None = None
    batch: int | None = None
    shuffled: bool | None = None
    dropped: int = 0
    """Samples that are never fed because the last batch is left out."""
    plain: Batches | None = None
    """The same samples without random augmentation, where the data can give them."""
    rows: Callable[[], Sequence[int]] | None = None
    """Where each sample of `batches` stands in the data that were handed over, where these come in
    another order."""


@dataclass(eq=False, kw_only=True)
class Patient:
    model: nn.Module
    optimizers: tuple[Optimizer, ...]
    setup: Setup
    samples: list[Sample] = field(default_factory=list)
    train: Source | None = None
    val: Source | None = None
    schedulers: tuple[Any, ...] = ()
    given: tuple[Any, ...] = ()
    """Schedulers that somebody said the loop steps, whatever optimizer they are of."""
    foreign: frozenset[int] = frozenset()
    """What the optimizers of other patients hold, by `id`."""
    deadline: Deadline = field(default_factory=Deadline)
    """What probes keep to; it never comes unless a check-up sets one."""
    workings: dict[str, Any] = field(default_factory=dict)
    """What one probe computed and another one needs too; a check-up empties it at its end."""
    remembered: dict[Any, Any] = field(default_factory=dict)
    """What was worked out of the data alone. Who trains another network on the same data hands it
    on, and it is not worked out again."""

    def of_data(self, what: str, work: Callable[[], T], *besides: object) -> T:
        """What `work` makes of `train` and `val` as they are, and of `besides`, but of nothing of
        the network. Where something was shed for want of time it is not remembered."""
        key = (what, id(self.train), id(self.val), *besides)
        if key in self.remembered:
            found: T = self.remembered[key][0]
            return found
        shed = len(self.deadline.shed)
        made = work()
        if self.train is not None and len(self.deadline.shed) == shed:
            # The sources too: as long as they are alive nothing else has their `id`.
            self.remembered[key] = (made, self.train, self.val)
        return made

    @property
    def sample(self) -> Sample | None:
        """The first batch."""
        return self.samples[0] if self.samples else None

    def path_of(self, parameter: Tensor) -> str:
        """The path of a parameter in the model, "" if it is not there."""
        return self.paths.get(id(parameter), "")

    @property
    def paths(self) -> dict[int, str]:
        return {id(each): name for name, each in self.model.named_parameters()}


def rowwise(tensor: Tensor) -> bool:
    """Whether its rows can be cut out and read: sparse, nested and unreal tensors have none."""
    return tensor.layout is torch.strided and not tensor.is_nested and not tensor.is_meta


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor in a value, whatever holds it."""
    return next(iter(tensors_in(value)), None)


def tensors_in(value: Any, depth: int = 6) -> Iterable[Tensor]:
    """The tensors in nested tuples, lists, dicts and data classes."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, dict):
        for each in value.values():
            yield from tensors_in(each, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each, depth - 1)
    elif depth and hasattr(value, "__dict__") and not isinstance(value, nn.Module | type):
        for each in vars(value).values():
            yield from tensors_in(each, depth - 1)


LOSSES = (
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss",
    "gaussian_nll_loss", "hinge_embedding_loss", "multilabel_margin_loss", "soft_margin_loss",
    "multilabel_soft_margin_loss", "multi_margin_loss", "margin_ranking_loss", "ctc_loss",
    "cosine_embedding_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
)  # fmt: skip
"""Functions of torch that are losses: the first argument is judged by the second."""

OVER_CLASSES = ("cross_entropy", "nll_loss", "multi_margin_loss")
"""Those whose input is (N, C, ...), one score for each class."""


def losses_of(objective: Objective) -> tuple[Call, ...]:
    """The calls of torch's losses on the way to a loss; where the loop made none, those that were
    heard inside its modules."""
    return tuple(each for each in objective.calls if each.name in LOSSES) or objective.inside


def sample_of(
    objective: Objective, *, random: RandomState, surroundings: Surroundings, step: int = 0
) -> Sample:
    """The sample that an objective was noted on: its inputs, its output, its target."""
    modules = objective.modules
    inputs = tuple(tensors_in((modules[0].args, modules[0].kwargs)))
    calls = losses_of(objective)
    loss_call = calls[0] if calls else None
    output, target = first_tensor(modules[-1].result), None
    if loss_call is not None:
        given = (*loss_call.args, *loss_call.kwargs.values())
        pair = [each for each in given if isinstance(each, Tensor)]
        output = pair[0] if pair else output
        target = pair[1] if len(pair) > 1 else None
        if target is not None and loss_call in objective.inside:
            target = _handed(objective, target)
    loss = float(objective.loss.detach())
    scale = 1.0
    if len(calls) == 1 and isinstance(loss_call.result, Tensor) and loss_call.result.ndim == 0:  # type: ignore[union-attr]
        bare = float(loss_call.result.detach())  # type: ignore[union-attr]
        if bare and _after(objective, calls[0]) <= 2:
            scale = loss / bare
    return Sample(
        objective=objective,
        inputs=inputs,
        output=output,
        target=target,
        loss_call=loss_call,
        random=random,
        surroundings=surroundings,
        loss=loss / scale,
        scale=scale,
        step=step,
    )


def _handed(objective: Objective, target: Tensor) -> Tensor | None:
    """The tensor that the loop itself handed over, of which a loss inside a module saw a view."""
    for call in objective.calls:
        for each in tensors_in((call.args, call.kwargs), 3):
            alike = each.dtype == target.dtype and each.numel() == target.numel()
            if each is target or (alike and each.data_ptr() == target.data_ptr()):
                return each
    return None


def _after(objective: Objective, loss_call: Call) -> int:
    """The calls that follow on that of the loss itself."""
    for place, each in enumerate(objective.calls):
        made = tensors_in(each.result, 3) if loss_call in objective.inside else ()
        if each is loss_call or any(one is loss_call.result for one in made):
            return len(objective.calls) - place - 1
    return len(objective.calls)


def noted(
    model: nn.Module,
    loss_fn: Callable[..., Tensor],
    args: Sequence[Any],
    target: Any,
    *,
    tape: Tape | None = None,
) -> Sample:
    """The sample of `loss_fn(model(*args), target)`, computed once with gradients. A `tape` of the
    caller's knows which call it was, if one raises (`doctor.failing`)."""
    tape = tape if tape is not None else Tape()
    random, surroundings = RandomState(), Surroundings.now()
    with torch.enable_grad():
        output = model(*args)
        tape.note(model, args, {}, output)
        tape.on()
        try:
            loss = loss_fn(output, target)
        finally:
            tape.off()
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise SettingError(
            "The loss must give one number, a tensor without axes, not {kind}.",
            hint="Average or sum it; of several losses in a dictionary give their sum.",
            kind=shape,
        )
    found = objective(tape, loss)
    if found is None:
        # The loss does not depend on the output by any call that was seen: keep the two calls.
        found = Objective((tape.calls[0], Call(loss_fn, (output, target), {}, loss)), loss)
    sample = sample_of(found, random=random, surroundings=surroundings)
    sample.cuts = tuple(tape.cuts)
    return sample
