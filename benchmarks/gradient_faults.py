"""Custom autograd functions with one mistake each in their backward pass, as people make them.

`FAULTS` holds a name, the function with its inputs, and the input whose gradient is wrong. Each
`forward` is right; the line that is wrong says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


class Fault(NamedTuple):
    function: Any
    inputs: Callable[[], tuple[Any, ...]]
    wrong: tuple[str, ...]


FAULTS: dict[str, Fault] = {}


def fault(name: str, inputs: Callable[[], tuple[Any, ...]], *wrong: str) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        FAULTS[name] = Fault(function, inputs, wrong)
        return function

    return add


def drawn(*shapes: tuple[int, ...]) -> Callable[[], tuple[Tensor, ...]]:
    def make() -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(1)
        return tuple(torch.randn(each, generator=generator) for each in shapes)

    return make


@fault("a missing factor", drawn((4, 5)), "x")
class Square(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0]  # wrong: 2 x


@fault("a wrong sign", drawn((4, 5), (4, 5)), "target")
class Distance(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(x, target)
        return (x - target).square().sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, target = ctx.saved_tensors
        return 2 * grad * (x - target), 2 * grad * (x - target)  # wrong: the second is negative


@fault("a weight not transposed", drawn((4, 6), (6, 6), (6,)), "x")
class Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        return grad @ weight.T, grad.T @ x, grad.sum(0)  # wrong: grad @ weight


@fault("a forgotten bias gradient", drawn((4, 6), (3, 6), (3,)), "bias")
class Forgotten(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return grad @ weight, grad.T @ x, None  # wrong: grad.sum(0)


@fault("a bias gradient of one sample", drawn((4, 6), (3, 6), (3,)), "bias")
class OneSample(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        return grad @ weight, grad.T @ x, grad[0]  # wrong: the sum over the batch


@fault("a mean forgotten", drawn((8, 5), (8, 5)), "x", "target")
class MeanSquare(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(x - target)
        return (x - target).square().mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        (off,) = ctx.saved_tensors
        return 2 * grad * off, -2 * grad * off  # wrong: over the number of entries


@fault("wrong for negative input", drawn((4, 5)), "x")
class Leaky(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, 0.1 * x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * (ctx.saved_tensors[0] > 0)  # wrong: 0.1 below zero


@fault("strided taps off by one", drawn((2, 3, 12)), "x")
class EverySecond(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x[..., ::2].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        found = grad.new_zeros(ctx.shape)
        found[..., 1::2] = grad  # wrong: begins at 0
        return found


@fault("a stale saved tensor", drawn((4, 5)), "x")
class Stale(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.output = x.exp()  # kept past the checks of save_for_backward
        return ctx.output.sin_()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.output.cos() * ctx.output  # wrong: it holds the sine by now


@fault("softmax taken entry by entry", drawn((4, 5)), "x")
class Softmax(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        found = x.softmax(1)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (p,) = ctx.saved_tensors
        return grad * p * (1 - p)  # wrong: lacks the mixed terms


@fault("statistics taken for constants", drawn((6, 4)), "x")
class Standardise(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = (x.var(0, unbiased=False) + 1e-5).rsqrt()
        ctx.save_for_backward(scale)
        return (x - x.mean(0)) * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0]  # wrong: mean and variance move as well


@fault("a kernel not flipped", drawn((2, 1, 8, 8), (1, 1, 3, 3)), "x")
class Convolve(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        to_weight = torch.nn.grad.conv2d_weight(x, list(weight.shape), grad, padding=1)
        return F.conv2d(grad, weight, padding=1), to_weight  # wrong: weight.flip(2, 3)


@fault("broadcasting not summed", drawn((4, 5), (1, 5)), "scale")
class Scale(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return x * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, scale = ctx.saved_tensors
        return grad * scale, (grad * x).mean(0, keepdim=True)  # wrong: the sum


@fault("one entry of many", drawn((40, 50)), "x")
class OneEntry(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        found = grad * (1 - ctx.saved_tensors[0].tanh() ** 2)
        found[-1, -1] = 0.0  # wrong: the last one left out
        return found


@fault("two outputs, one forgotten", drawn((4, 6)), "x")
class Halves(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        return first * ctx.saved_tensors[0].cos()  # wrong: - second * sin


@fault("the incoming gradient ignored", drawn((4, 5)), "x")
class Ignored(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2  # wrong: times grad


@fault("a clamp that lets all through", drawn((4, 5)), "x")
class Clamp(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(-0.5, 0.5)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad  # wrong: nothing outside of the range


@fault("a scale off by one in ten thousand", drawn((4, 5)), "x")
class Slightly(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sigmoid()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        p = ctx.saved_tensors[0].sigmoid()
        return grad * p * (1 - p) * 1.0001  # wrong: by a hundredth of a per cent
