"""What breaks tools that hang on modules: functions, sharing, dicts, branches, autograd, vmap."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from networks.kit import Calls, add, conv, ones, positional, weight


def functions(net: Calls, x: Tensor) -> Tensor:
    x = F.max_pool2d(F.relu(F.conv2d(x, net.w1, net.b1, padding=1)), 2)
    x = F.relu(F.conv2d(x, net.w2, padding=1)).mean((2, 3))
    return F.linear(x, net.w3)


add(
    "functions only",
    lambda: Calls(
        functions, w1=weight(16, 3, 3, 3), b1=weight(16), w2=weight(32, 16, 3, 3), w3=weight(10, 32)
    ),
    positional((1, 3, 24, 24)),
    conv(3, 16, 3, 24) + conv(16, 32, 3, 12) + 32 * 10,
    "F.conv2d and F.linear with parameters of one's own",
)

add(
    "tied autoencoder",
    lambda: Calls(
        lambda net, x: F.linear(F.relu(net.encode(x)), net.encode.weight.t(), net.bias),
        encode=nn.Linear(96, 24),
        bias=weight(96),
    ),
    positional((1, 96)),
    2 * 96 * 24,
    "the decoder's weight is the encoder's, transposed",
)


def tied_modules() -> nn.Module:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    model[2].weight = model[0].weight
    return model


add(
    "two modules, one weight",
    tied_modules,
    positional((1, 64)),
    2 * 64 * 64,
    "the parameters are 64 x 64 + 2 x 64",
)

add(
    "one module, five calls",
    lambda: Calls(
        lambda net, x: net.head(net.step(net.step(net.step(net.step(net.step(x)))))),
        step=nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
        head=nn.Conv2d(16, 4, 1),
    ),
    positional((1, 16, 12, 12)),
    5 * conv(16, 16, 3, 12) + conv(16, 4, 1, 12),
)


def from_dict(net: Calls, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    maps = net.image(batch["image"]).mean((2, 3))
    joined = torch.cat([maps, net.facts(batch["more"]["facts"])], 1)
    return net.head(joined), {"joined": joined}


add(
    "dict input",
    lambda: Calls(
        from_dict, image=nn.Conv2d(3, 16, 3), facts=nn.Linear(7, 16), head=nn.Linear(32, 5)
    ),
    lambda: (({"image": ones(1, 3, 16, 16), "more": {"facts": ones(1, 7)}},), {}),
    conv(3, 16, 3, 14) + 7 * 16 + 32 * 5,
    "one nested dict by position; a tuple with a dict comes out",
)


def keyword_only(net: Calls, x: Tensor, *, second: Tensor, scale: float = 1.0) -> Tensor:
    return net.one(x) * scale + net.two(second)


add(
    "keyword inputs",
    lambda: Calls(keyword_only, one=nn.Linear(20, 30), two=nn.Linear(40, 30)),
    lambda: ((ones(1, 20),), {"second": ones(1, 40), "scale": 0.5}),
    20 * 30 + 40 * 30,
    "a tensor and a number by keyword only",
)


def checkpointed(net: Calls, x: Tensor) -> Tensor:
    x = checkpoint(net.first, x, use_reentrant=False)
    return net.head(checkpoint(net.second, x, use_reentrant=False).mean((2, 3)))


add(
    "checkpointed segments",
    lambda: Calls(
        checkpointed,
        first=nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        second=nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.Dropout(0.1)),
        head=nn.Linear(16, 10),
    ),
    positional((1, 3, 20, 20)),
    conv(3, 16, 3, 20) + conv(16, 16, 3, 20) + 16 * 10,
)


def in_place(net: Calls, x: Tensor) -> Tensor:
    y = net.conv(x).relu_()
    y[:, :8] *= 2
    y.add_(1).clamp_(max=5)
    z = y.flatten(2).mean(2)
    out = z.new_zeros(len(z), 12)
    out.addmm_(z, net.w)
    out[:, 3:7] = z[:, :4]
    return out


add(
    "in-place operations",
    lambda: Calls(in_place, conv=nn.Conv2d(3, 16, 3, padding=1), w=weight(16, 12)),
    positional((1, 3, 16, 16)),
    conv(3, 16, 3, 16) + 16 * 12,
    "relu_, slices written to, addmm_",
)


def branching(net: Calls, x: Tensor) -> Tensor:
    x = net.small(x) if x.mean() > 0.5 else net.large(net.large(x))
    rounds = 0
    while rounds < int(x.abs().sum() * 0) + 3:
        x = net.again(x)
        rounds += 1
    return x


add(
    "branches on values",
    lambda: Calls(
        branching,
        small=nn.Conv2d(8, 8, 1),
        large=nn.Conv2d(8, 8, 5, padding=2),
        again=nn.Conv2d(8, 8, 3, padding=1),
    ),
    positional((1, 8, 10, 10)),
    conv(8, 8, 1, 10) + 3 * conv(8, 8, 3, 10),
    "an if and a while on what was computed",
    needs_values=True,
)


class Product(torch.autograd.Function):
    """x w with a backward of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, w = ctx.saved_tensors
        return grad @ w.t(), x.t() @ grad


add(
    "custom autograd function",
    lambda: Calls(lambda net, x: net.head(Product.apply(x, net.w)), w=weight(40, 30),
                  head=nn.Linear(30, 10)),
    positional((1, 40)),
    40 * 30 + 30 * 10,
)  # fmt: skip


def ensemble(net: Calls, x: Tensor) -> Tensor:
    def one(kernel: Tensor, head: Tensor) -> Tensor:
        return F.linear(F.conv2d(x, kernel).relu().mean((2, 3)), head)

    return torch.vmap(one)(net.kernels, net.heads)


add(
    "vmap over an ensemble",
    lambda: Calls(ensemble, kernels=weight(4, 16, 3, 3, 3), heads=weight(4, 10, 16)),
    positional((1, 3, 16, 16)),
    4 * (conv(3, 16, 3, 14) + 16 * 10),
    "four networks in one call",
)


def frozen_and_unused() -> nn.Module:
    model = Calls(
        lambda net, x: net.head(net.frozen(x)),
        frozen=nn.Linear(50, 40),
        head=nn.Linear(40, 10),
        never=nn.Linear(30, 30),
    )
    model.frozen.requires_grad_(False)
    return model


add(
    "frozen and unused parameters",
    frozen_and_unused,
    positional((1, 50)),
    50 * 40 + 40 * 10,
    "the total is still all of them",
)


class Stumbles(nn.Module):
    """Its second layer refuses what the first one gives, half-way through the forward."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Conv2d(17, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


add(
    "a forward that raises",
    Stumbles,
    positional((1, 3, 16, 16)),
    0,
    "17 channels expected, 16 given",
    raises=True,
)
