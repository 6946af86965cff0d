"""Something changes while it trains, on purpose: the loss, the data, the noise."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, small_lenet, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

import data
from healthy import kind
from healthy._plain import batches, fit, reached


@kind("a-penalty-that-is-raised", at_least=0.9)
def raised_penalty(seed: int, watched: Watched) -> float:
    """Weights are pushed to zero by a price that grows hundredfold: the loss climbs above its
    start, three weights in four end at nothing, and the score stays."""
    digits = data.digits(seed)
    model = stack([64, 128, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for step, (x, y) in enumerate(batches(digits.train, 64, 18)):
            price = 2e-4 * 60 ** min(1.0, step / 250)
            sizes = [each.abs().sum() for each in model.parameters() if each.ndim > 1]
            loss = F.cross_entropy(model(x), y) + price * torch.stack(sizes).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("sums-that-grow-longer", at_least=0.8)
def longer_sums(seed: int, watched: Watched) -> float:
    """The loss is a sum over time, and the series get longer: it climbs as they do. R2."""

    class Follower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(1, 24, batch_first=True)
            self.head = nn.Linear(24, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0])

    def some(length: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(32, length, 1)
        y = torch.zeros_like(x)
        total = torch.zeros(32, 1)
        for at in range(length):
            total = 0.8 * total + x[:, at]
            y[:, at] = total.tanh()
        return x, y + 0.3 * torch.randn_like(y)

    model = Follower()
    optimizer = Adam(model.parameters(), lr=4e-3)
    with watched(model, optimizer):
        for step in range(320):
            x, y = some(3 + step // 8)
            loss = 0.5 * (model(x) - y).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    x, y = some(40)
    with torch.no_grad():
        return explained(model(x).flatten()[:, None], y.flatten()[:, None])


@kind("later-mixup", at_least=0.9)
def later_mixup(seed: int, watched: Watched) -> float:
    """Plain pictures first, mixed ones from the fifth epoch on: the loss leaps and stays there."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    val = DataLoader(TensorDataset(*digits.val), batch_size=100)
    with watched(model, optimizer):
        for epoch in range(12):
            model.train()
            for x, y in batches(digits.train, 64, 1):
                share = float(torch.distributions.Beta(1.0, 1.0).sample()) if epoch > 4 else 1.0
                order = torch.randperm(len(x))
                output = model(share * x + (1 - share) * x[order])
                loss = share * F.cross_entropy(output, y)
                loss = loss + (1 - share) * F.cross_entropy(output, y[order])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in val:
                    F.cross_entropy(model(x), y)
    return reached(model, digits)


@kind("clean-first-then-noisy", at_least=0.75)
def clean_then_noisy(seed: int, watched: Watched) -> float:
    """Half of the epochs on clean pictures, half on very noisy ones, judged on noisy ones."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)

    def noised(x: Tensor) -> Tensor:
        return x + 0.4 * torch.randn_like(x)

    with watched(model, optimizer):
        for epoch in range(14):
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(noised(x) if epoch > 5 else x), y).backward()
                optimizer.step()
    with torch.no_grad():
        return accuracy(model(noised(digits.test[0])), digits.test[1])


@kind("a-temperature-that-falls", at_least=0.85)
def falling_temperature(seed: int, watched: Watched) -> float:
    """A contrast of views whose temperature falls from 1 to 0.05; a neighbour judges."""
    digits = data.digits(seed)
    model = stack([64, 96, 32])
    optimizer = Adam(model.parameters(), lr=2e-3)

    def view(x: Tensor) -> Tensor:
        return x.roll(int(torch.randint(-1, 2, ())), 3) + 0.1 * torch.randn_like(x)

    with watched(model, optimizer):
        for step, (x, _) in enumerate(batches(digits.train, 128, 20)):
            warm = max(0.05, math.exp(-step / 60))
            one, two = (F.normalize(model(view(x)), dim=1) for _ in range(2))
            loss = F.cross_entropy(one @ two.T / warm, torch.arange(len(x)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        near = torch.cdist(
            F.normalize(model(digits.test[0]), dim=1), F.normalize(model(digits.train[0]), dim=1)
        ).argmin(1)
    return float((digits.train[1][near] == digits.test[1]).float().mean())


@kind("moments-measured-anew", at_least=0.9)
def precise_norms(seed: int, watched: Watched) -> float:
    """After each epoch a pass in training mode without gradients, for the running statistics."""
    digits = data.digits(seed)
    model = stack([64, 64, 64, 10], norm=True)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    with watched(model, optimizer):
        for _ in range(8):
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                for x, _ in batches(digits.train, 128, 1):
                    model(x)
    return reached(model, digits)


@kind("judged-on-two-sets", at_least=0.9)
def two_sets(seed: int, watched: Watched) -> float:
    """Each epoch is judged twice, on clean pictures and on corrupted ones, by two loops."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = AdamW(model.parameters(), lr=3e-3)
    x, y = digits.val
    sets = [
        DataLoader(TensorDataset(a, y), batch_size=100) for a in (x, x + 0.6 * torch.randn_like(x))
    ]
    with watched(model, optimizer):
        for _ in range(8):
            model.train()
            for a, b in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(a), b).backward()
                optimizer.step()
            model.eval()
            for each in sets:
                with torch.no_grad():
                    for a, b in each:
                        output = model(a)
                        F.cross_entropy(output, b)
                        (output.argmax(1) == b).sum().item()
    return reached(model, digits)


