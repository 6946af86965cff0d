"""Is everything finite? One cheap look a step; on the first bad value the step is run again.

Looked at are the loss and the gradient of one small parameter of the first layer, through which
every bad gradient of the layers after it has come. On a processor they are read before the step is
taken. On a graphics card reading would wait for it: there the answer for one step is fetched while
the next is under way, and the weights of the step before are kept beside.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.patient import tensors_in
from netwright.doctor.quiet import RandomState, Surroundings, quiet
from netwright.doctor.tape import Tape, objective
from netwright.doctor.watching.book import LARGEST
from netwright.doctor.watching.replay import backward_origin, forward_origin, place
from netwright.records.facts.nonfinite import NonFinite

KEPT = 50_000_000
"""Parameters up to which a copy is kept on a graphics card, so that a step can be run again."""

FEW = 64
"""Values of a gradient that are read one by one."""

PATIENCE = 8
"""Bad losses one after another that a loss scaler is given to find its scale."""


@dataclass(eq=False)
class Taped:
    """One backward of a step: the tape that led to its loss, and how it began."""

    tape: Tape
    loss: Tensor
    begin: RandomState
    surroundings: Surroundings


class Finite:
    """Looks at one model's steps until the first bad one."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self.fact: NonFinite | None = None
        self.fallback: Callable[[], list[Taped]] = list
        """What is known of a step that was not taped: the call of the model alone."""
        self._model = model
        self._optimizers = optimizers
        self._probe: Tensor | None = None
        self._chosen = False
        self.harmless = 0
        self._scaled = 0
        # Of the step before, on a graphics card
        self._flag: tuple[Tensor, Any] | None = None
        self._taped: list[Taped] = []
        self._step = 0
        self._kept: list[Tensor] | None = None

    @property
    def few(self) -> Tensor | None:
        """The parameter whose gradient is looked at, where that is read value by value."""
        probe = self._probe
        if probe is None or probe.ndim != 1 or not probe.is_cpu or probe.is_complex():
            return None
        return probe if probe.numel() <= FEW else None

    def forget(self) -> None:
        """Look on as if nothing bad had been seen: the weights are those of before."""
        self.fact = None
        self.harmless = self._scaled = 0
        self._flag, self._taped = None, []

    def fine(self, loss: float) -> bool:
        """Whether the loss and the gradient of a step are finite, on a processor; where they do not
        seem so they are to be looked at more closely."""
        if self.fact is not None:
            return True
        gradient = self._gradient()
        if gradient is not None:
            # Of a few values a list is made in half the time of a sum.
            few = gradient.numel() <= FEW
            loss += sum(gradient.tolist()) if few and gradient.ndim == 1 else gradient.sum().item()
        if not math.isfinite(loss):
            return False
        self.harmless = 0
        return True

    def due(
        self, step: int, losses: Sequence[Tensor], taped: Sequence[Taped], *, replay: bool
    ) -> bool:
        """Called when step `step` is about to be taken: True if a bad value was found just now.

        `replay` says whether the model may be run again.
        """
        if self.fact is not None:
            return False
        gradient = self._gradient()
        last = losses[-1:]  # those before it, of an accumulation, are in the gradient
        seen = last if gradient is None else [*last, gradient]
        if not seen:
            return False
        if not any(each.is_cuda for each in seen):
            values = [float(each) for each in last]
            bad_loss = any(not math.isfinite(each) for each in values)
            bad_gradient = gradient is not None and not math.isfinite(_total(gradient))
            if not bad_loss and not bad_gradient:
                self.harmless = 0
                return False
            nan = any(math.isnan(each) for each in values)
            return self._found(step, taped, None, nan=nan, replay=replay)
        return self._later(step, seen, taped, replay=replay)

    def _later(
        self, step: int, seen: Sequence[Tensor], taped: Sequence[Taped], *, replay: bool
    ) -> bool:
        """The answer for the step before, fetched while this one is under way."""
        if self._flag is not None:
            flag, event = self._flag
            event.synchronize()  # the device has this step's work before it already
            if bool(flag):
                nan = any(math.isnan(float(each.loss.detach())) for each in self._taped)
                if self._found(self._step, self._taped, self._kept, nan=nan, replay=replay):
                    return True
        with torch.no_grad():
            device = seen[0].device
            sums = torch.stack([each.detach().float().sum().to(device) for each in seen])
            bad = ~torch.isfinite(sums).all()
            host = torch.empty((), dtype=torch.bool, pin_memory=True)
            host.copy_(bad, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self._flag, self._taped, self._step = (host, event), list(taped), step
            held = self._held()
            if replay and sum(each.numel() for each in held) <= KEPT:
                if self._kept is None or len(self._kept) != len(held):
                    self._kept = [each.detach().clone() for each in held]
                else:
                    torch._foreach_copy_(self._kept, [each.detach() for each in held])
        return False

    def scaled(self, step: int, loss: Tensor, taped: Sequence[Taped], *, replay: bool) -> bool:
        """A backward under a loss scaler, which leaves bad steps out: a few of them are its way of
        finding the scale, a row without end is not."""
        if self.fact is not None or loss.device.type != "cpu":
            return False
        # Not infinite ones: the scale alone may have made them so.
        self._scaled = self._scaled + 1 if math.isnan(float(loss)) else 0
        if self._scaled < PATIENCE:
            return False
        self.fact = self._explained(step, taped, replay=replay, stepped=False)
        return True

    def _found(
        self,
        step: int,
        taped: Sequence[Taped],
        kept: list[Tensor] | None,
        *,
        nan: bool,
        replay: bool,
    ) -> bool:
        stepped = self._any_bad_gradient() or (kept is not None and self._bad_weight() is not None)
        if not stepped:
            # A bad loss with a good gradient hurts nothing yet: somebody takes care of it, or it
            # was scaled beyond what it can hold.
            self.harmless += nan
            if self.harmless < 3:
                return False
        with self._weights_of(kept):
            self.fact = self._explained(step, taped, replay=replay, stepped=stepped)
        return True

    def _explained(
        self, step: int, taped: Sequence[Taped], *, replay: bool, stepped: bool
    ) -> NonFinite:
        bad = self._bad_weight()
        if bad is not None:
            return self._of_weight(step, *bad)
        if replay:
            for each in taped or self._called_again():
                found = self._again(step, each, stepped=stepped)
                if found is not None:
                    return found
        given = next(
            (
                each
                for one in taped
                for call in one.tape.calls
                if call.of_module
                for each in tensors_in((call.args, call.kwargs))
                if each.is_floating_point() and bool(torch.isnan(each).any())
            ),
            None,
        )
        if given is not None:
            rows = torch.isnan(given).reshape(len(given), -1).any(1).nonzero().flatten()
            return NonFinite(
                step=step, where="input", row=int(rows[0]), rows=len(rows), stepped=stepped
            )
        return NonFinite(step=step, where="unknown", stepped=stepped)

    def _called_again(self) -> list[Taped]:
        with quiet(self._model):
            return self.fallback()

    def _again(self, step: int, taped: Taped, *, stepped: bool) -> NonFinite | None:
        """What the step run again shows; None if it is finite this time, or cannot be run."""
        noted = objective(taped.tape, taped.loss)
        if noted is None:
            return None
        models = list({id(each.run): each.run for each in noted.modules}.values())
        swaps = bare_modules(noted.modules)
        roots = [swaps.get(id(each), each) for each in models]
        whole = [self._model] if any(each is self._model for each in roots) else []
        others = [each for each in roots if each is not self._model]
        batch = next((len(e) for call in noted.modules for e in tensors_in(call.args) if e.ndim), 0)
        try:
            with (
                quiet(self._model, *others, begin=taped.begin),
                taped.surroundings.again(),
                torch.enable_grad(),
            ):
                origin, loss, follower = forward_origin(noted, [*whole, *others], swaps)
                backward, bad = False, origin.made if origin is not None else None
                if origin is None and loss.requires_grad and not has_gradient_hooks(self._model):
                    held = [each for each in self._held() if each.requires_grad]
                    origin, bad = backward_origin(loss, follower, held)
                    backward = True
                if origin is None or bad is None:
                    return None
                what = place(origin, bad, batch, backward=backward)
        except Exception:  # the model cannot be run twice: then no more is known
            return None
        return NonFinite(
            step=step,
            where="backward" if backward else origin.where,
            layer=origin.layer,
            operation=origin.operation,
            value=what.value,
            row=what.row,
            rows=what.rows,
            before=what.before,
            dtype=str(bad.dtype).removeprefix("torch."),
            replayed=True,
            example=what.example,
            batch=batch,
            stepped=stepped,
        )

    def _of_weight(self, step: int, name: str, weight: Tensor) -> NonFinite:
        """Weights that are bad before the step: by an earlier gradient, or by an earlier step."""
        states = [
            value
            for each in self._optimizers
            for value in each.state.get(weight, {}).values()
            if isinstance(value, Tensor) and value.is_floating_point()
        ]
        by_step = bool(states) and all(bool(torch.isfinite(each).all()) for each in states)
        return NonFinite(
            step=step,
            where="step" if by_step else "weights",
            layer=name.rpartition(".")[0],
            operation=type(self._optimizers[0]).__name__ if by_step else "",
            value="nan" if bool(torch.isnan(weight).any()) else "inf",
            dtype=str(weight.dtype).removeprefix("torch."),
            stepped=True,
        )

    def _bad_weight(self) -> tuple[str, Tensor] | None:
        with torch.no_grad():
            for name, each in self._model.named_parameters():
                if each.is_floating_point() and not bool(torch.isfinite(each).all()):
                    return name, each
        return None

    def _any_bad_gradient(self) -> bool:
        for each in self._held():
            gradient = each.grad
            if gradient is None:
                continue
            values = gradient._values() if gradient.is_sparse else gradient
            if not bool(torch.isfinite(values).all()):
                return True
        return False

    def _gradient(self) -> Tensor | None:
        if not self._chosen:
            self._chosen = True
            held = {id(each) for each in self._held()}
            small = [
                each
                for each in self._model.parameters()
                if id(each) in held and each.requires_grad and each.numel() <= LARGEST
            ]
            # Of the first two the smaller: mostly the bias that stands beside the weight.
            self._probe = min(small[:2], key=lambda each: each.numel(), default=None)
        gradient = None if self._probe is None else self._probe.grad
        if gradient is None or gradient.layout is not torch.strided or gradient.is_complex():
            return None
        return gradient

    def _held(self) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                for each in group["params"]:
                    if each.is_floating_point():
                        found[id(each)] = each
        return list(found.values())

    @contextlib.contextmanager
    def _weights_of(self, kept: list[Tensor] | None) -> Iterator[None]:
        """With the weights that were kept, for as long as the block lasts."""
        if kept is None:
            yield
            return
        held = [each.detach() for each in self._held()]
        with torch.no_grad():
            now = [each.clone() for each in held]
            torch._foreach_copy_(held, kept)
            try:
                yield
            finally:
                torch._foreach_copy_(held, now)

    def close(self) -> None:
        self._taped = []
        self._flag = self._kept = None


def _total(gradient: Tensor) -> float:
    """In single precision: a sum in half precision may itself be too large for it."""
    half = gradient.dtype in (torch.float16, torch.bfloat16)
    return float(gradient.sum(dtype=torch.float32) if half else gradient.sum())


def bare_modules(calls: Sequence[Any]) -> dict[int, Any]:
    """What stands in place of a wrapper that talks to other processes: the module inside it."""
    return {
        id(each.run): each.run.module
        for each in calls
        if isinstance(each.run, nn.parallel.DistributedDataParallel)
    }


def talks(model: nn.Module) -> bool:
    """Whether running the model would wait for other processes even so."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return distributed and any(
        isinstance(each, nn.SyncBatchNorm) or "FullyShard" in type(each).__name__
        or "FSDP" in type(each).__name__
        for each in model.modules()
    )  # fmt: skip


def has_gradient_hooks(model: nn.Module) -> bool:
    """Whether taking a gradient once more would wake hooks of somebody else's."""
    return any(each._backward_hooks or each._backward_pre_hooks for each in model.modules()) or any(
        each._backward_hooks for each in model.parameters()
    )
