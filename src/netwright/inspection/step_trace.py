"""One step taken by a twin of a model, phase by phase, every storage entered in a ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.inspection.isolation import callers_autocast, explained
from netwright.inspection.pretended import Pretender
from netwright.inspection.step_loss import tensors_of, usual_loss
from netwright.inspection.step_optimizer import OptimizerChoice, bound
from netwright.inspection.storages import Ledger, Storage
from netwright.inspection.watching import Watch, with_storage


class StepTrace:
    """The phases of a step in the order of its methods; a context in which tensors are pretended.

    Storages get their kind as their part in the step comes out: what the forward pass made is
    `activations` if it is alive when the backward pass begins, else `passing`; what the backward
    pass made is a gradient of a weight if it ends as one, else of an activation.
    """

    def __init__(self, model: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        self.ledger = Ledger()
        self.pretender = Pretender()
        self.twin = self.pretender.model(model)
        self._args, self._kwargs = self.pretender.inputs((tuple(args), dict(kwargs)))
        self.watch = Watch(self.ledger, self._adopt)
        self.watch.follow(self.twin)
        for kind, tensors in (
            ("weights", self.twin.parameters()),
            ("buffers", self.twin.buffers()),
            ("inputs", tensors_of([self._args, self._kwargs])),
            ("buffers", self.pretender.made()),
        ):
            for tensor in tensors:
                self.ledger.admit(tensor, kind)
        self.entered = {kind: self._bytes(kind) for kind in ("weights", "buffers", "inputs")}
        self._outputs: list[Storage] = []

    def __enter__(self) -> Self:
        self.pretender.mode.__enter__()
        self.watch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.watch.__exit__(kind, error, trace)
        self.pretender.mode.__exit__(kind, error, trace)

    def infer(self) -> int:
        """A forward pass in evaluation mode without gradients; the bytes of its outputs."""
        self.twin.eval()
        self.watch.kind = "passing"
        with self._explained(), torch.no_grad(), callers_autocast():
            output = self.twin(*self._args, **self._kwargs)
        return sum(each.bytes for each in self._storages(output))

    def forward(self, loss: Callable[[Any], Tensor] | None) -> Tensor:
        """The loss of a forward pass in training mode. The output is held to the end, as by the
        variable of a training loop."""
        if not self.twin.training:
            self.twin.train()
        with self._explained(), callers_autocast():
            output = self.twin(*self._args, **self._kwargs)
            self.watch.phase = "loss"
            scalar: Any = usual_loss(output) if loss is None else loss(output)
        self._check(scalar, loss)
        self._outputs = self._storages(output)
        found: Tensor = scalar
        return found

    def saved(self) -> int:
        """Bytes of what the backward pass needs, each storage once; the output is let go of."""
        alive = [each for each in self.ledger.alive() if each.kind == "forward"]
        for each in self.ledger.storages:
            if each.kind == "forward":
                each.kind = "passing"
        for each in [*alive, *self._outputs]:
            if each.kind == "passing":
                each.kind = "activations"
        return sum(each.bytes for each in alive)

    def backward(self, scalar: Tensor) -> int:
        """The backward pass; the bytes of the gradients it leaves."""
        self.watch.phase, self.watch.kind = "backward", "activation_gradients"
        with self._explained():
            scalar.backward()
        found = {
            storage
            for each in self.twin.parameters()
            if each.grad is not None
            for part in with_storage(each.grad)
            if (storage := self.ledger.find(part))
        }
        for storage in found:
            storage.kind = "gradients"
        for each in self._outputs:
            each.died = None
        return sum(each.bytes for each in found)

    def optimize(self, choice: OptimizerChoice) -> int:
        """Two steps of the optimizer, of which the second counts; the bytes of its state."""
        self.watch.phase, self.watch.kind = "step", "passing"
        with self._explained():
            first = len(self.ledger.moments)
            optimizer = bound(choice, self.twin, self.pretender)  # Adagrad makes its state here
            if optimizer is None:
                return 0
            type(optimizer).step(optimizer)
            state = self.ledger.rewind(first, "optimizer_state")
            type(optimizer).step(optimizer)
        return state

    @property
    def output_bytes(self) -> int:
        return sum(each.bytes for each in self._outputs)

    def _check(self, scalar: Any, loss: object) -> None:
        if loss is None and scalar is None:
            raise SettingError(
                "There is nothing to train: no output of {model} has a gradient.",
                hint="Are all its weights frozen, or is its forward pass under no_grad?",
                model=type(self.twin).__name__,
            )
        if not isinstance(scalar, Tensor) or scalar.numel() != 1 or not scalar.requires_grad:
            raise SettingError(
                "The loss gives {found}, not a scalar with a gradient.",
                found=tuple(scalar.shape) if isinstance(scalar, Tensor) else type(scalar).__name__,
            )

    def _explained(self) -> Any:
        return explained(self.watch.place, lambda: self.watch.operation)

    def _adopt(self, tensor: Tensor) -> Tensor:
        """A real tensor that an operation met, a target in a loss perhaps: it was there before. An
        optimizer's is a number it makes a tensor of, such as the count of its steps."""
        if self.watch.phase == "step":
            made = self.pretender.passing(tensor)
            self.ledger.admit(made, "passing")
            return made
        twin = self.pretender.tensor(tensor)
        self.ledger.admit(twin, "inputs").born = 0
        return twin

    def _storages(self, output: Any) -> list[Storage]:
        found = [self.ledger.find(each) for each in tensors_of(output)]
        return list(dict.fromkeys(each for each in found if each is not None))

    def _bytes(self, kind: str) -> int:
        return sum(each.bytes for each in self.ledger.storages if each.kind == kind)
