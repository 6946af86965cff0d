"""Ordinary networks that draw: codes, masks, colours, finer pictures, samples of a cloud."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import explained, overlap
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import StepLR

import data
from healthy import kind
from healthy._everyday import taught
from healthy._plain import batches
from networks import stack


def same(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


def conv(wide: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(wide, out, 3, padding=1)


@kind("digits-through-two-numbers-with-noise", at_least=0.2)
def two_numbers(seed: int, watched: Watched) -> float:
    """A variational autoencoder, the sum of pixels' entropies and of the divergence: share of the
    variance that two numbers give back."""

    class Vae(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.code = stack([64, 96]), nn.Linear(96, 4)
            self.out = stack([2, 96, 64])

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean, log_var = self.code(self.inner(x).relu()).chunk(2, 1)
            drawn = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
            return self.out(drawn), mean, log_var

    def loss(x: Tensor, logits: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="sum")
        apart = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()
        return (entropy + apart) / len(x)

    digits, model = data.digits(seed), Vae()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for _ in range(40):
            model.train()
            for x, _ in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                value = loss(x, *model(x))
                value.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                loss(digits.val[0], *model(digits.val[0])).item()
    with torch.no_grad():
        x = digits.test[0].flatten(1)
        return explained(model.out(model.code(model.inner(x).relu())[:, :2]).sigmoid(), x)


@kind("ordinary-figures-through-a-waist-of-pixels", at_least=0.6)
def waist(seed: int, watched: Watched) -> float:
    """A convolutional autoencoder of pictures in colour."""
    sets = data.Splits(*((x, x) for x, _ in data.shapes(seed)))
    model = same(
        conv(3, 16), nn.ReLU(), nn.MaxPool2d(2), conv(16, 8), nn.ReLU(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 16, 2, stride=2), nn.ReLU(),
        nn.ConvTranspose2d(16, 3, 2, stride=2), nn.Sigmoid(),
    )  # fmt: skip
    return taught(
        model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=10, loss=nn.MSELoss(),
        score=explained,
    )  # fmt: skip


@kind("noise-taken-off-digits", at_least=0.6)
def noise_off(seed: int, watched: Watched) -> float:
    """A network of the difference, as DnCNN: pictures with noise in, clean ones out."""
    draws = torch.Generator().manual_seed(seed)
    sets = data.Splits(
        *((x + 0.3 * torch.randn(x.shape, generator=draws), x) for x, _ in data.digits(seed))
    )

    class Residue(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = same(
                conv(1, 16), nn.ReLU(), conv(16, 16), nn.BatchNorm2d(16), nn.ReLU(), conv(16, 1)
            )

        def forward(self, x: Tensor) -> Tensor:
            return x - self.inner(x)

    model = Residue()
    return taught(
        model, Adam(model.parameters(), lr=2e-3), sets, watched, epochs=8, loss=F.mse_loss,
        score=explained,
    )  # fmt: skip


@kind("twice-as-fine-by-shuffled-pixels", at_least=0.7)
def finer(seed: int, watched: Watched) -> float:
    sets = data.Splits(*((F.avg_pool2d(x, 2), x) for x, _ in data.shapes(seed)))
    model = same(conv(3, 24), nn.ReLU(), conv(24, 24), nn.ReLU(), conv(24, 12), nn.PixelShuffle(2))
    optimizer = Adam(model.parameters(), lr=2e-3)
    return taught(
        model, optimizer, sets, watched, epochs=8, batch=25, loss=nn.L1Loss(), score=explained,
        schedule=StepLR(optimizer, 5, 0.3),
    )  # fmt: skip


@kind("a-hole-filled-in-as-usual", at_least=0.45)
def hole(seed: int, watched: Watched) -> float:
    """The middle of a digit from what is around it, told where by a second channel."""
    hidden = torch.zeros(1, 1, 8, 8)
    hidden[:, :, 3:5, 2:6] = 1

    def made(x: Tensor) -> tuple[Tensor, Tensor]:
        there = hidden.expand_as(x)
        return torch.cat([x * (1 - there), there], 1), x[:, :, 3:5, 2:6].flatten(1)

    sets = data.Splits(*(made(x) for x, _ in data.digits(seed)))
    model = same(
        conv(2, 24), nn.ReLU(), conv(24, 24), nn.ReLU(), nn.Flatten(), nn.Linear(1536, 64),
        nn.ReLU(), nn.Linear(64, 8),
    )  # fmt: skip
    return taught(
        model, Adam(model.parameters(), lr=1e-3), sets, watched, epochs=10, loss=F.mse_loss,
        score=explained, keep_best=True,
    )  # fmt: skip


@kind("masks-by-a-small-u", at_least=0.75)
def small_u(seed: int, watched: Watched) -> float:
    class Unet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = same(conv(3, 16), nn.BatchNorm2d(16), nn.ReLU())
            self.low = same(conv(16, 32), nn.BatchNorm2d(32), nn.ReLU(), conv(32, 32), nn.ReLU())
            self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
            self.last = same(conv(32, 16), nn.ReLU(), nn.Conv2d(16, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            fine = self.down(x)
            low = self.low(F.max_pool2d(fine, 2))
            return self.last(torch.cat([fine, self.up(low)], 1))

    model = Unet()
    return taught(
        model, AdamW(model.parameters(), lr=4e-3), data.masks(seed), watched, epochs=10, batch=20,
        loss=nn.BCEWithLogitsLoss(), score=overlap,
    )  # fmt: skip


@kind("each-pixel-one-of-five", at_least=0.8)
def one_of_five(seed: int, watched: Watched) -> float:
    """Background or one of four figures: most of the pixels are background. Accuracy on the rest,
    whatever figure it is."""
    images, kinds, covered = data._shapes()
    target = torch.where(covered[:, 0] > 0.5, 1 + kinds[:, None, None], 0)
    sets = data.split(images, target, seed, val=150, test=250)
    model = same(
        conv(3, 16), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=2, dilation=2), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 24, 3, padding=4, dilation=4), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 5, 1),
    )  # fmt: skip

    def found(output: Tensor, y: Tensor) -> float:
        return float(((output.argmax(1) > 0) == (y > 0)).float().mean())

    return taught(
        model, SGD(model.parameters(), lr=0.05, momentum=0.9), sets, watched, epochs=8, batch=25,
        score=found,
    )  # fmt: skip


@kind("where-and-how-large", at_least=0.75)
def where(seed: int, watched: Watched) -> float:
    """Centre and extent of the figure in parts of the picture."""
    images, _, covered = data._shapes()
    place = torch.linspace(0, 1, 16)
    mass = covered[:, 0].sum((1, 2)).clamp(min=1)
    down = (covered[:, 0].sum(2) * place).sum(1) / mass
    right = (covered[:, 0].sum(1) * place).sum(1) / mass
    target = torch.stack([down, right, (mass / 256).sqrt()], 1)
    sets = data.split(images, target, seed, val=200, test=300)
    model = same(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 3),
    )  # fmt: skip
    return taught(
        model, Adam(model.parameters(), lr=1e-3), sets, watched, epochs=12,
        loss=nn.SmoothL1Loss(), score=explained,
    )  # fmt: skip


@kind("ordinary-a-ring-drawn-against-a-critic", at_least=0.7)
def ring(seed: int, watched: Watched) -> float:
    """A plain GAN on points of a ring: share of the drawn that lie near it, in at least six of
    eight directions."""
    generator = stack([4, 48, 48, 2], nn.LeakyReLU)
    critic = stack([2, 48, 48, 1], nn.LeakyReLU)
    of_generator = Adam(generator.parameters(), lr=5e-4, betas=(0.5, 0.9))
    of_critic = Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    ones, zeros = torch.ones(128, 1), torch.zeros(128, 1)
    both = nn.BCEWithLogitsLoss()
    with watched(nn.ModuleList([generator, critic]), [of_generator, of_critic], loss=both):
        for _ in range(1500):
            angle = 6.2832 * torch.rand(128)
            real = torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(128, 2)
            drawn = generator(torch.randn(128, 4))
            of_critic.zero_grad()
            (both(critic(real), ones) + both(critic(drawn.detach()), zeros)).backward()
            of_critic.step()
            of_generator.zero_grad()
            both(critic(drawn), ones).backward()
            of_generator.step()
    with torch.no_grad():
        drawn = generator(torch.randn(500, 4))
    near = (drawn.norm(dim=1) - 1).abs() < 0.3
    places = ((torch.atan2(drawn[:, 1], drawn[:, 0]) + 3.1416) / 0.7854).long().clamp(0, 7)
    return float(near.float().mean()) * float(len(places[near].unique()) >= 6)


@kind("noise-foretold-on-a-small-diffusion", at_least=0.35)
def diffusion(seed: int, watched: Watched) -> float:
    """Points of two moons under noise of twenty strengths; what share of the noise is told."""
    angle = 3.1416 * torch.rand(1500)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    x[::2] = torch.tensor([1.0, 0.5]) - x[::2]
    kept = torch.linspace(0.99, 0.02, 20).sqrt()[:, None]
    model = stack([3, 96, 96, 2], nn.SiLU)
    optimizer = AdamW(model.parameters(), lr=3e-3)

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        time, noise = torch.randint(0, 20, (len(x),)), torch.randn_like(x)
        given = kept[time] * x + (1 - kept[time] ** 2).sqrt() * noise
        return model(torch.cat([given, time[:, None] / 20], 1)), noise

    with watched(model, optimizer, loss=F.mse_loss):
        for some, _ in batches((x[:1200], x[:1200]), 100, 50):
            loss = F.mse_loss(*both(some))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return explained(*both(x[1200:].repeat(10, 1)))
