"""Odd wiring and odd places of norms: little that is trained, gradients kept, weights in a list."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, nobody, small_lenet, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset

import data
from healthy import kind
from healthy._plain import batches, fit, reached


def renamed(digits: data.Splits) -> data.Splits:
    """The same pictures under other names: a task to be trained before."""
    return data.Splits(*((x, (3 * y + 4) % 10) for x, y in digits))


@kind("one-epoch-is-enough", at_least=0.95)
def one_epoch(seed: int, watched: Watched) -> float:
    """Twelve thousand rows seen once: the loss still falls when it ends, and nobody minds."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(13_000, 10, generator=draws)
    y = (x[:, 0] + 0.8 * x[:, 1] * x[:, 2] > 0).long()
    table = data.split(x, y, seed, val=400, test=600)
    model = stack([10, 64, 64, 2])
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, epochs=1)
    return reached(model, table)


@kind("biases-alone", at_least=0.8)
def biases_alone(seed: int, watched: Watched) -> float:
    """Of a network trained for another task the biases are tuned, and a new head."""
    digits = data.digits(seed)
    model = stack([64, 96, 96, 10])
    fit(model, Adam(model.parameters(), lr=3e-3), renamed(digits), nobody)
    model[-1] = nn.Linear(96, 10)
    for name, each in model.named_parameters():
        each.requires_grad_(name.endswith("bias") or each.shape[0] == 10)
    trained = [each for each in model.parameters() if each.requires_grad]
    fit(model, Adam(trained, lr=1e-2), digits, watched, epochs=5)
    return reached(model, digits)


@kind("a-learned-prefix", at_least=0.75)
def prefix(seed: int, watched: Watched) -> float:
    """A frozen encoder, four learned tokens before its input, and a head."""

    class Prefixed(nn.Module):
        def __init__(self, body: nn.Module, words: nn.Embedding) -> None:
            super().__init__()
            self.words, self.body = words, body
            self.prefix = nn.Parameter(0.1 * torch.randn(4, 32))
            self.head = nn.Linear(32, 4)

        def forward(self, rows: Tensor) -> Tensor:
            x = torch.cat([self.prefix.expand(len(rows), 4, 32), self.words(rows)], 1)
            return self.head(self.body(x).mean(1))

    tokens = data.tokens(seed)
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
    model = Prefixed(
        nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Embedding(10, 32)
    )
    turned = data.Splits(*((x, 3 - y) for x, y in tokens))
    fit(model, AdamW(model.parameters(), lr=5e-3), turned, nobody, epochs=5)
    model.body.requires_grad_(False)
    model.words.requires_grad_(False)
    model.head.reset_parameters()
    optimizer = Adam([model.prefix, *model.head.parameters()], lr=2e-2)
    fit(model, optimizer, tokens, watched, epochs=4)
    return reached(model, tokens)


@kind("weights-in-a-plain-list", at_least=0.9)
def plain_list(seed: int, watched: Watched) -> float:
    """Tensors in a list and a forward by hand; the optimizer is given the list."""

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = ((64, 64), (64, 10))
            self.weights = [(torch.randn(a, b) / a**0.5).requires_grad_() for a, b in sizes]
            self.biases = [torch.zeros(b, requires_grad=True) for _, b in sizes]

        def forward(self, x: Tensor) -> Tensor:
            x = (x.flatten(1) @ self.weights[0] + self.biases[0]).relu()
            return x @ self.weights[1] + self.biases[1]

    digits = data.digits(seed)
    model = ByHand()
    fit(model, SGD([*model.weights, *model.biases], lr=0.1, momentum=0.9), digits, watched)
    return reached(model, digits)


@kind("two-domains-in-turns", at_least=0.85)
def domains(seed: int, watched: Watched) -> float:
    """Clean batches and very noisy ones in turns: the loss goes up and down by tens."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for step, (x, y) in enumerate(batches(digits.train, 64, 16)):
            if step % 2:
                x = x + 0.6 * torch.randn_like(x)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)


@kind("words-by-zipf", at_least=0.4)
def zipf(seed: int, watched: Watched) -> float:
    """The next of fifty words, of which the first ten are most of the text: rare ones are hardly
    ever answered. Share of words that are right."""
    draws = torch.Generator().manual_seed(seed)
    shares = 1 / torch.arange(1, 51).float() ** 1.1
    follow = torch.randint(0, 50, (50,), generator=torch.Generator().manual_seed(3)) // 3
    text = torch.multinomial(shares, 24_000, True, generator=draws).reshape(1500, 16)
    for at in range(1, 16):
        kept = torch.rand(1500, generator=draws) < 0.5
        text[:, at] = torch.where(kept, follow[text[:, at - 1]], text[:, at])

    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.cell = nn.Embedding(50, 32), nn.GRU(32, 48, batch_first=True)
            self.head = nn.Linear(48, 50)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(self.words(x))[0]).transpose(1, 2)

    sets = data.split(text[:, :-1], text[:, 1:], seed)
    model = Language()
    fit(model, AdamW(model.parameters(), lr=5e-3), sets, watched, epochs=6, batch=40)
    return reached(model, sets)


@kind("half-inverted", at_least=0.85)
def half_inverted(seed: int, watched: Watched) -> float:
    """Black and white change places in half of the batches, brightness in all; not when judged."""

    def jitter(x: Tensor) -> Tensor:
        x = 1 - x if torch.rand(()) < 0.5 else x
        return x * (0.5 + torch.rand(len(x), 1, 1, 1))

    digits = data.digits(seed)
    model = small_lenet()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=14, augment=jitter)
    return reached(model, digits)


@kind("tiny-weights-under-adam", at_least=0.9)
def tiny_weights(seed: int, watched: Watched) -> float:
    """A thousandth in place of a tenth: Adam multiplies them in each of the first steps."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    with torch.no_grad():
        for each in model.parameters():
            each *= 0.02
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched)
    return reached(model, digits)


