"""What the activations share: each output depends on its own input alone."""

from __future__ import annotations

from netwright.nn.by_hand import Array, Backward


def pointwise(y: Array, slope: Array) -> tuple[Array, Backward]:
    """y_i = f(x_i): dy_j/dx_i is f'(x_i) for i = j and 0 otherwise, so dx = dy f'(x)."""

    def backward(dy: Array) -> tuple[Array]:
        return (dy * slope,)

    return y, backward