@kind("scaled-inside-the-model", at_least=0.75)
def scaled_inside(seed: int, watched: Watched) -> float:
    """Years, prices and shares as they come; the model holds the means and deviations of both
    sides, and returns the target in its own unit."""
    scale = torch.tensor([1e-3, 1.0, 2e4, 10.0, 3e2, 1e5, 0.1, 5.0])
    table = data.tabular(seed)
    table = data.Splits(*((3 * scale + x * scale, 4e3 + 900 * y) for x, y in table))

    class Scaled(nn.Module):
        mean: Tensor
        deviation: Tensor
        level: Tensor
        spread: Tensor

        def __init__(self, x: Tensor, y: Tensor) -> None:
            super().__init__()
            self.register_buffer("mean", x.mean(0))
            self.register_buffer("deviation", x.std(0))
            self.register_buffer("level", y.mean(0))
            self.register_buffer("spread", y.std(0))
            self.body = stack([8, 64, 64, 3])

        def forward(self, x: Tensor) -> Tensor:
            known = self.body((x - self.mean) / self.deviation)
            return known * self.spread + self.level

    model = Scaled(*table.train)
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=14)
    return reached(model, table, explained)


@kind("a-few-huge-samples", at_least=0.75)
def huge_samples(seed: int, watched: Watched) -> float:
    """One row in two hundred is thirty times as large; the gradient is clipped. R2 of the rest."""
    table = data.tabular(seed)
    x, y = table.train
    away = torch.arange(len(x)) % 200 == 7
    table = table._replace(train=(torch.where(away[:, None], 30 * x, x), y))
    model = stack([8, 64, 64, 3])
    fit(
        model, Adam(model.parameters(), lr=4e-3), table, watched, loss=nn.HuberLoss(), epochs=16,
        clip=1.0,
    )  # fmt: skip
    return reached(model, table, explained)