@kind("momentum-kept-in-the-gradient", at_least=0.9)
def momentum_by_hand(seed: int, watched: Watched) -> float:
    """Gradients are never cleared but halved: a momentum without a buffer of its own."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = SGD(model.parameters(), lr=0.1)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 10):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            for each in model.parameters():
                assert each.grad is not None
                each.grad.mul_(0.5)
    return reached(model, digits)


@kind("sigmoids-and-norms", at_least=0.9)
def sigmoids(seed: int, watched: Watched) -> float:
    """Six layers of sigmoids, each behind a batch norm that keeps it awake."""
    digits = data.digits(seed)
    model = stack([64, *[48] * 6, 10], nn.Sigmoid, norm=True)
    fit(model, Adam(model.parameters(), lr=1e-2), digits, watched, epochs=12)
    return reached(model, digits)


@kind("a-little-dropout-before-a-norm", at_least=0.9)
def dropout_then_norm(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.1), nn.BatchNorm1d(96),
        nn.Linear(96, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("norm-at-the-very-end", at_least=0.75)
def norm_at_the_end(seed: int, watched: Watched) -> float:
    """Standardised targets behind a batch norm with a weight and a bias: batches are large."""
    table = data.tabular(seed)
    model = nn.Sequential(stack([8, 64, 64, 3], nn.SiLU), nn.BatchNorm1d(3))
    fit(
        model, Adam(model.parameters(), lr=1e-2), table, watched, loss=F.mse_loss, epochs=16,
        batch=256,
    )  # fmt: skip
    return reached(model, table, explained)


@kind("validation-of-the-next-year", at_least=0.75)
def next_year(seed: int, watched: Watched) -> float:
    """Rows in the order of time, features that drift, the latest to validate and to test."""
    draws = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, 1, 2600)[:, None]
    x = torch.randn(2600, 8, generator=draws) + 0.8 * t
    y = x[:, :1] + (2 * x[:, 1:2]).sin() + 0.3 * torch.randn(2600, 1, generator=draws)
    table = data.Splits((x[:1900], y[:1900]), (x[1900:2200], y[1900:2200]), (x[2200:], y[2200:]))
    model = stack([8, 64, 1])
    fit(model, AdamW(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=8)
    return reached(model, table, explained)


@kind("extragradient", at_least=0.9)
def extragradient(seed: int, watched: Watched) -> float:
    """A step on trial, a gradient there, back again, and the true step along that gradient."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = SGD(model.parameters(), lr=0.2)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            kept = [each.detach().clone() for each in model.parameters()]
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for each, old in zip(model.parameters(), kept, strict=True):
                    each.copy_(old)
            optimizer.step()
    return reached(model, digits)


@kind("weights-in-bfloat16", at_least=0.85)
def half_weights(seed: int, watched: Watched) -> float:
    """All in bfloat16: steps below a two-hundredth of a weight are lost, the others are enough."""
    digits = data.Splits(*((x.bfloat16(), y) for x, y in data.digits(seed)))
    model = stack([64, 64, 10]).bfloat16()
    fit(
        model, SGD(model.parameters(), lr=0.1, momentum=0.9), digits, watched,
        loss=lambda output, y: F.cross_entropy(output.float(), y),
    )  # fmt: skip
    return reached(model, digits)


@kind("boosted", at_least=0.6)
def boosted(seed: int, watched: Watched) -> float:
    """What a linear model left over, small numbers of no mean, is learned by a network."""
    table = data.tabular(seed)
    x, y = table.train
    wide = torch.cat([x, torch.ones(len(x), 1)], 1)
    linear = torch.linalg.lstsq(wide, y).solution

    def left(pair: data.Pair) -> data.Pair:
        a, b = pair
        return a, 0.1 * (b - torch.cat([a, torch.ones(len(a), 1)], 1) @ linear)

    table = data.Splits(*(left(each) for each in table))
    model = stack([8, 64, 64, 3])
    fit(model, Adam(model.parameters(), lr=4e-3), table, watched, loss=F.mse_loss, epochs=16)
    return reached(model, table, explained)


@kind("only-the-last-of-many", at_least=0.9)
def frozen_and_norms(seed: int, watched: Watched) -> float:
    """A network trained before, all of it frozen but its norms and the last layer."""
    digits = data.digits(seed)
    model = stack([64, 96, 96, 10], norm=True)
    fit(model, Adam(model.parameters(), lr=3e-3), renamed(digits), nobody)
    for each in model.modules():
        if isinstance(each, nn.Linear) and each.out_features > 10:
            each.requires_grad_(False)
    optimizer = Adam(filter(lambda each: each.requires_grad, model.parameters()), lr=1e-2)
    train = DataLoader(TensorDataset(*digits.train), batch_size=64, shuffle=True)
    with watched(model, optimizer):
        for _ in range(4):
            model.train()
            for x, y in train:
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                accuracy(model(digits.val[0]), digits.val[1])
    return reached(model, digits)
