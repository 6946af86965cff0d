"""One step looked at closely: from its first forward pass to the step of the optimizer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.tape import Call
from netwright.doctor.watching.ear import SQUASHERS, Ear, Output
from netwright.records.facts.norms import NormFact

LARGEST = 300_000_000
"""Parameters above which no copy is made of them: steps then have no measured size."""


@dataclass(frozen=True, kw_only=True)
class LayerLook:
    """The numbers of one layer at one step, NaN where it has none."""

    name: str
    kind: str
    values: dict[str, float]
    alive: Tensor | None = None
    samples: int = 0


class Look:
    """Collects while the step goes on; reads from the device once, when it is over."""

    def __init__(
        self, model: nn.Module, optimizers: Sequence[Optimizer], *, compiled: bool
    ) -> None:
        self.seconds = 0.0
        self.layers: list[LayerLook] = []
        self.promised: float | None = None
        self.unchanged: tuple[str, ...] | None = None
        """Names of parameters with a gradient that the step did not move; None: not measured."""
        self.moved = 0
        self._paths = {id(each): name for name, each in model.named_parameters()}
        named = {id(each): name for name, each in model.named_buffers()} | self._paths
        self._ear = None if compiled else Ear(named)
        self.norms: tuple[NormFact, ...] = ()
        self._held = _held(optimizers)
        self._before: list[Tensor] | None = None
        self._raw: Tensor | None = None
        self._given: Tensor | None = None
        self.lost: float | None = None
        """Entries of the gradient that were 0 at the step and not after the backward pass."""
        self._began = 0.0

    def close(self) -> None:
        """Give up in the middle of a step."""
        if self._ear is not None:
            self._ear.off()

    def forward_begins(self) -> None:
        if self._ear is not None:
            self._ear.on()

    def forward_ended(self) -> None:
        if self._ear is not None:
            self._ear.off()
            self._own_up()

    def _own_up(self) -> None:
        """Raise what the ear kept to itself in the middle of a pass."""
        if self._ear is not None and self._ear.error is not None:
            raise self._ear.error

    def before(self, held: Tensor) -> Tensor | None:
        """What a parameter was when the backward pass began."""
        pairs = zip(self._held, self._before or (), strict=False)
        return next((before for each, before in pairs if each is held), None)

    def losses_inside(self) -> tuple[Call, ...]:
        """The losses that modules computed since this was last asked."""
        if self._ear is None:
            return ()
        found, self._ear.losses = tuple(self._ear.losses), []
        return found

    def backward_begins(self) -> None:
        began = time.perf_counter()
        if self._before is None and sum(each.numel() for each in self._held) <= LARGEST:
            self._before = [each.detach().clone() for each in self._held]
        self.seconds += time.perf_counter() - began

    def backward_ended(self) -> None:
        grads = [each.grad for each in self._held if _dense(each.grad)]
        self._raw = _norm(grads)
        self._given = _lively(grads)

    def finish(
        self, backwards: int, *, scale: float, stepped: Optimizer | None = None
    ) -> dict[str, float | None]:
        """The row of this step, after the optimizer has moved the weights. Of what another one
        holds than `stepped` it is not known yet whether it moves."""
        self._own_up()
        groups = stepped.param_groups if stepped is not None else []
        self._mine = {id(each) for group in groups for each in group["params"]}
        with torch.no_grad():
            pairs = [
                (each, before)
                for each, before in zip(self._held, self._before or (), strict=False)
                if _dense(each.grad)
            ]
            found: dict[str, float | None] = {}
            if pairs:
                found = self._step([p for p, _ in pairs], [b for _, b in pairs])
            if self._given is not None:
                now = _lively([each.grad for each in self._held if _dense(each.grad)])
                before = float(self._given)
                left = float(now) if now is not None else 0.0
                self.lost = max(0.0, 1.0 - left / before) if before else None
            if self._raw is not None:
                found["raw_grad_norm"] = float(self._raw) / scale
            self._read_outputs()
            self._read_norms()
        return found

    def _read_norms(self) -> None:
        norms = self._ear.norms if self._ear is not None else []
        self.norms = tuple(
            NormFact(
                name=each.name,
                values=each.values,
                momentum=each.momentum,
                updated=each.updated,
                **dict(zip(("off", "ratio", "samples"), each.numbers.tolist(), strict=True))
                if each.numbers is not None
                else {},
            )
            for each in norms
        )

    def _step(self, held: list[nn.Parameter], before: list[Tensor]) -> dict[str, float | None]:
        grads = [each.grad for each in held if each.grad is not None]
        moves = torch._foreach_sub(before, [each.detach() for each in held])
        dots = torch.stack(
            [(g.double() * m.double()).sum() for g, m in zip(grads, moves, strict=True)]
        )
        norms = torch.stack(
            [
                torch.stack(torch._foreach_norm(grads)).double(),
                torch.stack(torch._foreach_norm(moves)).double(),
                torch.stack(torch._foreach_norm(before)).double(),
            ]
        )
        numbers = torch.cat((dots[None], norms)).tolist()
        self.promised = math.fsum(numbers[0])
        gradient = math.hypot(*numbers[1])
        mine = [not self._mine or id(each) in self._mine for each in held]
        numbers[2] = [m if own else math.nan for m, own in zip(numbers[2], mine, strict=True)]
        move, weight = (
            math.hypot(*(n for n, own in zip(row, mine, strict=True) if own)) for row in numbers[2:]
        )
        still = [
            self._paths.get(id(each), "")
            for each, g, m in zip(held, numbers[1], numbers[2], strict=True)
            if g > 0 and m == 0
        ]
        self.unchanged, self.moved = tuple(still), sum(mine) - len(still)
        self._of_layers(held, *numbers[1:])
        return {
            "grad_norm": gradient,
            "update_ratio": move / weight if weight else None,
        }

    def _of_layers(
        self, held: list[nn.Parameter], grads: list[float], moves: list[float], sizes: list[float]
    ) -> None:
        layers: dict[str, list[tuple[float, float, float]]] = {}
        for each, *numbers in zip(held, grads, moves, sizes, strict=True):
            path = self._paths.get(id(each), "").rpartition(".")[0]
            layers.setdefault(path, []).append(tuple(numbers))  # type: ignore[arg-type]
        self._weights = {
            path: tuple(math.hypot(*column) for column in zip(*rows, strict=True))
            for path, rows in layers.items()
        }

    _weights: dict[str, tuple[float, ...]]

    def _read_outputs(self) -> None:
        outputs = self._ear.outputs if self._ear is not None else []
        numbers = _numbers(outputs)
        weights = dict(getattr(self, "_weights", {}))
        for each, row in zip(outputs, numbers, strict=True):
            own = weights.pop(each.name, None)
            self.layers.append(_layer(each, row, own))
        for path, own in weights.items():
            self.layers.append(_layer(Output(path, "", torch.empty(0)), {}, own))


def _layer(output: Output, values: dict[str, float], own: Any) -> LayerLook:
    if own is not None:
        gradient, move, weight = own
        values = {
            **values,
            "weight_gradient_norm": gradient,
            "weight_norm": weight,
            "update_ratio": move / weight if weight else math.nan,
        }
    return LayerLook(
        name=output.name,
        kind=output.kind,
        values=values,
        alive=output.alive,
        samples=output.samples,
    )


def _numbers(outputs: list[Output]) -> list[dict[str, float]]:
    """Statistics of all outputs, read from the device at once."""
    rows = []
    for each in outputs:
        sample = each.sample.float()
        flat = torch.zeros((), device=sample.device)
        if each.kind in SQUASHERS:
            centred = sample if each.kind == "tanh" else 2 * sample - 1
            bound = 0.99 if each.kind == "tanh" else 0.98
            flat = (centred.abs() > bound).float().mean()
        gradient = torch.full((), math.nan, device=sample.device)
        if each.gradient is not None:
            gradient = each.gradient.float().square().mean().sqrt() * max(1, each.samples)
        rows.append(
            torch.stack(
                [
                    sample.square().mean().sqrt(),
                    sample.mean(),
                    sample.eq(0).float().mean(),
                    flat,
                    gradient,
                ]
            ).cpu()
        )
    names = ("activation_rms", "activation_mean", "zero_share", "flat_share", "gradient_rms")
    found = [
        dict(zip(names, row, strict=True)) for row in (torch.stack(rows).tolist() if rows else [])
    ]
    for each, row in zip(outputs, found, strict=True):
        if each.kind not in SQUASHERS:
            row["flat_share"] = math.nan
    return found


def _held(optimizers: Sequence[Optimizer]) -> list[nn.Parameter]:
    """The floating-point parameters of all optimizers, each once."""
    found: dict[int, nn.Parameter] = {}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for each in group["params"]:
                if each.is_floating_point():
                    found[id(each)] = each
    return list(found.values())


def _dense(gradient: Tensor | None) -> bool:
    return gradient is not None and not gradient.is_sparse


def _lively(grads: Sequence[Tensor | None]) -> Tensor | None:
    """How many entries are not 0."""
    known = [each for each in grads if each is not None]
    return torch.stack([each.count_nonzero() for each in known]).sum() if known else None


def _norm(grads: Sequence[Tensor | None]) -> Tensor | None:
    known = [each for each in grads if each is not None]
    if not known:
        return None
    whole: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(known)))
    return whole
