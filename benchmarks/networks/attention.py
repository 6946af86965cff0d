"""Attention: the module, the function, encoders with and without the fast path, products by hand.

Of a query of length L against keys of length S in width E: projections (L E E + 2 S E E), scores
L S E, weighted values L S E, output L E E. A causal mask does not halve.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.kit import Calls, Given, add, conv, ones, positional, weight


def attention_macs(length: int, keys: int, width: int) -> int:
    return 2 * length * width**2 + 2 * keys * width**2 + 2 * length * keys * width


add(
    "self-attention (module)",
    lambda: Calls(
        lambda net, x: net.attend(x, x, x)[0],
        attend=nn.MultiheadAttention(64, 4, batch_first=True),
    ),
    positional((1, 50, 64)),
    attention_macs(50, 50, 64),
)

add(
    "cross-attention, no weights",
    lambda: Calls(
        lambda net, x, y: net.attend(x, y, y, need_weights=False)[0],
        attend=nn.MultiheadAttention(64, 4, batch_first=True),
    ),
    positional((1, 30, 64), (1, 70, 64)),
    attention_macs(30, 70, 64),
    "nn.MultiheadAttention with need_weights=False, two inputs",
)


def causal(net: Calls, x: Tensor) -> Tensor:
    q, k, v = net.into(x).unflatten(-1, (3, 4, 16)).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return net.out(y.transpose(1, 2).flatten(2))


add(
    "causal attention (function)",
    lambda: Calls(causal, into=nn.Linear(64, 192), out=nn.Linear(64, 64)),
    positional((1, 50, 64)),
    attention_macs(50, 50, 64),
    "F.scaled_dot_product_attention",
)


def by_hand(net: Calls, x: Tensor) -> Tensor:
    q, k, v = (torch.einsum("ble,ehd->bhld", x, each) for each in (net.q, net.k, net.v))
    scores = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(16), -1)
    return torch.einsum("bhld,hde->ble", torch.matmul(scores, v), net.out)


add(
    "einsum and matmul",
    lambda: Calls(
        by_hand, q=weight(64, 4, 16), k=weight(64, 4, 16), v=weight(64, 4, 16),
        out=weight(4, 16, 64),
    ),
    positional((1, 50, 64)),
    attention_macs(50, 50, 64),
    "attention of parameters alone: no module at all",
)  # fmt: skip


class ViT(nn.Module):
    """Patches of 8x8, a class token, two encoder layers: what torch's fast path takes over."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 64, 8, 8)
        self.token, self.place = weight(1, 1, 64), weight(1, 17, 64)
        layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.encoder(x)[:, 0])


add(
    "ViT (nn.TransformerEncoder)",
    ViT,
    positional((1, 3, 32, 32)),
    conv(3, 64, 8, 4) + 2 * (attention_macs(17, 17, 64) + 2 * 17 * 64 * 256) + 64 * 10,
)


class Translator(nn.Module):
    """Integers in, nn.Transformer, a linear layer: encoder and decoder of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(100, 32), nn.Embedding(100, 32)
        self.transformer = nn.Transformer(32, 2, 1, 1, 64, batch_first=True)
        self.words = nn.Linear(32, 100)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.words(self.transformer(self.source(source), self.target(target)))


def sentences() -> Given:
    return (torch.ones(1, 24, dtype=torch.long), torch.ones(1, 15, dtype=torch.long)), {}


add(
    "encoder-decoder, integers",
    Translator,
    sentences,
    attention_macs(24, 24, 32) + 2 * 24 * 32 * 64
    + attention_macs(15, 15, 32) + attention_macs(15, 24, 32) + 2 * 15 * 32 * 64 + 15 * 32 * 100,
    "nn.Transformer on tokens",
)  # fmt: skip


class Detector(nn.Module):
    """Maps, then boxes and classes of 10 queries that attend to the 16 places: a dict comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1))
        self.queries = weight(10, 32)
        self.attend = nn.MultiheadAttention(32, 2, batch_first=True)
        self.boxes, self.classes = nn.Linear(32, 4), nn.Linear(32, 20)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.trunk(x).flatten(2).transpose(1, 2)
        seen, weights = self.attend(self.queries.expand(len(x), -1, -1), maps, maps)
        return {"boxes": self.boxes(seen), "classes": self.classes(seen), "attention": weights}


add(
    "dict output",
    Detector,
    lambda: ((), {"x": ones(1, 3, 16, 16)}),
    conv(3, 32, 3, 8) + conv(32, 32, 3, 4) + attention_macs(10, 16, 32) + 10 * 32 * 24,
    "a small detector, its image given by keyword",
)
