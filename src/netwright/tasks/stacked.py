"""Several networks of one architecture as one: their weights stacked, one step for all.

    stack = Stack(tasks)            # n `Classification` tasks that differ in their seeds only
    stack.take(batches, step)       # what each of them would have told of its own step

A small network leaves a processor idle: most of a step is the overhead of some hundred small
operations. Stacked, each weight of n networks is one tensor (n, ...) and each operation is done
once for all (`torch.func.functional_call` under `torch.vmap`). The sum of the losses is
differentiated: no network's loss depends on another's weights, so each slice gets its own
gradient. The optimizers offered work element by element, hence one over the stacked weights
makes the same steps. Only the gradient's norm joins elements; it is taken by slice.

The tensors of each task's own network are views of its slice, so evaluating, averaging and
saving one of them need to know nothing of the others.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.func import functional_call
from torch.optim import Optimizer

from netwright.core.languages import Phrase
from netwright.data.batches import Batch
from netwright.tasks.classification import Classification, Update
from netwright.tasks.speed import Speed
from netwright.train.lockstep import Told
from netwright.train.task import NonFiniteError
from netwright.train.updates import set_rates

ELEMENTWISE = (
    optim.SGD,
    optim.Adam,
    optim.AdamW,
    optim.NAdam,
    optim.RMSprop,
    optim.Adagrad,
    optim.Adadelta,
)  # fmt: skip
"""Optimizers that treat each weight by itself, whatever tensor it lies in."""

# Largest memory that images, weights, gradients and optimizer states of all seeds may take.
_MOST_BYTES = 2 * 2**30


def why_not(task: Classification, count: int) -> Phrase | None:
    """Why `count` networks like that of `task` cannot be stacked; None when they can."""
    drawing = [each for each in task.model.modules() if _draws(each)]
    size = count * _pool_bytes(task) + 4 * count * sum(
        each.numel() * each.element_size() for each in task.model.parameters()
    )
    if type(task.optimizer) not in ELEMENTWISE or task.update.closure:
        return Phrase("its optimizer does not work weight by weight")
    if task.update != Update(clip=task.update.clip, spare=task.update.spare):
        return Phrase("a step of this recipe does more than a stack can")
    if drawing:
        return Phrase("{kind} draws random numbers in each step", kind=type(drawing[0]).__name__)
    if hasattr(task.model, "aux_logits"):
        return Phrase("its network has heads half-way")
    if task.transfer is not None:
        return Phrase("its stages are not all trained alike (transfer)")
    if task.watcher is not None:
        return Phrase("its schedule answers to the evaluations of each seed")
    if task.gradients.speed != Speed():
        return Phrase("its steps are computed in {speed}", speed=task.gradients.speed.words())
    if task.train.mixes:
        return Phrase("its augmentation mixes images")
    if not task.train.images.in_memory:
        return Phrase("its images are streamed")
    if size > _MOST_BYTES:
        return Phrase("{count} networks with their images need too much memory", count=count)
    return None


class Stack:
    """The weights of several tasks in one; `tasks` are those still in it.

    With `same_loss` the loss of the first task is taken for all, in one call if it allows that.
    """

    def __init__(self, tasks: Sequence[Classification], *, same_loss: bool = True) -> None:
        self._same_loss = same_loss
        self._rates = list(tasks[0].base_rates)
        # Without memory of its own: every weight comes from the stack.
        self._module = copy.deepcopy(tasks[0].model).to("meta").train()
        self._forward = torch.vmap(self._one, randomness="error")
        self._join(tasks)

    def _join(self, tasks: Sequence[Classification]) -> None:
        """Take the weights and optimizer states of `tasks` into one."""
        self.tasks = list(tasks)
        models = [task.model for task in tasks]
        with torch.no_grad():
            self._parameters = {
                name: _stacked([model.get_parameter(name) for model in models])
                for name, _ in models[0].named_parameters()
            }
            self._buffers = {
                name: _stacked([model.get_buffer(name) for model in models])
                for name, _ in models[0].named_buffers()
            }
        self._names = {id(each): name for name, each in models[0].named_parameters()}
        self._optimizer = self._stacked_optimizer()

    def take(self, batches: Sequence[Batch], step: int) -> list[Told | NonFiniteError]:
        """One step of every task; see `netwright.train.lockstep.Stepper`."""
        first = self.tasks[0]
        set_rates(self._optimizer, self._rates, first.rate_factor(step))
        images = torch.stack([batch.images for batch in batches])
        target = torch.stack([batch.target for batch in batches])
        logits = self._forward(self._parameters, self._buffers, images)
        losses = self._losses(logits, target)
        losses.sum().backward()
        trained = [each for each in self._parameters.values() if each.grad is not None]
        values, norms = losses.detach().tolist(), self._norms(trained)
        told: list[Told | NonFiniteError] = []
        for i, (value, norm) in enumerate(zip(values, norms, strict=True)):
            if math.isfinite(value + norm):
                self.tasks[i].tally.add(logits[i].detach(), batches[i].target)
                told.append({"loss": value, "grad/norm": norm})
            elif math.isfinite(value):
                told.append(NonFiniteError("the norm of the gradients", norm))
            else:
                told.append(NonFiniteError("loss", value))
        good = [i for i, each in enumerate(told) if not isinstance(each, NonFiniteError)]
        if len(good) < len(told):
            self._keep(good)
            norms = [norms[i] for i in good]
        if good:
            self._update(norms)
        return told

    def publish(self) -> None:
        """Each task's optimizer has its slice of the state; its weights are views already."""
        stacked = [one for group in self._optimizer.param_groups for one in group["params"]]
        for i, task in enumerate(self.tasks):
            own = [one for group in task.optimizer.param_groups for one in group["params"]]
            for whole, part in zip(stacked, own, strict=True):
                state = self._optimizer.state.get(whole)
                if state:
                    task.optimizer.state[part] = {
                        name: _slice(name, value, i) for name, value in state.items()
                    }
            for group, mine in zip(
                self._optimizer.param_groups, task.optimizer.param_groups, strict=True
            ):
                mine["lr"] = group["lr"]

    def _one(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor
    ) -> Tensor:
        logits: Tensor = functional_call(self._module, (parameters, buffers), (images,))
        return logits

    def _losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each network, (n,)."""
        if self._same_loss:
            try:
                together: Tensor = torch.vmap(self.tasks[0].gradients.loss)(logits, target)
                return together
            except (RuntimeError, ValueError):  # a loss that looks at its values: one by one
                self._same_loss = False
        each = zip(self.tasks, logits, target, strict=True)
        return torch.stack([task.gradients.loss(mine, wanted) for task, mine, wanted in each])

    def _norms(self, trained: Sequence[Tensor]) -> list[float]:
        """The norm of the whole gradient of each network."""
        parts = [each.grad.flatten(1).norm(dim=1) for each in trained if each.grad is not None]
        return torch.stack(parts).double().square().sum(0).sqrt().tolist()

    def _update(self, norms: Sequence[float]) -> None:
        clip = self.tasks[0].update.clip
        if clip is not None and max(norms) > clip:
            scale = [clip / (norm + 1e-6) if norm > clip else 1.0 for norm in norms]
            for each in self._parameters.values():
                if each.grad is not None:
                    factors = torch.tensor(scale, dtype=each.dtype, device=each.device)
                    each.grad.mul_(factors.view(-1, *[1] * (each.ndim - 1)))
        self._optimizer.step()
        for each in self._parameters.values():
            each.grad = None
        for task in self.tasks:
            if task.average is not None:
                task.average.update(task.model)

    def _keep(self, good: Sequence[int]) -> None:
        """Leave the tasks out whose numbers are not finite, between gradients and update."""
        self.publish()
        gradients = {name: each.grad for name, each in self._parameters.items()}
        staying = [self.tasks[i] for i in good]
        if not staying:
            self.tasks = []
            return
        self._join(staying)
        rows = torch.tensor(good, device=staying[0].device)
        for name, each in self._parameters.items():
            gradient = gradients[name]
            each.grad = gradient.index_select(0, rows) if gradient is not None else None

    def _stacked_optimizer(self) -> Optimizer:
        """The optimizer of the tasks, over the stacked weights, with the states they have.

        The groups are those of the tasks: a stacked bias has two dimensions, and would be
        decayed if it were judged anew.
        """
        first = self.tasks[0].optimizer
        groups = [
            {**group, "params": [self._parameters[self._names[id(p)]] for p in group["params"]]}
            for group in first.param_groups
        ]
        known = inspect.signature(type(first)).parameters
        defaults = {name: value for name, value in first.defaults.items() if name in known}
        make: Callable[..., Optimizer] = type(first)
        made = make(groups, **defaults)
        for g, group in enumerate(groups):
            for j, whole in enumerate(group["params"]):
                states = [
                    task.optimizer.state.get(task.optimizer.param_groups[g]["params"][j], {})
                    for task in self.tasks
                ]
                if states[0]:
                    made.state[whole] = {
                        name: _joined(name, [state[name] for state in states]) for name in states[0]
                    }
        return made


def _stacked(own: Sequence[Tensor]) -> Tensor:
    """(n, ...): the tensors of all networks, which become views of it."""
    whole = torch.stack([each.detach() for each in own])
    for i, each in enumerate(own):
        each.data = whole[i]
    return nn.Parameter(whole) if own[0].requires_grad else whole


_COUNTS = ("step", "mu_product")
"""What an optimizer keeps beside the moments: functions of the number of steps."""


def _joined(name: str, values: Sequence[Any]) -> Any:
    """One entry of the states of n optimizers as an entry of the stacked one."""
    first = values[0]
    if not isinstance(first, Tensor):
        return first
    if name in _COUNTS:  # n networks in a stack have taken as many steps
        return first.clone()
    return torch.stack([each.detach() for each in values])


def _slice(name: str, value: Any, i: int) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.clone() if name in _COUNTS else value[i]


_DRAWING = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)  # fmt: skip


def _draws(module: nn.Module) -> bool:
    """Whether a module draws random numbers when it trains."""
    return isinstance(module, nn.RReLU) or (isinstance(module, _DRAWING) and module.p > 0)


def _pool_bytes(task: Classification) -> int:
    pool = getattr(task.train.images, "pool", None)
    return pool.numel() * pool.element_size() if isinstance(pool, Tensor) else 0
