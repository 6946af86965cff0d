"""Odd losses: of inputs built anew, which reach no zero."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import Adam

import data
from healthy import kind
from healthy._plain import batches
from networks import stack


@kind("variational-autoencoder", at_least=0.5)
def variational(seed: int, watched: Watched) -> float:
    """Reconstruction and divergence pull in two directions; the sum stays high."""

    class Variational(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = stack([64, 64, 16]), stack([8, 64, 64])

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean, log_variance = self.encoder(x).chunk(2, 1)
            z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            return self.decoder(z), mean, log_variance

    digits = data.digits(seed)
    model = Variational()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 16):
            output, mean, log_variance = model(x)
            left = F.binary_cross_entropy_with_logits(output, x.flatten(1), reduction="sum")
            apart = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
            loss = (left + 0.3 * apart) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x = digits.test[0].flatten(1)
    return explained(model(digits.test[0])[0].sigmoid(), x)


@kind("denoising", at_least=0.5)
def denoising(seed: int, watched: Watched) -> float:
    """The noise of every level is predicted: the loss has a floor far above 0."""
    digits = data.digits(seed)
    model = stack([65, 128, 128, 64])
    optimizer = Adam(model.parameters(), lr=2e-3)

    def noisy(x: Tensor) -> tuple[Tensor, Tensor]:
        x = 4 * x.flatten(1) - 1.2
        level, noise = torch.rand(len(x), 1), torch.randn_like(x)
        mixed = (1 - level).sqrt() * x + level.sqrt() * noise
        return torch.cat([mixed, level], 1), noise

    with watched(model, optimizer, loss=F.mse_loss):
        for x, _ in batches(digits.train, 64, 16):
            given, noise = noisy(x)
            loss = F.mse_loss(model(given), noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    given, noise = noisy(digits.test[0])
    return explained(model(given), noise)
