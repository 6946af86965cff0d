"""Networks that other counters trip over are counted rightly, in whatever mode the user is in."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from netwright.inspection.tracing import trace
from netwright.records.inspection import InspectionRecord


class Vision(nn.Module):
    """A small vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.position = nn.Parameter(torch.zeros(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Any:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.encoder(x)[:, 0])


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.norm = nn.LayerNorm(32)

    def forward(self, x: Tensor) -> Any:
        return self.norm(x + self.attention(x, x, x)[0])


class Fused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(16, 48)

    def forward(self, x: Tensor) -> Any:
        q, k, v = (each.view(2, -1, 4, 4).transpose(1, 2) for each in self.project(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Segmenting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 16, 3, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.out = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        first = F.relu(self.down(x))
        return self.out(torch.cat([first, self.up(self.deep(F.max_pool2d(first, 2)))], 1))


class Summing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 4, 5))

    def forward(self, x: Tensor) -> Any:
        return torch.einsum("bchw,cdk->bdkhw", x, self.weight)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Linear(20, 5)
        self.bias = nn.Parameter(torch.zeros(20))

    def forward(self, x: Tensor) -> Any:
        return F.linear(torch.tanh(self.code(x)), self.code.weight.t(), self.bias)


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 16, 2, batch_first=True)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Any:
        return self.head(self.lstm(self.embed(x))[0])


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return {"a": self.a(x), "b": (self.b(x), self.b(y))}


class Again(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.conv(self.conv(self.conv(x)))


class Checkpointed(nn.Module):
    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.conv, self.linear = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Any:
        return checkpoint(lambda t: self.linear(self.conv(t)), x, use_reentrant=self.reentrant)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Any:
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, w = ctx.saved_tensors
        return grads[0] @ w.t(), x.t() @ grads[0]


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 7))

    def forward(self, x: Tensor) -> Any:
        return _Product.apply(x, self.weight).relu()  # type: ignore[no-untyped-call]


