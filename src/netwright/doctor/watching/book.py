"""What one optimizer did: whether its gradients were cleared, whether a backward came before."""

from __future__ import annotations

import math
import weakref

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from netwright.doctor.watching.look import Look

PROBES = 3
"""Parameters whose gradients tell whether it was cleared."""

LARGEST = 65_536
"""Values of a parameter that is still cheap to look at."""


class Book:
    """Each optimizer has its own: in a loop of several each is cleared and stepped in its turn."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.stale_starts = self.stale_checked = 0
        self.steps_without_backward = self.empty_steps = 0
        self.cleared_backwards = self.told_backwards = 0
        self.heard = 0
        """Steps of which what came before them was told, too."""
        self.excess: float | None = None
        """Norm of the gradient that was left over, against the fresh one."""
        self._probes = _choose(optimizer)
        self._first = [each.detach().clone() for each in self._probes]
        self._stored: list[Tensor] | None = None
        self.kept: list[float] = []
        """Of steps looked at: how much of them was still there when the next forward began."""
        self.aside: list[tuple[float, float]] = []
        """How far somebody else moved the weights between such a step and that forward pass, over
        the length of the step, and the cosine between that and the weights: -1 is shrinking."""
        self._step: list[tuple[Tensor, Tensor, Tensor]] = []
        self.rest()

    def rest(self) -> None:
        """What happens from here on is not told: begin anew with the next step that is."""
        self._known = False
        """Whether the end of the step before was seen."""
        self._cleared = True
        self._checked = False
        self._heard = False
        """Whether a backward gave the probes a gradient since the last step."""
        self._backwards = 0
        self._stamp: tuple[weakref.ref[Tensor], int] | None = None
        self._again = False
        self._left: tuple[weakref.ref[Tensor], int] | None = None
        """A gradient as the last step left it."""
        self._given: weakref.ref[Tensor] | None = None
        """A gradient that the newest backward gave, and no step has read."""
        self._version = 0
        self.stepping = False
        """Whether a step is under way: its closure clears and takes gradients as it likes."""

    def gone_back(self) -> None:
        """Somebody of ours has put earlier weights back."""
        self.rest()
        self._step = []

    def moved(self) -> bool:
        """Whether the probes have other values than at the beginning; those on meta have none, and
        nothing says that they stand still."""
        with torch.no_grad():
            return any(
                each.is_meta or not torch.equal(each.detach(), first)
                for each, first in zip(self._probes, self._first, strict=True)
                if each.shape == first.shape and each.device == first.device
            )

    def stepped(self, look: Look) -> None:
        """A step was looked at: what it did to the probes is kept until the next forward pass."""
        self._step = [
            (each, before, each.detach().clone())
            for each in self._probes
            if (before := look.before(each)) is not None
        ]

    def forward_begins(self) -> None:
        """Whether what the last step did is still there."""
        if not self._step:
            return
        with torch.no_grad():
            made = sum(float((a - b).abs().square().sum()) for _, b, a in self._step)
            left = sum(float((p - b).abs().square().sum()) for p, b, _ in self._step)
            other = sum(float((p - a).abs().square().sum()) for p, _, a in self._step)
            size = sum(float(a.abs().square().sum()) for *_, a in self._step)
            along = sum(float(((p - a) * a).real.sum()) for p, _, a in self._step) if other else 0.0
        if 0 < made < math.inf and left < math.inf and other < math.inf:
            self.kept.append((left / made) ** 0.5)
            turned = along / (other * size) ** 0.5 if other and size else 0.0
            self.aside.append(((other / made) ** 0.5, turned))
        self._step = []

    def backward_begins(self, *, looking: bool) -> None:
        self._backwards += 1
        if self._given is not None:
            # Set to None, or to zero in place: nothing else touches it between two backwards.
            self.told_backwards += 1
            gradient = self._given()
            there = gradient is not None and any(each.grad is gradient for each in self._probes)
            self.cleared_backwards += not there or _zeroed(gradient, self._version)
            self._given = None
        if self._cleared:
            return
        held = [each.grad for each in self._probes if each.grad is not None]
        if held and self._left is not None and self._backwards == 1:
            left, version = self._left
            if left() is not held[0] or held[0]._version != version:
                # Somebody sees to it between two steps: cleared, or scaled as a momentum is.
                self._cleared = True
                return
        dense = [each for each in held if each.layout is torch.strided]
        if len(dense) < len(held):
            self._cleared = True  # sparse: not judged
            return
        # Reading a value from a device would wait for it: that is done at looks only.
        if dense and not looking and dense[0].device.type != "cpu":
            return
        seen = dense if looking else dense[:1]
        self._checked = True
        if not any(bool(each.any()) for each in seen):
            self._cleared = True
        elif looking:
            self._stored = [each.clone() for each in dense]

    def backward_ended(self) -> None:
        if not self._heard:
            self._heard = any(each.grad is not None for each in self._probes)
        given = next((each.grad for each in self._probes if each.grad is not None), None)
        if given is not None and self._known and not self.stepping:
            self._given, self._version = weakref.ref(given), given._version
        if self._stored is None:
            return
        now = [each.grad for each in self._probes if each.grad is not None]
        if len(now) == len(self._stored):
            pairs = list(zip(now, self._stored, strict=True))
            fresh = sum(float((a - b).abs().square().sum()) for a, b in pairs)
            old = sum(float(each.abs().square().sum()) for each in self._stored)
            if fresh > 0:
                self.excess = (old / fresh) ** 0.5
        self._stored = None

    def step_begins(self) -> None:
        gradient = next((each.grad for each in self._probes if each.grad is not None), None)
        self._again, self.stepping = False, True
        self.told_backwards += self._given is not None
        self._given = None
        if gradient is None:
            self.empty_steps += self._heard
            self._stamp = None
            return
        version = gradient._version
        if self._stamp is not None:
            self._again = self._stamp[0]() is gradient and self._stamp[1] == version
        self._stamp = (weakref.ref(gradient), version)

    def step_ended(self) -> None:
        self.heard += self._known
        # The very gradients of the step before, untouched: a second step on one batch. A closure
        # that the step itself calls has run by now.
        if self._again and not self._backwards:
            self.steps_without_backward += 1
        if self._known and (self._checked or self._cleared):
            self.stale_checked += 1
            if self._backwards and not self._cleared:
                self.stale_starts += 1
        self._known, self.stepping = True, False
        held = [each.grad for each in self._probes if each.grad is not None]
        self._cleared = not held
        self._left = (weakref.ref(held[0]), held[0]._version) if held else None
        self._checked = self._heard = False
        self._backwards = 0


def _zeroed(gradient: Tensor | None, version: int) -> bool:
    """Whether it was written to since, and is 0 now; read on the processor alone."""
    if gradient is None or gradient._version == version or gradient.device.type != "cpu":
        return False
    return not bool(gradient.any())


def _choose(optimizer: Optimizer) -> list[Tensor]:
    """A few small parameters, from all over what it holds."""
    held = [
        each
        for group in optimizer.param_groups
        for each in group["params"]
        if each.requires_grad
        and each.is_floating_point()
        and each.layout is torch.strided
        and not is_lazy(each)
    ]
    small = [each for each in held if each.numel() <= LARGEST]
    step = max(1, len(small) // PROBES)
    return small[::step][:PROBES]
