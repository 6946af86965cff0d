"""The works by which a machine is measured: small pieces of what networks do, of several sizes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.records.timing import OVERHEADS

Work = Callable[[], Any]


def works(device: torch.device) -> dict[tuple[str, str], list[tuple[float, float, Work]]]:
    """For each kind of work and of call: its size, how much one call does, and the call."""

    def conv(c: int, side: int, k: int, groups: int = 1, reads: int | None = None) -> Any:
        x = torch.rand(1, reads or c, side, side, device=device)
        weight = torch.rand(c, (reads or c) // groups, k, k, device=device)
        macs = c * side**2 * k**2 * weight.shape[1]
        return macs, lambda: F.conv2d(x, weight, None, 1, k // 2, 1, groups)

    def matmul(n: int) -> Any:
        a, b = torch.rand(n, n, device=device), torch.rand(n, n, device=device)
        return n**3, lambda: F.linear(a, b)

    def read(n: int) -> Any:
        x, weight = torch.rand(1, n, device=device), torch.rand(n, n, device=device)
        return 4 * n**2, lambda: F.linear(x, weight)

    def filters(count: int) -> Any:
        x = torch.rand(1, 256, 1, 1, device=device)
        weights = [torch.rand(256, 256, 3, 3, device=device) for _ in range(count)]
        # In turn: together they fill the cache or do not, as the weights of a network.
        calls: list[Work] = [functools.partial(F.conv2d, x, w, padding=1) for w in weights]
        return 4.0 * count * weights[0].numel(), in_turn(calls)

    def moved(count: int) -> Any:
        x = torch.rand(count // 2 // 4, device=device)
        return count, lambda: torch.relu(x)

    def pool(c: int, side: int) -> Any:
        x = torch.rand(1, c, side, side, device=device)
        return c * (side // 2) ** 2, lambda: F.max_pool2d(x, 3, 2, 1)

    def curve(count: int) -> Any:
        x = torch.randn(count, device=device)
        return count, lambda: F.gelu(x)

    return {
        **{
            (f"{kind}@{side**2}", "conv"): [
                (float(c), *conv(c, side, k, c if kind == "depthwise" else 1)) for c in widths
            ]
            for kind, k, widths in _CONVS
            for side in _SIDES
        },
        ("stem", "conv"): [((3 * c) ** 0.5, *conv(c, 112, 3, reads=3)) for c in (16, 64)],
        ("matmul", "matmul"): [(float(n), *matmul(n)) for n in (32, 128, 512, 1024)],
        ("pool", "pool"): [(float(pool(64, s)[0]), *pool(64, s)) for s in (14, 56)],
        ("curve", "other"): [(float(n), *curve(n)) for n in (10_000, 1_000_000)],
        ("read", "matmul"): [(4.0 * n**2, *read(n)) for n in (256, 1024, 4096)],
        ("filters", "conv"): [(f[0], *f) for f in map(filters, (1, 4, 24))],
        ("copy", "other"): [(float(n), *moved(n)) for n in _BYTES],
    }


_CONVS = (("conv", 3, (16, 64, 256)), ("pointwise", 1, (16, 64, 512)), ("depthwise", 3, (32, 256)))
_SIDES = (2, 7, 28)
_BYTES = (32_000, 256_000, 2_000_000, 16_000_000, 128_000_000)


def small_works(device: torch.device) -> dict[str, list[Work]]:
    """Works in which the call itself counts for most. They are modules, as networks call them, of
    several widths in turn, for a call that was just made before is cheaper than in a network."""
    small: dict[str, list[Work]] = {kind: [] for kind in OVERHEADS}

    def add(kind: str, module: nn.Module, x: Tensor) -> None:
        module = module.to(device).eval()
        small[kind].append(lambda: module(x))

    for c in range(8, 56, 4):
        image, row = torch.rand(1, c, 4, 4, device=device), torch.rand(1, c, device=device)
        add("conv", nn.Conv2d(c, c + 8, 3 if c % 8 else 1, padding=1 if c % 8 else 0), image)
        add("conv", nn.Conv2d(c, c, 3, padding=1, groups=c), image)
        add("matmul", nn.Linear(c, c), row)
        add("norm", nn.BatchNorm2d(c), image)
        add("pool", nn.MaxPool2d(2), image)
        add("other", nn.ReLU(), image)
        add("view", nn.Flatten(), image)
    return small


def in_turn(works: list[Work]) -> Work:
    def run() -> None:
        for work in works:
            work()

    return run
