"""The update rule of every optimizer in a few lines of NumPy, with where it comes from.

Every rule here has the same shape:

    w, state = adam(w, g, state, lr=0.01)

`w` are weights of any shape, `g` the gradient of the loss there; `state` is what the rule remembers
from step to step, None before the first. New weights and a new state come back, nothing is changed
in place. Settings are those of `optim=NAME` (`netwright explain NAME`), with `wd` for the weight
decay of these weights; `maximize=True` climbs: it turns g round, and not the decay. `lbfgs` alone
takes a function in the place of g, for it asks for several gradients a step.

All rules but that one do the same to each weight by itself; g^2 and the roots are taken element by
element. Rules are compared with the optimizers of the registry step by step, in float64.

>>> import numpy as np
>>> from netwright.optim import by_hand
>>> w, state = np.array([1.0]), None
>>> for _ in range(2):  # v = 1, then 0.9 + 1
...     w, state = by_hand.sgd(w, np.array([1.0]), state, lr=0.1, momentum=0.9)
...     print(w)
[0.9]
[0.71]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from netwright.core.registry import Registry

Array: TypeAlias = npt.NDArray[np.float64]

RULES: Registry[Callable[..., tuple[Array, Any]]] = Registry(
    "update rule", "netwright.optim.by_hand"
)
"""Every rule, under the name of its optimizer."""


def descent_direction(w: Array, g: Array, wd: float, maximize: bool) -> Array:
    """What most rules take for the gradient: g, turned round to climb, and the decay wd w.

    It is the gradient of loss + wd / 2 |w|^2, so this decay goes through whatever the rule does to
    gradients; decoupled decay (`adamw`) does not.
    """
    return (-g if maximize else g) + wd * w


def __getattr__(name: str) -> Any:
    """`by_hand.adam` is the rule registered as adam, whichever file it is in."""
    if not name.startswith("_"):
        for entry in RULES:
            if entry.name == name:
                return entry.target
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *RULES.names()})
