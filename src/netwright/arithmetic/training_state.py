"""Memory of what belongs to the weights: themselves, their gradients, the optimizer's state.

Activations are not in it: they depend on the input, and `netwright inspect` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass

BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}

STATES = {"none": 0, "sgd": 0, "momentum": 1, "rmsprop": 1, "adagrad": 1, "adam": 2, "adamw": 2}
"""How many tensors of the size of the weights an optimizer keeps (torch's defaults: `sgd` is
without momentum)."""


@dataclass(frozen=True, kw_only=True)
class StateBytes:
    """Bytes of each part; without an optimizer there are no gradients either."""

    weights: int
    gradients: int
    optimizer: int
    master: int = 0
    """The float32 copy that training in half precision keeps of its weights."""

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.master


def state_bytes(
    params: int,
    *,
    optimizer: str = "none",
    dtype: str = "float32",
    trainable: int | None = None,
    master: bool = False,
) -> StateBytes:
    """Bytes for `params` weights in `dtype`, of which `trainable` learn.

    With a `master` copy the optimizer keeps its state in float32 as well.

    >>> state_bytes(11_689_512, optimizer="adam").total  # 4 tensors of 4 bytes
    187032192
    """
    learns = params if trainable is None else trainable
    learns = 0 if optimizer == "none" else learns
    state = 4 if master else BYTES[dtype]
    return StateBytes(
        weights=params * BYTES[dtype],
        gradients=learns * BYTES[dtype],
        optimizer=learns * STATES[optimizer] * state,
        master=learns * 4 if master else 0,
    )
