"""Odd loops that touch weights beside the steps: bounds, unit lengths, draws, clusters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import SGD, Adam, RMSprop

import data
from healthy import kind
from healthy._everyday import taught
from healthy._plain import batches, fit, reached
from networks import stack


@kind("no-weight-below-zero-as-usual", at_least=0.5)
def no_weight_below_zero(seed: int, watched: Watched) -> float:
    """Digits as sums of parts: a decoder that is clamped after each step."""
    digits = data.digits(seed)
    sets = data.Splits(*((x, x.flatten(1)) for x, _ in digits))
    encoder = nn.Sequential(stack([64, 64, 24]), nn.Softplus())
    decoder = nn.Linear(24, 64, bias=False)
    nn.init.uniform_(decoder.weight, 0, 0.04)
    model = nn.Sequential(encoder, decoder)

    def clamp() -> None:
        with torch.no_grad():
            decoder.weight.clamp_(min=0)

    fit(
        model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=20, loss=F.mse_loss,
        after_step=clamp,
    )  # fmt: skip
    return reached(model, sets, explained)


@kind("words-of-length-one-in-a-dictionary", at_least=0.5)
def sparse_coding(seed: int, watched: Watched) -> float:
    """A sparse code: its columns are brought back to length one after each step."""
    digits = data.digits(seed)
    encoder, decoder = stack([64, 96, 48]), nn.Linear(48, 64)
    model = nn.Sequential(encoder, nn.ReLU(), decoder)
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 20):
            code = encoder(x).relu()
            loss = F.mse_loss(decoder(code), x.flatten(1)) + 1e-3 * code.abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                decoder.weight /= decoder.weight.norm(dim=0, keepdim=True)
    with torch.no_grad():
        x = digits.test[0]
        return explained(model(x), x.flatten(1))


@kind("a-critic-kept-in-a-box", at_least=0.6)
def critic_in_a_box(seed: int, watched: Watched) -> float:
    """The first Wasserstein GAN: the critic's weights are clamped to a twentieth after each step,
    five steps of it to one of the generator. One less the distance of the sorted samples."""
    generator, critic = stack([3, 32, 1]), stack([1, 48, 48, 1], nn.LeakyReLU)
    of_generator = RMSprop(generator.parameters(), lr=1e-3)
    of_critic = RMSprop(critic.parameters(), lr=1e-3)
    with watched(nn.ModuleList([generator, critic]), [of_generator, of_critic]):
        for _ in range(300):
            for _ in range(5):
                real = 2 + 0.5 * torch.randn(64, 1)
                drawn = generator(torch.randn(64, 3)).detach()
                of_critic.zero_grad()
                (critic(drawn).mean() - critic(real).mean()).backward()
                of_critic.step()
                with torch.no_grad():
                    for each in critic.parameters():
                        each.clamp_(-0.1, 0.1)
            of_generator.zero_grad()
            (-critic(generator(torch.randn(64, 3))).mean()).backward()
            of_generator.step()
    with torch.no_grad():
        drawn = generator(torch.randn(1000, 3))[:, 0].sort().values
    return 1 - float((drawn - (2 + 0.5 * torch.randn(1000)).sort().values).abs().mean())


class Drawn(nn.Linear):
    """A linear layer whose weights are drawn about a mean at each pass."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__(wide, out)
        self.log_std = nn.Parameter(torch.full((out, wide), -4.0))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.training:
            weight = weight + torch.randn_like(weight) * self.log_std.exp()
        return F.linear(x, weight, self.bias)

    def apart(self) -> Tensor:
        """The divergence from a normal of deviation 0.3."""
        variance = ((2 * self.log_std).exp() + self.weight**2) / 0.09
        return 0.5 * (variance - 1 - 2 * self.log_std - 2.408).sum()


@kind("weights-that-are-distributions", at_least=0.9)
def weights_as_distributions(seed: int, watched: Watched) -> float:
    """Bayes by backpropagation: cross-entropy and a share of the divergence of all weights."""
    digits = data.digits(seed)
    first, last = Drawn(64, 64), Drawn(64, 10)
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(20):
            model.train()
            for x, y in batches(digits.train, 64, 1):
                loss = F.cross_entropy(model(x), y)
                loss = loss + 0.1 * (first.apart() + last.apart()) / len(digits.train[0])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(digits.val[0]), digits.val[1]).item()
    return reached(model, digits)


