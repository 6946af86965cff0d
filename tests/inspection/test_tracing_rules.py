"""Rules that answer from shapes alone give what torch gives, and leave to torch what it refuses."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.core.errors import SettingError
from netwright.inspection.carriers import META
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules import DECLINE, FUNCTIONS
from netwright.inspection.tracing import trace

TRIALS = 150
Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def _carrier(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=META)


def _shape(draw: random.Random, rank: int) -> list[int]:
    return [draw.randint(1, 3), draw.choice([1, 2, 3, 4, 6])][-max(0, min(2, rank)) :] + [
        draw.randint(1, 9) for _ in range(rank - 2)
    ]


def _ints(draw: random.Random, count: int, low: int, high: int) -> Any:
    if draw.random() < 0.5:
        return draw.randint(low, high)
    return tuple(draw.randint(low, high) for _ in range(count))


def _convolution(draw: random.Random) -> Call:
    n = draw.choice([1, 2, 3])
    groups = draw.choice([1, 1, 2, 3])
    channels, out = draw.choice([2, 3, 4, 6]), draw.choice([2, 3, 4, 6])
    lead = [channels] if draw.random() < 0.2 else [2, channels]
    x = _carrier(*lead, *(draw.randint(1, 9) for _ in range(n)))
    near = max(channels // groups + draw.choice([0, 0, 0, 1]), 1)
    weight = _carrier(out, near, *(draw.randint(1, 4) for _ in range(n)))
    bias = draw.choice([None, _carrier(out), _carrier(out), _carrier(out + 1)])
    padding: Any = draw.choice([_ints(draw, n, 0, 3), _ints(draw, n, 0, 3), "same", "valid"])
    return (
        getattr(torch, f"conv{n}d"),
        (x, weight, bias, _ints(draw, n, 1, 3), padding, _ints(draw, n, 1, 3), groups),
        {},
    )


def _transposed(draw: random.Random) -> Call:
    n = draw.choice([1, 2, 3])
    groups = draw.choice([1, 1, 2])
    channels = draw.choice([2, 3, 4])
    lead = [channels] if draw.random() < 0.2 else [2, channels]
    x = _carrier(*lead, *(draw.randint(1, 7) for _ in range(n)))
    weight = _carrier(
        channels + draw.choice([0, 0, 0, 1]), 3, *(draw.randint(1, 4) for _ in range(n))
    )
    bias = draw.choice([None, _carrier(3 * groups), _carrier(2)])
    return (
        getattr(torch, f"conv_transpose{n}d"),
        (x, weight, bias, _ints(draw, n, 1, 3), _ints(draw, n, 0, 2), _ints(draw, n, 0, 2), groups,
         _ints(draw, n, 1, 2)),
        {},
    )  # fmt: skip


def _pool(draw: random.Random) -> Call:
    n = draw.choice([1, 2, 3])
    x = _carrier(*[2, 3][draw.randint(0, 1) :], *(draw.randint(1, 9) for _ in range(n)))
    kernel, stride = _ints(draw, n, 1, 4), draw.choice([None, _ints(draw, n, 1, 4)])
    padding, ceil = _ints(draw, n, 0, 2), draw.random() < 0.5
    if draw.random() < 0.5:
        named = {"stride": stride, "padding": padding, "ceil_mode": ceil}
        named["dilation"] = _ints(draw, n, 1, 2)
        return getattr(F, f"max_pool{n}d"), (x, kernel), named
    if stride is None:
        return getattr(F, f"avg_pool{n}d"), (x, kernel), {"padding": padding, "ceil_mode": ceil}
    return getattr(F, f"avg_pool{n}d"), (x, kernel, stride, padding, ceil), {}


def _adaptive(draw: random.Random) -> Call:
    n = draw.choice([1, 2, 3])
    x = _carrier(*[2, 3][draw.randint(0, 1) :], *(draw.randint(1, 9) for _ in range(n)))
    size = _ints(draw, n, 1, 5)
    return getattr(F, f"adaptive_{draw.choice(['avg', 'max'])}_pool{n}d"), (x, size), {}


def _linear(draw: random.Random) -> Call:
    x = _carrier(*(draw.randint(1, 5) for _ in range(draw.randint(0, 4))))
    inner = draw.choice([x.shape[-1] if x.ndim else 2, 3])
    bias = draw.choice([None, _carrier(4), _carrier(4), _carrier(5), _carrier(1)])
    return F.linear, (x, _carrier(4, inner), bias), {}


def _matmul(draw: random.Random) -> Call:
    sizes = [draw.choice([1, 2, 3]) for _ in range(8)]
    left = _carrier(*sizes[: draw.randint(1, 4)])
    right = _carrier(*sizes[4 : 4 + draw.randint(1, 4)])
    return draw.choice([torch.matmul, Tensor.matmul, Tensor.__matmul__]), (left, right), {}


def _pair(draw: random.Random) -> Call:
    kind = draw.choice([torch.float32, torch.float32, torch.float16, torch.int64])
    left = _carrier(*(draw.choice([1, 2, 3]) for _ in range(draw.randint(0, 4))))
    right: Any = _carrier(*(draw.choice([1, 2, 3]) for _ in range(draw.randint(0, 4))), dtype=kind)
    if draw.random() < 0.3:
        right = draw.choice([2, 0.5, True])
    name = draw.choice(["add", "sub", "mul", "div", "add_", "mul_", "sub_", "div_"])
    return getattr(Tensor, name), (left, right), {}


def _alone(draw: random.Random) -> Call:
    kind = draw.choice([torch.float32, torch.float64, torch.int64])
    x = _carrier(*_shape(draw, draw.randint(1, 4)), dtype=kind)
    functions = [F.relu, F.relu6, F.elu, F.silu, F.gelu, F.hardswish, F.hardsigmoid, torch.sigmoid,
                 torch.tanh, torch.exp, F.leaky_relu, F.softplus, F.mish, Tensor.relu_,
                 torch.abs, Tensor.neg, torch.sqrt, Tensor.sigmoid]  # fmt: skip
    return draw.choice(functions), (x,), {}


def _norm(draw: random.Random) -> Call:
    x = _carrier(*_shape(draw, draw.randint(1, 4)))
    size = x.shape[1] if x.ndim > 1 and draw.random() < 0.8 else 4
    vector = _carrier(size)
    choice = draw.randint(0, 3)
    if choice == 0:
        training = draw.random() < 0.3
        kept = draw.choice([vector, vector, None])
        return F.batch_norm, (x, kept, kept, vector, vector, training), {}
    if choice == 1:
        inner = tuple(x.shape[-draw.randint(1, 2) :]) if draw.random() < 0.8 else (3,)
        return F.layer_norm, (x, inner, draw.choice([None, _carrier(*inner)])), {}
    if choice == 2:
        return F.group_norm, (x, draw.choice([1, 2, 3]), vector, vector), {}
    return F.instance_norm, (x, None, None, vector, vector), {}


def _softmax(draw: random.Random) -> Call:
    x = _carrier(*_shape(draw, draw.randint(1, 4)))
    return draw.choice([F.softmax, torch.softmax, F.log_softmax]), (x, draw.randint(-5, 4)), {}


def _attention(draw: random.Random) -> Call:
    batch = [draw.choice([1, 2]) for _ in range(draw.randint(0, 2))]
    length, positions, width = (draw.randint(1, 4) for _ in range(3))
    q = _carrier(*batch, length, width)
    k = _carrier(*batch, positions, draw.choice([width, width, 3]))
    v = _carrier(*batch, draw.choice([positions, positions, 2]), draw.randint(1, 4))
    mask = draw.choice([None, _carrier(length, positions), _carrier(2, 3)])
    return F.scaled_dot_product_attention, (q, k, v, mask), {"is_causal": draw.random() < 0.3}


def _cat(draw: random.Random) -> Call:
    shape = _shape(draw, draw.randint(1, 4))
    other = list(shape)
    other[draw.randrange(len(shape))] = draw.randint(1, 4)
    tensors = [_carrier(*shape), _carrier(*other), _carrier(*shape)][: draw.randint(1, 3)]
    return torch.cat, (tensors, draw.randint(-4, 3)), {}


def _view(draw: random.Random) -> Call:
    x = _carrier(*_shape(draw, draw.randint(1, 4)))
    choice = draw.randint(0, 4)
    if choice == 0:
        return Tensor.flatten, (x, draw.randint(-3, 3), draw.randint(-3, 3)), {}
    if choice == 1:
        return Tensor.view, (x, x.shape[0], -1), {}
    if choice == 2:
        dims = list(range(x.ndim))
        draw.shuffle(dims)
        return Tensor.permute, (x, *dims[: draw.choice([x.ndim, x.ndim, 1])]), {}
    if choice == 3:
        return Tensor.transpose, (x, draw.randint(-4, 3), draw.randint(-4, 3)), {}
    return Tensor.reshape, (x, (draw.randint(1, 4), -1)), {}


def _mean(draw: random.Random) -> Call:
    x = _carrier(*_shape(draw, draw.randint(1, 4)))
    dim = draw.choice([None, draw.randint(-4, 3), (draw.randint(-4, 3), draw.randint(-4, 3))])
    function = draw.choice([torch.mean, Tensor.sum, Tensor.mean])
    return function, (x, dim, draw.random() < 0.5), {}


def _resized(draw: random.Random) -> Call:
    n = draw.choice([1, 2, 3])
    x = _carrier(2, 4, *(draw.randint(1, 6) for _ in range(n)))
    choice = draw.randint(0, 2)
    if choice == 0:
        mode = draw.choice(["nearest", "linear", "bilinear", "trilinear", "bicubic", "area"])
        by = draw.choice([{"size": _ints(draw, n, 1, 9)}, {"scale_factor": draw.choice([2, 1.5])}])
        return F.interpolate, (x,), {"mode": mode, **by}
    if choice == 1:
        mode = draw.choice(["constant", "reflect", "replicate", "circular"])
        pads = [draw.randint(-1, 3) for _ in range(draw.choice([2, 4, 6, 3]))]
        return F.pad, (x, pads), {"mode": mode}
    return torch.pixel_shuffle, (x, draw.choice([1, 2, 3])), {}


FAMILIES: list[Callable[[random.Random], Call]] = [
    _convolution, _transposed, _pool, _adaptive, _linear, _matmul, _pair, _alone, _norm, _softmax,
    _attention, _cat, _view, _mean, _resized,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.__name__.strip("_"))
def test_a_rule_gives_what_torch_gives_and_declines_or_refuses_what_torch_refuses(
    family: Callable[[random.Random], Call],
) -> None:
    draw = random.Random(17)
    answered = refused = 0
    for _ in range(TRIALS):
        function, args, kwargs = family(draw)
        expected = _really(function, args, kwargs)
        refused += expected is None
        ledger = Ledger({}, 0, concrete=False, device=torch.device("cpu"))
        for each in (*args, *(args[0] if isinstance(args[0], list) else ())):
            if isinstance(each, Tensor):
                ledger.adopt(each, None, -1)
        try:
            with torch.no_grad():
                found = FUNCTIONS[function](ledger, *args, **kwargs)
        except TypeError:
            found = DECLINE
        except RuntimeError:
            found = None
        if found is None:
            assert expected is None, f"{function} is refused, and torch takes it"
            continue
        if found is DECLINE:
            continue
        answered += 1
        said = [
            tuple(each.shape) if isinstance(each, Tensor) else each
            for each in (*args, *kwargs.items())
        ]
        assert expected is not None, f"torch refuses {function} {said}"
        assert (found.shape, found.dtype, found.stride()) == expected, said
    assert answered > TRIALS / 8, f"{answered} answered, {refused} refused"


class _Calling(torch.nn.Module):
    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.call = lambda: function(*args, **kwargs)

    def forward(self, x: Tensor) -> Any:
        return self.call()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.__name__.strip("_"))
def test_a_pass_refuses_what_torch_refuses_and_no_more(
    family: Callable[[random.Random], Call],
) -> None:
    # Shape inference of torch itself takes calls that its kernels refuse.
    draw = random.Random(71)
    for _ in range(TRIALS // 3):
        function, args, kwargs = family(draw)
        expected = _really(function, args, kwargs)
        said = [
            tuple(each.shape) if isinstance(each, Tensor) else each
            for each in (*args, *kwargs.items())
        ]
        model = _Calling(function, tuple(_values(each) for each in args), kwargs)
        try:
            record = trace(model, (torch.ones(1),))
        except SettingError:
            # An empty result is refused, though some kernels would give it.
            assert expected is None or 0 in expected[0], f"refused {function} {said}"
            continue
        assert expected is not None, f"torch refuses {function} {said}"
        assert not record.concrete
        assert record.outputs == (tuple(expected[0]),), said


def _really(function: Any, args: Any, kwargs: Any) -> Any:
    """Shape, type and strides of what torch calculates; None if it refuses."""
    try:
        with torch.no_grad():
            out = function(*(_values(each) for each in args), **kwargs)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError, NotImplementedError):
        return None
    return out.shape, out.dtype, out.stride()


def _values(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.ones_like(value, device="cpu")
    if isinstance(value, list) and value and isinstance(value[0], Tensor):
        return [_values(each) for each in value]
    return value
