"""Trainings whose data or whose task changes at each step: episodes, play, attacks, forecasts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached


@kind("new-classes-in-each-episode", at_least=0.9)
def prototypes(seed: int, watched: Watched) -> float:
    """Five classes of ten, numbered anew each time: label 3 means nothing by itself."""
    digits = data.digits(seed)
    x, y = digits.train
    by_class = [x[y == each] for each in range(10)]
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(),
    )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=2e-3)

    def episode() -> tuple[Tensor, Tensor]:
        """Logits of 5 queries in each of 5 classes by the distance to the mean of 3, and labels."""
        some = torch.randperm(10)[:5]
        picked = torch.stack([by_class[c][torch.randperm(len(by_class[c]))[:8]] for c in some])
        known = model(picked.flatten(0, 1)).unflatten(0, (5, 8))
        asked = known[:, 3:].flatten(0, 1)
        return -(torch.cdist(asked, known[:, :3].mean(1)) ** 2) / 32, torch.arange(
            5
        ).repeat_interleave(5)

    with watched(model, optimizer):
        for _ in range(150):
            output, wanted = episode()
            loss = F.cross_entropy(output, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return sum(accuracy(*episode()) for _ in range(20)) / 20


@kind("learning-to-learn", at_least=0.6)
def learning_to_learn(seed: int, watched: Watched) -> float:
    """Sines of any height and phase: a start from which one step on ten points goes far (MAML)."""
    model = stack([1, 40, 40, 1], nn.Tanh)
    names = [name for name, _ in model.named_parameters()]
    optimizer = Adam(model.parameters(), lr=3e-3)

    def task() -> tuple[Tensor, Tensor]:
        height, phase = 0.5 + 1.5 * torch.rand(()), 3.14 * torch.rand(())
        x = 8 * torch.rand(20, 1) - 4
        return x, height * (x + phase).sin()

    def adapted(x: Tensor, y: Tensor) -> Tensor:
        weights = list(model.parameters())
        for _ in range(2):
            said = torch.func.functional_call(
                model, dict(zip(names, weights, strict=True)), (x[:10],)
            )
            slopes = torch.autograd.grad(F.mse_loss(said, y[:10]), weights, create_graph=True)
            weights = [w - 0.05 * g for w, g in zip(weights, slopes, strict=True)]
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (x[10:],))

    with watched(model, optimizer):
        for _ in range(400):
            optimizer.zero_grad()
            loss = torch.zeros(())
            for _ in range(4):
                x, y = task()
                loss = loss + F.mse_loss(adapted(x, y), y[10:])
            (loss / 4).backward()
            optimizer.step()
    tasks = [task() for _ in range(100)]
    said = torch.cat([adapted(x, y).detach() for x, y in tasks])
    return explained(said, torch.cat([y[10:] for _, y in tasks]))


@kind("an-actor-and-its-critic", at_least=0.8)
def actor_and_critic(seed: int, watched: Watched) -> float:
    """A walk to the end of a corridor: three terms of one loss. Share of arrivals."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(9, 32), nn.Tanh())
            self.policy, self.value = nn.Linear(32, 2), nn.Linear(32, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            known = self.body(x)
            return self.policy(known).log_softmax(1), self.value(known)[:, 0]

    model = Both()
    optimizer = Adam(model.parameters(), lr=1e-2)

    def walk(rows: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        place = torch.full((rows,), 3)
        seen, did, won = [], [], []
        for _ in range(14):
            x = F.one_hot(place, 9).float()
            with torch.no_grad():
                action = torch.multinomial(model(x)[0].exp(), 1)[:, 0]
            done = place == 8
            place = torch.where(done, place, (place + 2 * action - 1).clamp(0, 8))
            seen.append(x)
            did.append(action)
            won.append((place == 8).float() * (~done).float())
        return seen, did, won

    with watched(model, optimizer):
        for _ in range(120):
            seen, did, won = walk(24)
            back, total = [], torch.zeros(24)
            for each in reversed(won):
                total = each + 0.95 * total
                back.append(total)
            x, action = torch.cat(seen), torch.cat(did)
            gained = torch.cat(back[::-1])
            chance, value = model(x)
            taken = chance.gather(1, action[:, None])[:, 0]
            loss = -(taken * (gained - value).detach()).mean()
            loss = loss + 0.5 * F.mse_loss(value, gained)
            loss = loss + 0.01 * (chance.exp() * chance).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    return float(torch.stack(walk(200)[2]).sum(0).mean())


@kind("attacked-while-trained", at_least=0.85)
def attacked(seed: int, watched: Watched) -> float:
    """Each batch is moved against the network first, by its own gradient: two backwards a step."""
    digits = data.digits(seed)
    model = stack([64, 96, 10])
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            x = (x + 0.05 * (2 * torch.rand_like(x) - 1)).requires_grad_()
            F.cross_entropy(model(x), y).backward()
            assert x.grad is not None
            x = (x + 0.08 * x.grad.sign()).clamp(0, 1).detach()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)


@kind("forecasting-twelve-steps", at_least=0.7)
def forecasting(seed: int, watched: Watched) -> float:
    """Windows that overlap, in the order of time for the split, causal dilated convolutions."""
    draws = torch.Generator().manual_seed(seed)
    t = torch.arange(2200).float()
    series = (t / 4).sin() + 0.6 * (t / 11).cos() + 0.0004 * t
    series = series + 0.1 * torch.randn(2200, generator=draws)
    series = (series - series[:1500].mean()) / series[:1500].std()
    windows = series.unfold(0, 44, 1)
    x, y = windows[:, None, :32], windows[:, 32:]
    sets = data.Splits((x[:1450], y[:1450]), (x[1500:1750], y[1500:1750]), (x[1800:], y[1800:]))
    layers: list[nn.Module] = []
    for number, width in enumerate((1, 16, 16, 16)):
        reach = 2**number
        layers += [nn.ConstantPad1d((2 * reach, 0), 0.0)]
        layers += [nn.Conv1d(width, 16, 3, dilation=reach), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 12))
    fit(
        model, AdamW(model.parameters(), lr=2e-3), sets, watched, loss=nn.SmoothL1Loss(), epochs=10
    )  # fmt: skip
    return reached(model, sets, explained)