@kind("illegal-moves", at_least=0.65)
def illegal_moves(seed: int, watched: Watched) -> float:
    """Half of twelve moves is forbidden each time, by a score of minus infinity."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2400, 12, generator=draws)
    allowed = torch.rand(2400, 12, generator=draws) < 0.5
    allowed[:, 0] = True
    worth = (x + x.roll(1, 1) * x.roll(-1, 1)).masked_fill(~allowed, -math.inf)
    table = data.split(torch.cat([x, allowed.float()], 1), worth.argmax(1), seed)

    class Player(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([24, 128, 64, 12])

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).masked_fill(x[:, 12:] < 0.5, -math.inf)

    model = Player()
    optimizer = AdamW(model.parameters(), lr=4e-3, weight_decay=0.1)
    fit(model, optimizer, table, watched, epochs=12)
    return reached(model, table)


@kind("a-needle-in-a-row", at_least=0.8)
def needle(seed: int, watched: Watched) -> float:
    """Add the two marked numbers of twenty: at guessing for long, then solved."""

    class Adder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 32, batch_first=True)
            self.head = nn.Linear(32, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0][:, -1])

    def some(rows: int) -> tuple[Tensor, Tensor]:
        x, marks = torch.rand(rows, 20), torch.zeros(rows, 20)
        each = torch.arange(rows)
        marks[each, torch.randint(0, 10, (rows,))] = 1
        marks[each, torch.randint(10, 20, (rows,))] = 1
        return torch.stack([x, marks], 2), (x * marks).sum(1, keepdim=True)

    model = Adder()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for _ in range(500):
            x, y = some(50)
            loss = F.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    x, y = some(400)
    with torch.no_grad():
        return explained(model(x), y)


@kind("blurred-by-fixed-filters", at_least=0.9)
def fixed_filters(seed: int, watched: Watched) -> float:
    """Edges and blurs that nobody trains, the same for all channels, before what is trained."""
    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]) / 4
    blur = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 1])) / 16
    fixed = nn.Conv2d(1, 4, 3, padding=1, bias=False)
    fixed.weight = nn.Parameter(torch.stack([sobel, sobel.T, blur, blur])[:, None], False)
    digits = data.digits(seed)
    model = nn.Sequential(
        fixed, nn.ReLU(), nn.Conv2d(4, 24, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(384, 10),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched)
    return reached(model, digits)


@kind("one-code-for-each-sample", at_least=0.6)
def codes_alone(seed: int, watched: Watched) -> float:
    """A decoder and a table of codes, no encoder: the only input is the number of the sample."""

    class Decoder(nn.Module):
        def __init__(self, rows: int) -> None:
            super().__init__()
            self.codes = nn.Embedding(rows, 12)
            self.back = stack([12, 64, 64])
            nn.init.normal_(self.codes.weight, std=0.1)

        def forward(self, rows: Tensor) -> Tensor:
            return self.back(self.codes(rows))

    digits = data.digits(seed)
    x = digits.train[0][:600].flatten(1)
    model = Decoder(len(x))
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for rows, _ in batches((torch.arange(len(x)), x), 60, 40):
            loss = F.mse_loss(model(rows), x[rows])
            loss = loss + 1e-4 * model.codes(rows).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(model(torch.arange(len(x))).detach(), x)


@kind("pixels-as-parameters", at_least=0.9)
def pixels(seed: int, watched: Watched) -> float:
    """A picture is changed until a fixed network calls it a 3 (and it stays near its place)."""
    digits = data.digits(seed)
    judge = small_lenet()
    fit(judge, Adam(judge.parameters(), lr=3e-3), digits, lambda *_, **__: torch.enable_grad())
    judge.requires_grad_(False)

    class Canvas(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.paint = nn.Parameter(digits.test[0][:32].clone())

        def forward(self) -> Tensor:
            return judge(self.paint)

    model = Canvas()
    first = model.paint.detach().clone()
    optimizer = Adam(model.parameters(), lr=0.03)
    wanted = torch.full((32,), 3)
    with watched(model, optimizer):
        for _ in range(150):
            loss = F.cross_entropy(model(), wanted) + 0.1 * F.mse_loss(model.paint, first)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model().detach(), wanted)


@kind("turned-four-ways", at_least=0.85)
def equivariant(seed: int, watched: Watched) -> float:
    """Each filter is used in four turns, and the largest answer counts; figures come turned."""

    class Turned(nn.Module):
        def __init__(self, channels: int, width: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(channels, width, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            weight = self.conv.weight
            each = [
                F.conv2d(x, weight.rot90(turn, (2, 3)), self.conv.bias, padding=1)
                for turn in range(4)
            ]
            return torch.stack(each).amax(0).relu()

    sets = data.digits(seed)
    sets = data.Splits(
        *((x[(y != 6) & (y != 9)], (y - (y > 6).long())[(y != 6) & (y != 9)]) for x, y in sets)
    )
    model = nn.Sequential(
        Turned(1, 16), nn.MaxPool2d(2), Turned(16, 32), nn.Flatten(), nn.Linear(512, 9),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=7)
    return reached(model, sets)


@kind("attention-without-softmax", at_least=0.8)
def linear_attention(seed: int, watched: Watched) -> float:
    """Kernel features in place of a softmax, a sum over tokens in place of their square."""

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 32)
            self.parts = nn.Linear(32, 96, bias=False)
            self.out, self.norm = nn.Linear(32, 32), nn.LayerNorm(32)
            self.head = nn.Sequential(nn.Linear(32, 48), nn.GELU(), nn.Linear(48, 4))

        def forward(self, rows: Tensor) -> Tensor:
            x = self.embed(rows)
            q, k, v = self.parts(x).chunk(3, 2)
            q, k = F.elu(q) + 1, F.elu(k) + 1
            mixed = q @ (k.transpose(1, 2) @ v) / (q @ k.sum(1)[:, :, None])
            return self.head(self.norm(x + self.out(mixed)).mean(1))

    tokens = data.tokens(seed)
    model = Linear()
    fit(model, AdamW(model.parameters(), lr=5e-3), tokens, watched, epochs=7)
    return reached(model, tokens)


@kind("lengths-in-buckets", at_least=0.8)
def buckets(seed: int, watched: Watched) -> float:
    """Batches of one length each, drawn in any order; a long row is mostly of the later classes."""
    draws = torch.Generator().manual_seed(seed)
    length = torch.randint(4, 12, (2400,), generator=draws)
    rows = torch.randint(0, 10, (2400, 12), generator=draws)
    there = torch.arange(12)[None] < length[:, None]
    y = ((rows < 4) & there).sum(1).clamp(max=4)

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.cell = nn.Embedding(10, 16), nn.GRU(16, 32, batch_first=True)
            self.head = nn.Linear(32, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(self.embed(x))[0][:, -1])

    model = Counting()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for _ in range(5):
            feed = [
                (size, some)
                for size in range(4, 12)
                for some in (length[:2000] == size).nonzero()[:, 0].split(40)
            ]
            for at in torch.randperm(len(feed)).tolist():
                size, some = feed[at]
                optimizer.zero_grad()
                F.cross_entropy(model(rows[some, :size]), y[some]).backward()
                optimizer.step()
    right = [int(model(rows[n : n + 1, : length[n]]).argmax()) == y[n] for n in range(2000, 2400)]
    return float(torch.stack(right).float().mean())


@kind("weighted-sampler", at_least=0.85)
def sampler(seed: int, watched: Watched) -> float:
    """Rare classes are drawn more often, with replacement; validation keeps its shares."""
    digits = data.digits(seed)
    x, y = digits.train
    keep = (y < 6) | (torch.arange(len(y)) % 6 == 0)
    x, y = x[keep], y[keep]
    weights = (1.0 / torch.bincount(y, minlength=10).float())[y]
    train = DataLoader(
        TensorDataset(x, y), batch_size=64, sampler=WeightedRandomSampler(weights.tolist(), len(x))
    )
    val = DataLoader(TensorDataset(*digits.val), batch_size=150)
    model = small_lenet()
    optimizer = AdamW(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for _ in range(12):
            model.train()
            for a, b in train:
                optimizer.zero_grad()
                F.cross_entropy(model(a), b).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for a, b in val:
                    F.cross_entropy(model(a), b)
    return reached(model, digits)


@kind("returns-that-grow", at_least=0.8)
def growing_returns(seed: int, watched: Watched) -> float:
    """Values by the value of the next state, of the same network: targets grow as they are learned,
    and the loss with them, before it falls. R2 of the true values of ten states."""
    model = stack([10, 64, 1])
    optimizer = Adam(model.parameters(), lr=1e-2)
    states = torch.eye(10)
    with watched(model, optimizer):
        for _ in range(600):
            here = torch.randint(10, (32,))
            after = (here + 1).clamp(max=9)
            with torch.no_grad():
                worth = model(states[after]) * (here < 9).float()[:, None]
            loss = F.mse_loss(model(states[here]), 1.0 + 0.9 * worth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    true = torch.tensor([sum(0.9**k for k in range(10 - n)) for n in range(10)])[:, None]
    return explained(model(states).detach(), true)


@kind("rates-that-fall-with-depth", at_least=0.9)
def layer_rates(seed: int, watched: Watched) -> float:
    """The first layers move thirty times less than the last, after training for another task."""
    digits = data.digits(seed)
    model = stack([64, 64, 64, 64, 10])
    shifted = data.Splits(*((x, (7 * y + 3) % 10) for x, y in digits))
    fit(model, Adam(model.parameters(), lr=3e-3), shifted, lambda *_, **__: torch.enable_grad())
    model[-1] = nn.Linear(64, 10)
    layers = [each for each in model if isinstance(each, nn.Linear)]
    groups = [
        {"params": each.parameters(), "lr": 5e-3 * 0.3 ** (len(layers) - 1 - place)}
        for place, each in enumerate(layers)
    ]
    fit(model, AdamW(groups), digits, watched, epochs=5)
    return reached(model, digits)


@kind("accumulated-unevenly", at_least=0.9)
def uneven(seed: int, watched: Watched) -> float:
    """Four batches to a step and two to the last of an epoch, each divided by its own count."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for _ in range(14):
            some = list(batches(digits.train, 16, 1))
            for at in range(0, len(some), 4):
                group = some[at : at + 4]
                for x, y in group:
                    (F.cross_entropy(model(x), y) / len(group)).backward()
                optimizer.step()
                optimizer.zero_grad()
    return reached(model, digits)


@kind("interpolated-and-fine", at_least=0.85)
def interpolated(seed: int, watched: Watched) -> float:
    """A hundred times more weights than rows, every row learned by heart, and it generalises."""
    digits = data.digits(seed)
    x, y = digits.train
    digits = digits._replace(train=(x[:400], y[:400]))
    model = stack([64, 512, 10])
    fit(model, Adam(model.parameters(), lr=2e-3), digits, watched, epochs=40, batch=50)
    return reached(model, digits)


@kind("judged-by-thirty-samples", at_least=0.9)
def thirty(seed: int, watched: Watched) -> float:
    """Thirty samples are looked at after each epoch to see that it runs, and choose nothing."""
    digits = data.digits(seed)
    digits = digits._replace(val=(digits.val[0][:30], digits.val[1][:30]))
    model = small_lenet()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)
