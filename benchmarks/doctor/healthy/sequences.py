"""Odd sequences: aligned by the loss, masked, carried from batch to batch, weights used twice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, explained
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, AdamW, RMSprop

import data
from healthy import kind
from healthy._plain import batches


def chain(seed: int, rows: int, length: int, kinds: int = 12) -> Tensor:
    """Words of a chain in which each word is followed by one of four."""
    draws = torch.Generator().manual_seed(7)
    after = torch.multinomial(torch.ones(kinds, kinds), 4, generator=draws)
    draws = torch.Generator().manual_seed(seed)
    words = [torch.randint(0, kinds, (rows,), generator=draws)]
    for _ in range(length - 1):
        shares = torch.tensor([0.7, 0.1, 0.1, 0.1]).expand(rows, 4)
        words.append(after[words[-1], torch.multinomial(shares, 1, generator=draws)[:, 0]])
    return torch.stack(words, 1)


@kind("spelling-by-ctc", at_least=0.9)
def ctc(seed: int, watched: Watched) -> float:
    """Three symbols drawn over 18 noisy steps; the loss finds out where. First symbol right."""
    draws = torch.Generator().manual_seed(seed)
    said = torch.randint(1, 6, (1500, 3), generator=draws)
    steps = F.one_hot(said.repeat_interleave(6, 1) - 1, 5).float()
    steps[:, ::6] = 0
    steps += 0.3 * torch.randn(steps.shape, generator=draws)

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(5, 32, batch_first=True, bidirectional=True)
            self.head = nn.Linear(64, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0]).log_softmax(2)

    model = Reader()
    optimizer = Adam(model.parameters(), lr=5e-3)
    full, short = torch.full((64,), 18), torch.full((64,), 3)
    with watched(model, optimizer):
        for x, y in batches((steps[:1200], said[:1200]), 60, 12):
            loss = F.ctc_loss(model(x).transpose(0, 1), y, full[: len(x)], short[: len(x)])
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
    best = model(steps[1200:]).argmax(2)
    first = torch.stack([each[each > 0][0] if (each > 0).any() else each[0] for each in best])
    return float((first == said[1200:, 0]).float().mean())


@kind("a-language-with-tied-words", at_least=0.62)
def tied_words(seed: int, watched: Watched) -> float:
    """The embedding is the head's matrix: one parameter under two names."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(12, 24)
            self.cell = nn.LSTM(24, 24, batch_first=True)
            self.head = nn.Linear(24, 12, bias=False)
            self.head.weight = self.words.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(self.words(x))[0])

    text = chain(seed, 1200, 16)
    model = Tied()
    optimizer = AdamW(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for (x,) in batches_of(text[:1000], 50, 6):
            loss = F.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    said = model(text[1000:, :-1]).argmax(2)
    return float((said == text[1000:, 1:]).float().mean())


def batches_of(x: Tensor, size: int, epochs: int) -> list[tuple[Tensor]]:
    return [(a,) for a, _ in batches((x, x), size, epochs)]


@kind("words-behind-a-mask", at_least=0.55)
def masked_words(seed: int, watched: Watched) -> float:
    """A sixth of the words is hidden and asked for; all other places are ignored by the loss."""

    class Filler(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(13, 32)
            self.place = nn.Embedding(12, 32)
            layer = nn.TransformerEncoderLayer(32, 4, 64, 0.1, "gelu", batch_first=True)
            self.body = nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(32, 12)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(self.words(x) + self.place(torch.arange(12))))

    text = chain(seed, 2400, 12)
    model = Filler()
    optimizer = AdamW(model.parameters(), lr=3e-3)

    def hidden(x: Tensor) -> tuple[Tensor, Tensor]:
        away = torch.rand(x.shape) < 0.17
        return x.masked_fill(away, 12), x.masked_fill(~away, -100)

    with watched(model, optimizer):
        for (x,) in batches_of(text[:2100], 60, 14):
            x, asked = hidden(x)
            loss = F.cross_entropy(model(x).transpose(1, 2), asked, ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    x, asked = hidden(text[2100:])
    return float((model(x).argmax(2) == asked)[asked >= 0].float().mean())


@kind("a-state-carried-from-batch-to-batch", at_least=0.8)
def carried_state(seed: int, watched: Watched) -> float:
    """Truncated backpropagation: 20 long series in order, the state detached."""
    draws = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(20, 1, generator=draws)
    slow = 0.1 + 0.2 * torch.rand(20, 1, generator=draws)
    angle = phase + slow * torch.arange(1201)
    series = (angle.sin() + 0.5 * (2.3 * angle).sin())[..., None]
    series = series + 0.05 * torch.randn(series.shape, generator=draws)

    class Follower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(1, 24, batch_first=True)
            self.head = nn.Linear(24, 1)

        def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, object]:
            states, state = self.cell(x, state)
            return self.head(states), state

    model = Follower()
    optimizer = RMSprop(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for _ in range(4):
            state = None
            for at in range(0, 1000, 20):
                x, y = series[:, at : at + 20], series[:, at + 1 : at + 21]
                output, state = model(x, state)
                state = tuple(each.detach() for each in state)
                loss = F.mse_loss(output, y)
                optimizer.zero_grad()
                loss.backward()
                clip_grad_norm_(model.parameters(), 0.5)
                optimizer.step()
    with torch.no_grad():
        output, _ = model(series[:, 1000:1200], None)
    return explained(output[:, 20:].flatten()[:, None], series[:, 1021:].flatten()[:, None])


@kind("tags-of-padded-sentences", at_least=0.9)
def tags(seed: int, watched: Watched) -> float:
    """A tag for each word from its neighbours; half of the places are padding, which is ignored."""
    draws = torch.Generator().manual_seed(seed)
    words = torch.randint(1, 20, (1500, 16), generator=draws)
    length = torch.randint(4, 17, (1500, 1), generator=draws)
    wanted = (words + words.roll(1, 1)) % 4
    wanted[:, 0] = words[:, 0] % 4
    away = torch.arange(16)[None] >= length
    words, wanted = words.masked_fill(away, 0), wanted.masked_fill(away, -1)

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(20, 24, padding_idx=0)
            self.near = nn.Conv1d(24, 96, 3, padding=1)
            self.head = nn.Conv1d(96, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.gelu(self.near(self.words(x).transpose(1, 2))))

    table = data.split(words, wanted, seed)
    model = Tagger()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for x, y in batches(table.train, 50, 20):
            loss = F.cross_entropy(model(x), y, ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, y = table.test
    return float((model(x).argmax(1) == y)[y >= 0].float().mean())