@kind("ordinary-layers-that-stretch-nothing", at_least=0.9)
def spectral(seed: int, watched: Watched) -> float:
    """Each layer is divided by its largest singular value, the output is scaled."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(
                nn.Flatten(), spectral_norm(nn.Linear(64, 96)), nn.ReLU(),
                spectral_norm(nn.Linear(96, 10)),
            )  # fmt: skip

        def forward(self, x: Tensor) -> Tensor:
            return 8 * self.inner(x)

    model = Scaled()
    return taught(
        model, Adam(model.parameters(), lr=3e-3), data.digits(seed), watched, epochs=12
    )  # fmt: skip


@kind("centres-that-are-looked-for-anew", at_least=0.6)
def deep_clustering(seed: int, watched: Watched) -> float:
    """Ten centres in a code, sharpened assignments as targets, beside the autoencoder's loss. How
    pure the clusters are."""
    digits = data.digits(seed)
    x = digits.train[0].flatten(1)
    encoder, decoder = stack([64, 96, 10]), stack([10, 96, 64])
    before = Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    for some, _ in batches((x, x), 64, 25):
        before.zero_grad()
        F.mse_loss(decoder(encoder(some)), some).backward()
        before.step()
    with torch.no_grad():
        code = encoder(x)
        centres = code[:1]
        for _ in range(9):  # the farthest next
            far = torch.cdist(code, centres).amin(1).argmax()
            centres = torch.cat([centres, code[far][None]])
        for _ in range(20):
            nearest = torch.cdist(code, centres).argmin(1)
            centres = torch.stack([code[nearest == k].mean(0) for k in range(10)])
    model = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    kept = nn.Parameter(centres)
    optimizer = SGD([*model.parameters(), kept], lr=0.02, momentum=0.9)

    def shares(some: Tensor) -> Tensor:
        near = 1 / (1 + torch.cdist(encoder(some), kept) ** 2)
        return near / near.sum(1, keepdim=True)

    with watched(model, optimizer):
        for some, _ in batches((x, x), 64, 10):
            q = shares(some)
            p = q.detach() ** 2 / q.detach().sum(0)
            p = p / p.sum(1, keepdim=True)
            loss = 0.1 * F.kl_div(q.log(), p, reduction="batchmean")
            loss = loss + F.mse_loss(decoder(encoder(some)), some)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = shares(digits.test[0].flatten(1)).argmax(1)
    table = torch.zeros(10, 10)
    for cluster, label in zip(said.tolist(), digits.test[1].tolist(), strict=True):
        table[cluster, label] += 1
    return float(table.amax(1).sum() / table.sum())


@kind("toward-the-end-of-each-task", at_least=0.75)
def reptile(seed: int, watched: Watched) -> float:
    """Sines of any phase: five steps on each, then a part of the way there; explained after ten
    steps on new ones."""
    model = stack([1, 40, 40, 1], nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.05)
    draws = torch.Generator().manual_seed(seed)

    def task() -> tuple[Tensor, Tensor]:
        x = 6 * torch.rand(40, 1, generator=draws) - 3
        return x, (x + 1.5 * torch.rand(1, generator=draws)).sin()

    def steps(x: Tensor, y: Tensor, count: int) -> None:
        for _ in range(count):
            loss = F.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with watched(model, optimizer, loss=F.mse_loss):
        for _ in range(250):
            before = [each.detach().clone() for each in model.parameters()]
            steps(*task(), 5)
            with torch.no_grad():
                for old, new in zip(before, model.parameters(), strict=True):
                    new.copy_(old + 0.5 * (new - old))
    kept = {name: each.clone() for name, each in model.state_dict().items()}
    scores = []
    for _ in range(10):
        model.load_state_dict(kept)
        x, y = task()
        steps(x[:20], y[:20], 10)
        with torch.no_grad():
            scores.append(explained(model(x[20:]), y[20:]))
    return sum(scores) / len(scores)


@kind("noise-told-from-words", at_least=0.85)
def noise_contrastive(seed: int, watched: Watched) -> float:
    """Sixty classes by noise-contrastive estimation: the right one against eight drawn ones."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 60, (3200,), generator=draws)
    x = 1.2 * torch.randn(60, 24, generator=draws)[y] + torch.randn(3200, 24, generator=draws)
    sets = data.split(x, y, seed)
    body, words = stack([24, 96, 32]), nn.Embedding(60, 32)
    model = nn.ModuleDict({"body": body, "words": words})
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(sets.train, 64, 14):
            noise = torch.randint(0, 60, (len(x), 8))
            code = body(x)[:, :, None]
            right = (words(y[:, None]) @ code)[:, 0, 0]
            wrong = (words(noise) @ code)[:, :, 0]
            loss = -F.logsigmoid(right).mean() - F.logsigmoid(-wrong).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return accuracy(body(sets.test[0]) @ words.weight.T, sets.test[1])
