"""What a step really brought: the loss of its own batch after it, in the same random state.

Held against the fall that the gradient promised it is the common witness of harm. The same batch is
computed in the other mode from time to time, where the model acts otherwise there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from netwright.doctor.modes import put_on_for
from netwright.doctor.patient import losses_of
from netwright.doctor.quiet import RandomState, Surroundings, quiet
from netwright.doctor.tape import Objective
from netwright.doctor.twin import _bare
from netwright.doctor.watching.finite import bare_modules
from netwright.doctor.watching.order import acts_by_mode
from netwright.records.facts.modes import Modes

MOST = 4
"""Backwards of one step up to which its batches are computed again."""

KEPT = 64

SPARSE = 500
"""Steps between two computations in the other mode at the most."""

DROPOUTS = {
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
    "feature_dropout",
}  # fmt: skip

DRAWS = 8
"""Answers whose mean is held against a single one."""

Noted = tuple[Objective, RandomState, Surroundings]


class Efficacy:
    """Runs the model again, as it now is; whoever calls it sees to it that nobody hears that."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modes: list[tuple[int, float, float]] = []
        self._turned = 0
        """The step at which a batch was last computed in the other mode."""
        self._drew = False
        """Whether the pass just made drew random numbers."""
        self._loose: tuple[int, float, float] | None = None

    def fallen(self, noted: Sequence[Noted], losses: Sequence[Tensor]) -> float | None:
        """By how much the losses of a step, one for each of its backwards, lie lower after it; None
        where not all that led to them is known."""
        if len(noted) != len(losses) or not 1 <= len(noted) <= MOST:
            return None
        self._after = math.fsum(self._again(each) for each in noted)
        return math.fsum(float(each) for each in losses) - self._after

    def turns(self, step: int) -> bool:
        """Whether it is time to compute a batch in the other mode: at first ever more rarely."""
        return step >= min(4 * self._turned, self._turned + SPARSE) and step > 1

    def other_mode(self, noted: Noted, step: int, *, scale: float) -> None:
        """The loss of the batch of `fallen` in the other mode, beside that which it had there; and
        whether dropout acts in evaluation mode as well, and what that costs."""
        self._turned = step
        training = [each for each in self._model.modules() if each.training]
        sensitive = [each for each in self._model.modules() if acts_by_mode(each)]
        modes = {each.training for each in sensitive}
        if modes == {False}:
            self._note(step, self._again(noted, turned=sensitive), self._after, scale)
        elif training:
            with put_on_for(Dropouts(off=False)) as heard:
                found = self._again(noted, turned=training)
            if modes == {True}:
                self._note(step, self._after, found, scale)
            if heard.count:
                with put_on_for(Dropouts(off=True)):
                    tight = self._again(noted, turned=training)
                self._loose = (heard.count, found / scale, tight / scale)
            else:
                self._loose = self._drawn(noted, training) if self._drew else None

    def _note(self, step: int, training: float, evaluation: float, scale: float) -> None:
        self._modes.append((step, training / scale, evaluation / scale))
        del self._modes[:-KEPT]

    def _drawn(self, noted: Noted, turned: Sequence[nn.Module]) -> tuple[int, float, float] | None:
        """The loss of single answers, and that of their mean, where the model draws them and its
        loss is one call on what it gives."""
        found, _, surroundings = noted
        calls = losses_of(found)
        if len(calls) != 1 or len(found.modules) != 1 or calls[0].result is not found.loss:
            return None
        (call,), (judge,) = found.modules, calls
        if not judge.args or judge.args[0] is not call.result:
            return None
        with quiet(self._model, begin=RandomState()), surroundings.again(), torch.no_grad():
            for module in turned:
                module.training = not module.training
            answers = [_bare(call.run)(*call.args, **call.kwargs) for _ in range(DRAWS)]
            told, named = judge.args[1:], judge.kwargs
            single = [float(judge.run(each, *told, **named)) for each in answers]
            mean = judge.run(torch.stack(answers).mean(0), *told, **named)
        return 0, math.fsum(single) / DRAWS, float(mean)

    def _again(self, noted: Noted, turned: Sequence[nn.Module] = ()) -> float:
        found, begin, surroundings = noted
        with quiet(self._model, begin=begin), surroundings.again(), torch.no_grad():
            for module in turned:
                module.training = not module.training
            before = torch.get_rng_state()
            loss = float(found.again(bare_modules(found.modules)))
            self._drew = not torch.equal(before, torch.get_rng_state())
            return loss

    def facts(self) -> list[Modes]:
        if not self._modes and self._loose is None:
            return []
        step, training, evaluation = zip(*self._modes, strict=True) if self._modes else ((),) * 3
        count, loose, tight = self._loose or (0, None, None)
        return [
            Modes(
                step=step,
                training=training,
                evaluation=evaluation,
                loose=count,
                drawn=loose is not None and not count,
                loose_loss=loose,
                tight_loss=tight,
            )
        ]


class Dropouts(TorchFunctionMode):
    """Counts the dropouts that act while it is on; with `off` they hand on what they are given."""

    def __init__(self, *, off: bool) -> None:
        super().__init__()
        self.count, self._off = 0, off

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in DROPOUTS and _acts(func, args, kwargs or {}):
            self.count += 1
            if self._off:
                return args[0]
        return func(*args, **(kwargs or {}))


def _acts(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a dropout is told to be on, by its arguments or by what they are if left out."""
    try:
        given = inspect.signature(func).bind(*args, **kwargs)
    except (TypeError, ValueError):  # of torch's own, written in C: (input, p, train)
        return len(args) > 2 and bool(args[1]) and bool(args[2])
    given.apply_defaults()
    return bool(given.arguments.get("p")) and bool(given.arguments.get("training"))