class Windows(nn.Module):
    """Attention in shifted windows, with a table of relative positions."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.table = nn.Parameter(torch.zeros(49, 2))
        rows = torch.arange(4)
        at = torch.stack(torch.meshgrid(rows, rows, indexing="ij")).flatten(1)
        apart = (at[:, :, None] - at[:, None, :]).permute(1, 2, 0) + 3
        self.register_buffer("index", apart[..., 0] * 7 + apart[..., 1])
        self.index: Tensor

    def forward(self, x: Tensor) -> Any:
        b, h, w, c = x.shape
        x = torch.roll(x, (-2, -2), (1, 2)).view(b, h // 4, 4, w // 4, 4, c)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        q, k, v = self.project(x).reshape(-1, 16, 3, 2, 8).permute(2, 0, 3, 1, 4)
        scores = (q * 8**-0.5) @ k.transpose(-2, -1)
        scores = scores + self.table[self.index.view(-1)].view(16, 16, -1).permute(2, 0, 1)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 16, 16))


class Squeezing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

    def forward(self, x: Tensor) -> Any:
        gate = x.mean((2, 3), keepdim=True)
        x *= torch.sigmoid(self.b(F.relu_(self.a(gate))))
        return x


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(5, 6, 2, bidirectional=True)

    def forward(self, x: Tensor) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(x, [4, 3, 2])
        out, last = self.gru(packed)
        return nn.utils.rnn.pad_packed_sequence(out)[0], last


class Stepping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru = nn.LSTMCell(5, 6), nn.GRUCell(6, 6)

    def forward(self, x: Tensor) -> Any:
        h = c = x.new_zeros(x.shape[1], 6)
        states = []
        for step in x:
            h, c = self.lstm(step, (h, c))
            h = self.gru(h, h)
            states.append(h)
        return torch.stack(states)


def _many() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(8, 16, 3, groups=4, dilation=2, stride=2),
        nn.GroupNorm(4, 16), nn.SiLU(), nn.InstanceNorm2d(16, affine=True), nn.AvgPool2d(2),
        nn.AdaptiveMaxPool2d(3), nn.PReLU(16), nn.LocalResponseNorm(3),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.PixelShuffle(2), nn.ReflectionPad2d(1),
        nn.ZeroPad2d(2), nn.CircularPad2d(1), nn.ReplicationPad2d(1),
        nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect"), nn.Softmax(1),
    )  # fmt: skip


def _ones(*shape: int) -> Tensor:
    return torch.ones(shape)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]] = {
    "vision transformer": lambda: (Vision(), (_ones(2, 3, 32, 32),)),
    "multi-head attention": lambda: (Attending(), (_ones(2, 9, 32),)),
    "fused attention": lambda: (Fused(), (_ones(2, 7, 16),)),
    "transformer": lambda: (
        nn.Transformer(16, 2, 1, 1, 32, batch_first=True),
        (_ones(2, 5, 16), _ones(2, 6, 16)),
    ),
    "U-Net": lambda: (Segmenting(), (_ones(1, 3, 16, 16),)),
    "einsum": lambda: (Summing(), (_ones(2, 8, 5, 5),)),
    "tied autoencoder": lambda: (Tied(), (_ones(3, 20),)),
    "language model": lambda: (Language(), (torch.zeros(2, 7, dtype=torch.long),)),
    "dict output": lambda: (Named(), (_ones(2, 4), _ones(3, 4))),
    "shared layer": lambda: (Again(), (_ones(1, 4, 8, 8),)),
    "checkpoint": lambda: (Checkpointed(reentrant=False), (_ones(1, 4, 8, 8),)),
    "reentrant checkpoint": lambda: (Checkpointed(reentrant=True), (_ones(1, 4, 8, 8),)),
    "custom autograd": lambda: (Custom(), (_ones(5, 6),)),
    "shifted windows": lambda: (Windows(), (_ones(1, 8, 8, 16),)),
    "in place": lambda: (Squeezing(), (_ones(1, 8, 6, 6),)),
    "packed sequence": lambda: (Packed(), (_ones(4, 3, 5),)),
    "recurrent cells": lambda: (Stepping(), (_ones(4, 3, 5),)),
    "projected LSTM": lambda: (
        nn.LSTM(8, 6, 2, bidirectional=True, proj_size=3),
        (_ones(5, 2, 8),),
    ),
    "RNN without a batch": lambda: (nn.RNN(8, 6, nonlinearity="relu"), (_ones(5, 8),)),
    "many layers": lambda: (_many(), (_ones(1, 8, 32, 32),)),
    "conv1d": lambda: (nn.Conv1d(3, 4, 3), (_ones(2, 3, 9),)),
    "conv3d": lambda: (nn.Conv3d(3, 4, 3), (_ones(2, 3, 9, 9, 9),)),
    "image without a batch": lambda: (nn.Conv2d(3, 4, 3), (_ones(3, 9, 9),)),
    "transposed": lambda: (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (_ones(1, 4, 5, 7),)),
    "unfold and fold": lambda: (
        nn.Sequential(nn.Unfold(3, padding=1), nn.Fold((8, 8), 3, padding=1)),
        (_ones(1, 2, 8, 8),),
    ),
}


def _meta(model: nn.Module) -> nn.Module:
    """The network on the meta device, with its ties kept."""
    memo: dict[int, Any] = {}
    for each in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(each, device="meta")
        is_weight = isinstance(each, nn.Parameter)
        memo[id(each)] = nn.Parameter(empty) if is_weight else empty
    return copy.deepcopy(model, memo)


def _said(record: InspectionRecord) -> Any:
    """All a record says of the network (not of the pass)."""
    return (
        record.parameters, record.operations, record.layers, record.outputs,
        record.peak_activation_bytes, record.output_bytes, record.notes, record.concrete,
    )  # fmt: skip


def _shapes(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(each.shape) for each in tree_leaves(value) if isinstance(each, Tensor))


names = pytest.mark.parametrize("name", NETWORKS)


@names
def test_multiply_adds_agree_with_torch_on_meta_tensors(name: str) -> None:
    model, inputs = NETWORKS[name]()
    record = trace(model, inputs)
    if name == "packed sequence":  # torch cannot unpack it on meta: 4 + 3 + 2 steps by hand
        assert record.macs == 9 * sum(each.numel() for each in model.parameters() if each.ndim > 1)
        return
    twin = _meta(model).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin(*(each.to("meta") for each in inputs))
    assert 2 * record.macs == counter.get_total_flops()
    assert record.flops == 2 * record.macs
    assert sum(each.macs for each in record.layers if each.depth == 0) == record.macs


@names
def test_shapes_and_parameters_are_those_of_the_network(name: str) -> None:
    model, inputs = NETWORKS[name]()
    record = trace(model, inputs)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert record.outputs == _shapes(model.eval()(*inputs))
    assert record.params == sum(each.numel() for each in model.parameters())
    assert record.layers[0].params == record.params
    assert record.unruled == ()
    assert record.unused == ()
    assert not record.concrete


@names
def test_the_answer_is_the_same_in_every_mode(name: str) -> None:
    model, inputs = NETWORKS[name]()
    expected = _said(trace(model, inputs))
    assert _said(trace(model.eval(), inputs)) == expected
    wanting = tuple(
        each.clone().requires_grad_() if each.is_floating_point() else each for each in inputs
    )
    with torch.enable_grad():
        assert _said(trace(model, wanting)) == expected
    with torch.inference_mode():
        twin = copy.deepcopy(model)
        assert _said(trace(twin, tuple(each.clone() for each in inputs))) == expected
    assert _said(trace(_meta(model), tuple(each.to("meta") for each in inputs))) == expected
    assert _said(trace(_meta(model), inputs)) == expected
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = tuple(mode.from_tensor(each) for each in inputs)
        assert _said(trace(model, fake)) == expected


@names
def test_what_is_counted_does_not_depend_on_the_values_being_computed(name: str) -> None:
    class Asking(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *inputs: Tensor) -> Any:
            assert float((inputs[0] + torch.rand(())).sum()) is not None
            return self.inner(*inputs)

    model, inputs = NETWORKS[name]()
    expected, record = trace(model, inputs), trace(Asking(model), inputs)
    assert record.concrete
    assert record.macs == expected.macs
    assert record.outputs == expected.outputs
    assert record.unruled == ()
    assert {each.paths[0] for each in record.parameters if each.used} == {
        f"inner.{each.paths[0]}" for each in expected.parameters if each.used
    }
