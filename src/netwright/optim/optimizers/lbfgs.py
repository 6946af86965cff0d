"""L-BFGS: steps along the inverse curvature, estimated from the last few gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, optim

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.optim.groups import OptimCommon
from netwright.optim.optimizers import OPTIMIZERS


@config
class LBFGSOptions(OptimCommon):
    """The first length tried, and how much is spent on one step."""

    lr: float = setting(1.0, gt=0, help="length tried first; 1 is right near a minimum")
    iterations: int = setting(4, ge=1, help="directions taken in one step, on the same batch")
    history: int = setting(10, ge=1, help="gradient differences remembered")
    search: bool = setting(True, help="search for the length along each direction (strong Wolfe)")


@OPTIMIZERS.register(
    "lbfgs",
    options=LBFGSOptions,
    closure=True,
    batch="all",
    paper="Liu & Nocedal 1989, On the limited memory BFGS method",
)
def lbfgs(groups: list[dict[str, Any]], options: LBFGSOptions) -> LBFGS:
    """L-BFGS: w = w - t H g, H the inverse curvature that the last `history` steps suggest.

    H is never written down: it is applied to g by the differences of weights and gradients that are
    remembered. t is the length that a line search finds (strong Wolfe conditions).

    The fact `closure=True`: `step(closure)` calls `closure()` several times. It has to clear the
    gradients, compute the loss of *the same batch with the same noise*, call `backward`, and return
    the loss. Raises `SettingError` for clipping and for L1, which would each make another function
    of what the line search measures.

    When to use it: small smooth problems on the whole training set (taken by itself
    unless `batch` is given): softmax regression, style transfer. There it needs tens of steps and
    not thousands.

    What goes wrong: from small batches the curvature is mostly noise. Dropout has to be the same in
    every call. The running statistics of batch norm see each batch several times. Memory is 2
    `history` copies of the weights. ReLU has kinks, which the line search may stop at.

    >>> weight = torch.nn.Parameter(torch.tensor([3.0]))
    >>> optimizer = lbfgs([{"params": [weight], "weight_decay": 0.0}], LBFGSOptions())
    >>> def closure() -> Tensor:
    ...     optimizer.zero_grad()
    ...     loss = ((weight - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()  # the loss before the step
    4.0
    >>> round(weight.item(), 4)
    1.0
    """
    if options.clip is not None or options.l1 > 0:
        raise SettingError(
            "optim=lbfgs takes neither optim.clip nor optim.l1: "
            "its line search needs the gradient of the loss as it is.",
            hint="Leave them out, or use optim.wd, which it takes into the loss.",
        )
    return LBFGS(
        groups,
        lr=options.lr,
        iterations=options.iterations,
        history=options.history,
        search=options.search,
    )


class LBFGS(optim.Optimizer):
    """torch's L-BFGS with parameter groups and weight decay, neither of which it has.

    A group's decay adds wd/2 |w|^2 to the loss and wd w to the gradient, so that the line search
    and the gradient speak of one function. The direction belongs to all weights together, and so
    does the rate: that of the first group.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float = 1.0,
        iterations: int = 4,
        history: int = 10,
        search: bool = True,
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        every = [each for group in self.param_groups for each in group["params"]]
        self._inner = optim.LBFGS(
            every,
            lr=lr,
            max_iter=iterations,
            # torch allows 1.25 an iteration, which ends a search of several lengths too early.
            max_eval=iterations * 10,
            history_size=history,
            line_search_fn="strong_wolfe" if search else None,
        )
        self._inner.state = self.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what the first call of `closure` returned, detached."""
        assert closure is not None, "L-BFGS needs a closure that computes the loss again"
        rate = float(self.param_groups[0]["lr"])
        if rate == 0:  # the line search would divide by its own length
            with torch.enable_grad():
                return closure().detach()
        losses: list[Tensor] = []

        def penalised() -> Any:
            with torch.enable_grad():
                losses.append(closure().detach())
            return losses[-1] + self._decay()

        self._inner.param_groups[0]["lr"] = rate
        self._inner.step(penalised)
        first = self._inner.param_groups[0]["params"][0]
        self.state[first].pop("al", None)  # scratch of torch's, not state
        return losses[0]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(dict(state_dict))
        self._inner.state = self.state

    @torch.no_grad()
    def _decay(self) -> float:
        """Add the decay to the gradients; returns its part of the loss."""
        penalty = 0.0
        for group in self.param_groups:
            if group["weight_decay"] == 0:
                continue
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad.add_(weight, alpha=group["weight_decay"])
                    penalty += 0.5 * group["weight_decay"] * float(weight.square().sum())
        return penalty
