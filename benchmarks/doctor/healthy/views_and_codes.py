"""Odd aims: views that agree, codes, densities, answers from few labels; no class is named."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, reached
from healthy.distances import nearest
from healthy.generating import moons
from networks import small_lenet, stack


def view(x: Tensor) -> Tensor:
    """Some pixels dropped, some noise."""
    return x * (torch.rand_like(x) > 0.2) + 0.05 * torch.randn_like(x)


@kind("those-of-a-class-drawn-together", at_least=0.9)
def supervised_contrast(seed: int, watched: Watched) -> float:
    """Supervised contrast (Khosla et al. 2020): the loss ends far above zero by nature."""
    digits = data.digits(seed)
    model = stack([64, 96, 32])
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 96, 10):
            codes = F.normalize(model(torch.cat([view(x), view(x)])))
            label = torch.cat([y, y])
            apart = codes @ codes.T / 0.2
            apart.fill_diagonal_(-1e9)
            same = (label[:, None] == label[None]).float().fill_diagonal_(0)
            loss = -(same * apart.log_softmax(1)).sum(1) / same.sum(1)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
    return nearest(model, digits)


@kind("views-of-which-no-two-numbers-agree", at_least=0.7)
def barlow(seed: int, watched: Watched) -> float:
    """Barlow twins (Zbontar et al. 2021): correlations of the batch drawn to the identity."""
    digits = data.digits(seed)
    model = stack([64, 128, 64], norm=True)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 190, 30):
            one, two = (model(view(x)) for _ in range(2))
            one, two = ((z - z.mean(0)) / (z.std(0) + 1e-5) for z in (one, two))
            across = one.T @ two / len(x)
            on = (across.diagonal() - 1).square().sum()
            off = across.square().sum() - across.diagonal().square().sum()
            loss = on + 0.01 * off
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nearest(model, digits)


@kind("a-proxy-for-each-kind", at_least=0.9)
def proxies(seed: int, watched: Watched) -> float:
    """Proxies of the loss are learned at a hundred times the rate of the network."""

    class Proxies(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.points = nn.Parameter(torch.randn(10, 16))

        def forward(self, codes: Tensor, y: Tensor) -> Tensor:
            close = F.normalize(codes) @ F.normalize(self.points).T
            hit = F.one_hot(y, 10).bool()
            pull = F.softplus(-16 * (close - 0.1))[hit].mean()
            return pull + F.softplus(16 * (close + 0.1))[~hit].mean()

    digits = data.digits(seed)
    model, measure = stack([64, 64, 16]), Proxies()
    optimizer = AdamW(
        [{"params": model.parameters(), "lr": 1e-3}, {"params": measure.parameters(), "lr": 1e-1}]
    )
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            loss = measure(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nearest(model, digits)


@kind("pictures-matched-with-their-words", at_least=0.75)
def matched(seed: int, watched: Watched) -> float:
    """Two towers and a temperature that is learned (Radford et al. 2021). Names of classes are
    rows of tokens; a batch may hold the same name twice."""

    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.picture = stack([64, 96, 32])
            self.words = nn.EmbeddingBag(40, 32)
            self.scale = nn.Parameter(torch.tensor(2.3))

        def forward(self, x: Tensor, words: Tensor) -> Tensor:
            one, two = F.normalize(self.picture(x)), F.normalize(self.words(words))
            return self.scale.exp() * one @ two.T

    digits = data.digits(seed)
    names = torch.randint(0, 40, (10, 5), generator=torch.Generator().manual_seed(seed))
    model = Towers()
    optimizer = AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 32, 12):
            logits = model(x, names[y])
            aim = torch.arange(len(x))
            loss = (F.cross_entropy(logits, aim) + F.cross_entropy(logits.T, aim)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return accuracy(model(digits.test[0], names), digits.test[1])


@kind("codes-from-a-book", at_least=0.4)
def vector_quantised(seed: int, watched: Watched) -> float:
    """A VQ autoencoder (van den Oord et al. 2017): four codes of 32, the gradient is passed by."""

    class Book(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = stack([64, 96, 32]), stack([32, 96, 64])
            self.codes = nn.Parameter(0.5 * torch.randn(32, 8))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            z = self.encoder(x).reshape(len(x), 4, 8)
            chosen = self.codes[torch.cdist(z.detach(), self.codes.detach()[None]).argmin(2)]
            extra = (chosen - z.detach()).square().mean() + 0.25 * (
                chosen.detach() - z
            ).square().mean()
            passed = z + (chosen - z).detach()
            return self.decoder(passed.flatten(1)), extra

    digits = data.digits(seed)
    model = Book()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 25):
            back, extra = model(x)
            loss = 10 * F.mse_loss(back, x.flatten(1)) + extra
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return explained(model(digits.test[0])[0], digits.test[0].flatten(1))


@kind("velocities-from-noise-to-data", at_least=0.18)
def rectified_flow(seed: int, watched: Watched) -> float:
    """Flow matching: the target is a difference that cannot be known; R2 stays far below one."""
    points = moons(seed)
    model = stack([5, 96, 96, 2], nn.SiLU)
    optimizer = AdamW(model.parameters(), lr=2e-3)

    def between(x: Tensor) -> tuple[Tensor, Tensor]:
        t, noise = torch.rand(len(x), 1), torch.randn_like(x)
        at = (1 - t) * noise + t * x
        return torch.cat([at, t, (6.28 * t).sin(), (6.28 * t).cos()], 1), x - noise

    with watched(model, optimizer):
        for x, _ in batches((points[:1600], points[:1600]), 100, 20):
            given, wanted = between(x)
            loss = F.mse_loss(model(given), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    given, wanted = between(points[1600:])
    return explained(model(given).detach(), wanted)


@kind("pixels-one-after-the-other", at_least=0.45)
def pixels_in_order(seed: int, watched: Watched) -> float:
    """Convolutions that see what came before (van den Oord et al. 2016): half of each kernel is
    masked. Nats a pixel gained on the mean picture, of what there are."""

    class Masked(nn.Conv2d):
        def __init__(self, *args: int, own: bool) -> None:
            super().__init__(*args, padding=args[2] // 2)
            mask = torch.ones(args[2], args[2])
            half = args[2] // 2
            mask[half, half + int(own) :] = 0
            mask[half + 1 :] = 0
            self.register_buffer("mask", mask)

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    digits = data.digits(seed)
    train, test = ((each[0] > 0.4).float() for each in (digits.train, digits.test))
    model = nn.Sequential(
        Masked(1, 24, 5, own=False), nn.ReLU(),
        Masked(24, 24, 3, own=True), nn.ReLU(),
        Masked(24, 24, 3, own=True), nn.ReLU(),
        nn.Conv2d(24, 1, 1),
    )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches((train, train), 64, 12):
            loss = F.binary_cross_entropy_with_logits(model(x), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    share = train.mean()
    least = F.binary_cross_entropy(share.expand_as(test), test)
    with torch.no_grad():
        return 1 - float(F.binary_cross_entropy_with_logits(model(test), test) / least)


@kind("real-rows-told-from-drawn", at_least=0.68)
def noise_contrast(seed: int, watched: Watched) -> float:
    """A density by comparison: half of each batch is drawn anew, all labels are known before."""
    points = moons(seed)
    train, test = points[:1600], points[1600:]
    model = stack([2, 64, 64, 1], nn.SiLU)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches((train, train), 64, 16):
            other = train.mean(0) + train.std(0) * torch.randn_like(x)
            said = model(torch.cat([x, other]))[:, 0]
            truth = torch.cat([torch.ones(len(x)), torch.zeros(len(x))])
            loss = F.binary_cross_entropy_with_logits(said, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    other = train.mean(0) + train.std(0) * torch.randn_like(test)
    with torch.no_grad():
        return float(((model(test) > 0).float().mean() + (model(other) < 0).float().mean()) / 2)


@kind("all-drawn-to-one-centre", at_least=0.85)
def one_centre(seed: int, watched: Watched) -> float:
    """Deep SVDD (Ruff et al. 2018): only zeros are seen, without biases all are drawn to a point,
    the loss falls by orders. Share of pairs in which another digit lies farther out."""
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48, bias=False), nn.LeakyReLU(0.1), nn.Linear(48, 8, bias=False)
    )
    seen = digits.train[0][digits.train[1] == 0]
    centre = model(seen).detach().mean(0)
    optimizer = Adam(model.parameters(), lr=5e-4, weight_decay=1e-4)
    with watched(model, optimizer):
        for x, _ in batches((seen, seen), 32, 40):
            loss = (model(x) - centre).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        far = (model(digits.test[0]) - centre).square().sum(1)
    zero = digits.test[1] == 0
    return float((far[~zero][:, None] > far[zero][None]).float().mean())


@kind("rebuilt-of-one-kind-alone", at_least=0.85)
def one_kind_alone(seed: int, watched: Watched) -> float:
    """An autoencoder that sees ones only; what it rebuilds badly is none. As above."""
    digits = data.digits(seed)
    model = nn.Sequential(stack([64, 32, 6]), stack([6, 32, 64]))
    seen = digits.train[0][digits.train[1] == 3]
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches((seen, seen), 16, 40):
            loss = F.mse_loss(model(x), x.flatten(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        far = (model(digits.test[0]) - digits.test[0].flatten(1)).square().sum(1)
    own = digits.test[1] == 3
    return float((far[~own][:, None] > far[own][None]).float().mean())


@kind("few-labels-and-sure-guesses", at_least=0.75)
def sure_guesses(seed: int, watched: Watched) -> float:
    """FixMatch (Sohn et al. 2020): 100 labels, of the rest only what the network is sure of
    counts; at first that is nothing, and the second loss is zero."""
    digits = data.digits(seed)
    few = (digits.train[0][:100], digits.train[1][:100])
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 96, 24):
            rows = torch.randint(0, 100, (32,))
            loss = F.cross_entropy(model(few[0][rows]), few[1][rows])
            with torch.no_grad():
                sure, guess = model(x).softmax(1).max(1)
            each = F.cross_entropy(model(view(x)), guess, reduction="none")
            loss = loss + (each * (sure > 0.95)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("two-passes-that-must-agree", at_least=0.92)
def two_passes(seed: int, watched: Watched) -> float:
    """R-Drop (Liang et al. 2021): the batch goes twice through dropout."""
    digits = data.digits(seed)
    model = stack([64, 96, 64, 10], dropout=0.3)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            one, two = (model(x).log_softmax(1) for _ in range(2))
            apart = F.kl_div(one, two, reduction="batchmean", log_target=True)
            apart = apart + F.kl_div(two, one, reduction="batchmean", log_target=True)
            loss = F.nll_loss(one, y) + F.nll_loss(two, y) + apart
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("two-students-that-teach-each-other", at_least=0.92)
def mutual(seed: int, watched: Watched) -> float:
    """Mutual learning (Zhang et al. 2018): two networks, two optimizers, steps in turn."""
    digits = data.digits(seed)
    pair = nn.ModuleList([stack([64, 64, 10]), small_lenet()])
    optimizers = [
        SGD(pair[0].parameters(), lr=0.05, momentum=0.9),
        Adam(pair[1].parameters(), 2e-3),
    ]
    with watched(pair, optimizers):
        for x, y in batches(digits.train, 64, 8):
            for own, other in ((0, 1), (1, 0)):
                said = pair[own](x)
                with torch.no_grad():
                    told = pair[other](x).softmax(1)
                loss = F.cross_entropy(said, y)
                loss = loss + F.kl_div(said.log_softmax(1), told, reduction="batchmean")
                optimizers[own].zero_grad()
                loss.backward()
                optimizers[own].step()
    return reached(pair[1], digits)


@kind("after-a-slow-copy-of-itself", at_least=0.8)
def own_copy(seed: int, watched: Watched) -> float:
    """BYOL (Grill et al. 2020): a copy that follows slowly gives the targets."""

    class Online(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([64, 96, 32], norm=True)
            self.guess = stack([32, 48, 32], norm=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.guess(self.body(x))

    digits = data.digits(seed)
    model = Online()
    slow = copy.deepcopy(model.body).requires_grad_(False)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 128, 16):
            one, two = view(x), view(x)
            with torch.no_grad():
                aims = slow(two), slow(one)
            loss = 2 - F.cosine_similarity(model(one), aims[0]).mean()
            loss = loss - F.cosine_similarity(model(two), aims[1]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for each, one_ in zip(slow.parameters(), model.body.parameters(), strict=True):
                    each.lerp_(one_, 0.02)
    return nearest(model.body, digits)
