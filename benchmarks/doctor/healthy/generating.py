"""Models of distributions and of equations: densities, noise told, derivatives in the loss."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from setups import Watched, explained, stack
from torch import Tensor, nn
from torch.optim import Adam, AdamW

from healthy import kind
from healthy._plain import batches


def moons(seed: int, rows: int = 2000) -> Tensor:
    """Two half circles of points, of deviation about one."""
    draws = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(rows, generator=draws)
    upper = torch.rand(rows, generator=draws) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos()) - 0.5
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin()) - 0.25
    points = torch.stack([1.2 * x, 2 * y], 1)
    return points + 0.08 * torch.randn(rows, 2, generator=draws)


@kind("a-flow-of-couplings", at_least=0.35)
def flow(seed: int, watched: Watched) -> float:
    """Real NVP on two moons: nats gained on a Gaussian that is fitted to them."""

    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nets = nn.ModuleList(stack([1, 48, 48, 2], nn.Tanh) for _ in range(8))

        def forward(self, x: Tensor) -> Tensor:
            a, b = x[:, :1], x[:, 1:]
            total = torch.zeros(len(x))
            for net in self.nets:
                scale, shift = net(a).chunk(2, 1)
                scale = scale.tanh()
                b = b * scale.exp() + shift
                total = total + scale[:, 0]
                a, b = b, a
            normal = -0.5 * (a * a + b * b)[:, 0] - math.log(2 * math.pi)
            return normal + total

    points = moons(seed)
    train, test = points[:1600], points[1600:]
    model = Flow()
    optimizer = Adam(model.parameters(), lr=4e-3)
    with watched(model, optimizer):
        for x, _ in batches((train, train), 100, 14):
            loss = -model(x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    plain = torch.distributions.MultivariateNormal(train.mean(0), train.T.cov())
    return float((model(test) - plain.log_prob(test)).mean().detach())


@kind("noise-of-any-strength-told", at_least=0.5)
def diffusion(seed: int, watched: Watched) -> float:
    """A denoiser asked for the noise itself: the loss has a high floor by nature. R2 of noise."""

    class Denoiser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([5, 64, 64, 2], nn.SiLU)

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            turns = torch.cat([t, (3 * t).sin(), (3 * t).cos()], 1)
            return self.body(torch.cat([x, turns], 1))

    points = moons(seed)
    model = Denoiser()
    optimizer = AdamW(model.parameters(), lr=3e-3)

    def noised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t, noise = torch.rand(len(x), 1), torch.randn_like(x)
        keep = (t * math.pi / 2).cos()
        return keep * x + (1 - keep**2).clamp(min=0).sqrt() * noise, t, noise

    with watched(model, optimizer):
        for x, _ in batches((points[:1600], points[:1600]), 64, 16):
            x, t, noise = noised(x)
            loss = F.mse_loss(model(x, t), noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, t, noise = noised(points[1600:])
    return explained(model(x, t), noise)


@kind("a-critic-with-a-gradient-penalty", at_least=0.6)
def gradient_penalty(seed: int, watched: Watched) -> float:
    """Wasserstein's game: two optimizers, a loss of any sign, a derivative of a derivative."""
    points = moons(seed)
    maker, critic = stack([4, 64, 64, 2]), stack([2, 64, 64, 1], lambda: nn.LeakyReLU(0.2))
    made = Adam(maker.parameters(), lr=1e-3, betas=(0.5, 0.9))
    judged = Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    pair = nn.ModuleList([maker, critic])
    with watched(pair, [made, judged]):
        for step, (x, _) in enumerate(batches((points, points), 100, 60)):
            fake = maker(torch.randn(len(x), 4)).detach()
            share = torch.rand(len(x), 1)
            between = (share * x + (1 - share) * fake).requires_grad_()
            slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
            penalty = 10 * (slope.norm(dim=1) - 1).square().mean()
            loss = critic(fake).mean() - critic(x).mean() + penalty
            judged.zero_grad()
            loss.backward()
            judged.step()
            if step % 4 == 0:
                loss = -critic(maker(torch.randn(len(x), 4))).mean()
                made.zero_grad()
                loss.backward()
                made.step()
    with torch.no_grad():
        fake = maker(torch.randn(500, 4))
    return 1 - float(torch.cdist(fake, points).min(1).values.mean())


@kind("an-equation-as-the-loss", at_least=0.9)
def equation(seed: int, watched: Watched) -> float:
    """u'' = -u with u(0) = 0, u'(0) = 1 on 0..6: second derivatives, no data. R2."""
    model = stack([1, 32, 32, 1], nn.Tanh)
    optimizer = Adam(model.parameters(), lr=5e-3)
    zero = torch.zeros(1, 1, requires_grad=True)
    with watched(model, optimizer):
        for _ in range(900):
            t = (6 * torch.rand(64, 1)).requires_grad_()
            u = model(t)
            first = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
            second = torch.autograd.grad(first.sum(), t, create_graph=True)[0]
            start = model(zero)
            slope = torch.autograd.grad(start.sum(), zero, create_graph=True)[0]
            loss = (second + u).square().mean()
            loss = loss + 5 * start.square().mean() + 5 * (slope - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    t = torch.linspace(0, 6, 200)[:, None]
    return explained(model(t).detach(), t.sin())
