"""Ordinary networks on series, words and letters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

import data
from healthy import kind
from healthy._everyday import taught
from healthy._plain import batches
from networks import stack


class Last(nn.Module):
    """A recurrent layer and what its last state, or the mean of its states, says."""

    def __init__(self, cell: nn.RNNBase, width: int, answers: int, mean: bool = False) -> None:
        super().__init__()
        self.cell, self.mean, self.head = cell, mean, nn.Linear(width, answers)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cell(x)
        return self.head(states.mean(1) if self.mean else states[:, -1])


def reviews(seed: int, rows: int = 3000) -> data.Splits:
    """Rows of 20 words of 300 of which every tenth is friendly or not; zeros pad to the end."""
    draws = torch.Generator().manual_seed(seed)
    weight = torch.zeros(300)
    weight[1:31], weight[31:61] = 1.0, -1.0
    words = torch.randint(1, 300, (rows, 20), generator=draws)
    marked = torch.randint(1, 61, (rows, 20), generator=draws)
    words = torch.where(torch.rand(rows, 20, generator=draws) < 0.3, marked, words)
    length = torch.randint(8, 21, (rows, 1), generator=draws)
    words = torch.where(torch.arange(20) < length, words, 0)
    said = weight[words].sum(1)
    clear = said.abs() > 0.5
    return data.split(words[clear], (said > 0).long()[clear], seed)


def load(seed: int) -> data.Splits:
    """An hourly load with a day and a week in it: the next value from the 24 before; later hours
    are validated and tested."""
    draws = torch.Generator().manual_seed(seed)
    hour = torch.arange(2400.0)
    series = (hour * 0.2618).sin() + 0.6 * (hour * 0.0374).sin() + 0.3 * (hour * 0.5236).cos()
    series = series + 0.15 * torch.randn(2400, generator=draws)
    series = (series - series[:1600].mean()) / series[:1600].std()
    x, y = series[:-1].unfold(0, 24, 1), series[24:][:, None]
    return data.Splits((x[:1600], y[:1600]), (x[1600:1900], y[1600:1900]), (x[1900:], y[1900:]))


@kind("waves-by-an-lstm", at_least=0.9)
def by_an_lstm(seed: int, watched: Watched) -> float:
    model = Last(nn.LSTM(2, 32, batch_first=True), 32, 4)
    return taught(
        model, Adam(model.parameters(), lr=5e-3), data.waves(seed), watched, epochs=12
    )  # fmt: skip


@kind("waves-read-both-ways-by-the-book", at_least=0.9)
def both_ways(seed: int, watched: Watched) -> float:
    model = Last(nn.GRU(2, 20, 2, batch_first=True, dropout=0.1, bidirectional=True), 40, 4, True)
    return taught(
        model, AdamW(model.parameters(), lr=5e-3), data.waves(seed), watched, epochs=8, batch=64
    )  # fmt: skip


@kind("ordinary-waves-by-convolutions-along-time", at_least=0.9)
def along_time(seed: int, watched: Watched) -> float:
    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.transpose(1, 2)

    model = nn.Sequential(
        Turned(), nn.Conv1d(2, 16, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(32, 4),
    )  # fmt: skip
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return taught(
        model, optimizer, data.waves(seed), watched, epochs=12,
        schedule=StepLR(optimizer, 5, 0.3),
    )  # fmt: skip


@kind("reviews-by-a-bag-of-words", at_least=0.85)
def bag(seed: int, watched: Watched) -> float:
    model = nn.Sequential(nn.EmbeddingBag(300, 16, padding_idx=0), nn.Linear(16, 2))
    return taught(
        model, Adam(model.parameters(), lr=1e-2), reviews(seed), watched, epochs=10
    )  # fmt: skip


@kind("reviews-by-an-embedding-and-a-gru-as-usual", at_least=0.8)
def reviews_gru(seed: int, watched: Watched) -> float:
    model = nn.Sequential(
        nn.Embedding(300, 24, padding_idx=0), Last(nn.GRU(24, 24, batch_first=True), 24, 2, True)
    )
    return taught(
        model, RMSprop(model.parameters(), lr=3e-3), reviews(seed), watched, epochs=6, batch=32,
        keep_best=True,
    )  # fmt: skip


@kind("reviews-by-attention-under-a-mask-by-the-book", at_least=0.8)
def attention(seed: int, watched: Watched) -> float:
    """A token for the class in front; padding is masked."""

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(301, 32, padding_idx=0)
            layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 1)
            self.head = nn.Linear(32, 2)

        def forward(self, words: Tensor) -> Tensor:
            words = torch.cat([torch.full((len(words), 1), 300), words], 1)
            return self.head(self.encoder(self.embed(words), src_key_padding_mask=words == 0)[:, 0])

    model = Encoder()
    optimizer = AdamW(model.parameters(), lr=2e-3)
    return taught(
        model, optimizer, reviews(seed), watched, epochs=10, batch=32,
        schedule=CosineAnnealingLR(optimizer, 10),
    )  # fmt: skip


@kind("the-next-hour-of-a-load", at_least=0.85)
def next_hour(seed: int, watched: Watched) -> float:
    model = stack([24, 48, 24, 1])
    return taught(
        model, Adam(model.parameters(), lr=2e-3), load(seed), watched, epochs=15,
        loss=F.mse_loss, score=explained,
    )  # fmt: skip


@kind("the-next-hour-by-a-plain-recurrence-by-the-book", at_least=0.85)
def plain_recurrence(seed: int, watched: Watched) -> float:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Last(nn.RNN(1, 24, batch_first=True), 24, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x[:, :, None])

    model = Steps()
    return taught(
        model, Adam(model.parameters(), lr=3e-3), load(seed), watched, epochs=8,
        loss=nn.L1Loss(), score=explained,
    )  # fmt: skip


@kind("letters-of-a-made-up-tongue", at_least=0.53)
def letters(seed: int, watched: Watched) -> float:
    """Each letter from those before, as with a character model: a language of syllables, of which
    about two letters in three can be told."""
    draws = torch.Generator().manual_seed(seed)
    syllables = torch.randint(0, 12, (20, 3), generator=draws)
    text = syllables[torch.randint(0, 20, (6000,), generator=draws)].flatten()
    rows = text[: 18000 // 33 * 33].view(-1, 33)
    train, test = rows[:450], rows[450:]

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(12, 16)
            self.cell, self.head = nn.LSTM(16, 48, batch_first=True), nn.Linear(48, 12)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(self.embed(x))[0])

    model = Model()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(24):
            model.train()
            for picked in torch.randperm(len(train)).split(30):
                x, y = train[picked, :-1], train[picked, 1:]
                loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            model.eval()
            with torch.no_grad():
                logits = model(test[:, :-1])
                F.cross_entropy(logits.transpose(1, 2), test[:, 1:])
    return accuracy(logits.flatten(0, 1), test[:, 1:].flatten())


@kind("a-tag-for-each-word-as-usual", at_least=0.9)
def tag_each(seed: int, watched: Watched) -> float:
    """Whether a token is larger than both of its neighbours, smaller than both, or neither."""
    tokens = data.tokens(seed)

    def tagged(rows: Tensor) -> tuple[Tensor, Tensor]:
        left, right = rows.roll(1, 1), rows.roll(-1, 1)
        return rows, ((rows > left) & (rows > right)).long() + 2 * (
            (rows < left) & (rows < right)
        ).long()

    sets = data.Splits(*(tagged(rows) for rows, _ in tokens))

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 16)
            self.conv1 = nn.Conv1d(16, 48, 3, padding=1, padding_mode="circular")
            self.conv2 = nn.Conv1d(48, 3, 1)

        def forward(self, rows: Tensor) -> Tensor:
            return self.conv2(self.conv1(self.embed(rows).transpose(1, 2)).relu())

    model = Tagger()
    return taught(
        model, Adam(model.parameters(), lr=5e-3), sets, watched, epochs=8, batch=64
    )  # fmt: skip


@kind("a-row-turned-round-by-encoder-and-decoder", at_least=0.9)
def turned_round(seed: int, watched: Watched) -> float:
    """Six tokens in reversed order, the right one before each shown to the decoder."""

    class Reverser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source, self.target = nn.Embedding(8, 32), nn.Embedding(9, 32)
            self.encoder = nn.GRU(32, 64, batch_first=True)
            self.decoder = nn.GRU(32, 64, batch_first=True)
            self.head = nn.Linear(64, 8)

        def forward(self, x: Tensor, before: Tensor) -> Tensor:
            _, state = self.encoder(self.source(x))
            return self.head(self.decoder(self.target(before), state)[0])

    draws = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 8, (2300, 6), generator=draws)
    model = Reverser()
    optimizer = Adam(model.parameters(), lr=5e-3)

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.flip(1)
        return model(x, torch.cat([torch.full((len(x), 1), 8), y[:, :-1]], 1)), y

    with watched(model, optimizer, loss=nn.CrossEntropyLoss()):
        for x, _ in batches((rows[:2000], rows[:2000]), 64, 14):
            logits, y = both(x)
            loss = F.cross_entropy(logits.transpose(1, 2), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        logits, y = both(rows[2000:])
    return accuracy(logits.flatten(0, 1), y.flatten())


@kind("dilated-and-causal", at_least=0.8)
def dilated(seed: int, watched: Watched) -> float:
    """A temporal convolutional network that forecasts each next step of its series."""

    class Causal(nn.Module):
        def __init__(self, wide: int, out: int, apart: int) -> None:
            super().__init__()
            self.apart, self.conv = apart, nn.Conv1d(wide, out, 2, dilation=apart)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(F.pad(x, (self.apart, 0)))

    model = nn.Sequential(
        Causal(2, 24, 1), nn.ReLU(), Causal(24, 24, 2), nn.ReLU(), Causal(24, 24, 4), nn.ReLU(),
        nn.Conv1d(24, 2, 1),
    )  # fmt: skip
    waves = data.waves(seed)
    sets = data.Splits(*((x[:, :-1].transpose(1, 2), x[:, 1:].transpose(1, 2)) for x, _ in waves))

    def clean(output: Tensor, y: Tensor) -> float:
        """Of what is left when noise of 0.4 is taken off, after the first steps."""
        output, y = output[:, :, 6:], y[:, :, 6:]
        return float(1 - ((output - y).square().mean() - 0.16) / (y.var() - 0.16))

    return taught(
        model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=12, batch=50,
        loss=F.mse_loss, score=clean,
    )  # fmt: skip