@kind("twice-as-sharp", at_least=0.5)
def sharper(seed: int, watched: Watched) -> float:
    """The network only adds to an interpolated picture: it starts good, and gains little."""

    class Sharper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 24, 3, padding=1),
                nn.ReLU(), nn.Conv2d(24, 12, 3, padding=1), nn.PixelShuffle(2),
            )  # fmt: skip

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=2.0, mode="bilinear") + self.body(x)

    whole = [x for x, _ in data.shapes(seed)]
    sets = data.Splits(*((F.avg_pool2d(x, 2), x) for x in whole))
    model = Sharper()
    fit(
        model, Adam(model.parameters(), lr=2e-3), sets, watched, loss=F.l1_loss, epochs=6, batch=32
    )  # fmt: skip
    return reached(model, sets, explained)


@kind("autoencoder-with-codes", at_least=0.5)
def codes(seed: int, watched: Watched) -> float:
    """The middle is rounded to the nearest of 32 codes, the gradient passes straight through."""

    class Coded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.there, self.back = stack([64, 64, 16]), stack([16, 64, 64])
            self.codes = nn.Parameter(0.5 * torch.randn(32, 4))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            z = self.there(x).unflatten(1, (4, 4))
            nearest = self.codes[torch.cdist(z, self.codes[None]).argmin(2)]
            lost = F.mse_loss(nearest, z.detach()) + 0.25 * F.mse_loss(z, nearest.detach())
            return self.back((z + (nearest - z).detach()).flatten(1)), lost

    digits = data.digits(seed)
    model = Coded()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 14):
            output, lost = model(x)
            loss = F.mse_loss(output, x.flatten(1)) + lost
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, _ = digits.test
    return explained(model(x)[0].detach(), x.flatten(1))
