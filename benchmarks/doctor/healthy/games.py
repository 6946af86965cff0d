"""Odd games: two players, a copy that is followed, a reward, a gradient turned round."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam

import data
from healthy import kind
from healthy._plain import batches, reached
from healthy.distances import nearest
from networks import stack


@kind("two-views-and-a-stopped-gradient", at_least=0.75)
def stopped_gradient(seed: int, watched: Watched) -> float:
    """SimSiam (Chen & He 2021): one side is detached, the loss is negative."""

    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 96, 32], norm=True), nn.BatchNorm1d(32))
            self.guess = stack([32, 16, 32], norm=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    digits = data.digits(seed)
    model = Views()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 128, 14):
            one, two = (model(x * (torch.rand_like(x) > 0.2)) for _ in range(2))
            loss = -0.5 * (
                F.cosine_similarity(model.guess(one), two.detach()).mean()
                + F.cosine_similarity(model.guess(two), one.detach()).mean()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nearest(model, digits)


@kind("a-generator-and-its-critic", at_least=0.7)
def generator_and_critic(seed: int, watched: Watched) -> float:
    """A GAN of two numbers: neither loss falls. 1 minus the error of mean and deviation."""
    draws = torch.Generator().manual_seed(seed)
    generator, critic = stack([4, 32, 32, 2]), stack([2, 32, 32, 1])
    pair = nn.ModuleDict({"generator": generator, "critic": critic})
    optimizers = [
        Adam(each.parameters(), lr=2e-3, betas=(0.5, 0.9)) for each in (generator, critic)
    ]
    centre, width = torch.tensor([1.0, -0.5]), torch.tensor([0.5, 0.8])
    with watched(pair, optimizers):
        for _ in range(500):
            real = centre + width * torch.randn(64, 2, generator=draws)
            fake = generator(torch.randn(64, 4))
            loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
            optimizers[1].zero_grad()
            loss.backward()
            optimizers[1].step()
            loss = F.softplus(-critic(fake)).mean()
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
    with torch.no_grad():
        made = generator(torch.randn(2000, 4))
    return 1 - float(((made.mean(0) - centre).abs() + (made.std(0) - width).abs()).mean())


@kind("a-value-network-with-a-target-copy", at_least=0.9)
def value_network(seed: int, watched: Watched) -> float:
    """Q-learning on a ring of eight places: targets move, the loss wanders."""
    draws = torch.Generator().manual_seed(seed)
    model, target = stack([8, 32, 2]), stack([8, 32, 2])
    target.load_state_dict(model.state_dict())
    optimizer = Adam(model.parameters(), lr=5e-3)
    places = torch.eye(8)
    with watched(model, optimizer):
        for number in range(500):
            here = torch.randint(0, 8, (32,), generator=draws)
            action = torch.randint(0, 2, (32,), generator=draws)
            there = (here + 2 * action - 1) % 8
            reward = (there == 0).float()
            with torch.no_grad():
                wanted = reward + 0.8 * target(places[there]).max(1).values * (1 - reward)
            value = model(places[here]).gather(1, action[:, None]).squeeze(1)
            loss = F.smooth_l1_loss(value, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if number % 25 == 24:
                target.load_state_dict(model.state_dict())
    best = torch.tensor([0, 0, 0, 1, 1, 1])  # left from 1, 2, 3; right from 5, 6, 7
    asked = [1, 2, 3, 5, 6, 7]
    return float((model(places[asked]).argmax(1) == best).float().mean())


@kind("learning-by-reward", at_least=0.8)
def learning_by_reward(seed: int, watched: Watched) -> float:
    """REINFORCE with a baseline: its loss says nothing of how good it is."""
    tokens = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    baseline = 0.1
    with watched(model, optimizer):
        for x, y in batches(tokens.train, 128, 40):
            said = torch.distributions.Categorical(logits=model(x))
            action = said.sample()
            reward = (action == y).float()
            loss = -(said.log_prob(action) * (reward - baseline)).mean()
            baseline = 0.95 * baseline + 0.05 * float(reward.mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, tokens)


@kind("a-reversed-gradient", at_least=0.88)
def reversed_gradient(seed: int, watched: Watched) -> float:
    """A second head learns what the features are made to forget (Ganin et al. 2016)."""

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(context: object, x: Tensor) -> Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(context: object, gradient: Tensor) -> Tensor:
            return -0.3 * gradient

    class Adversarial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64, 48]), nn.ReLU())
            self.head, self.place = nn.Linear(48, 10), stack([48, 32, 2])

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.body(x)
            return self.head(x), self.place(Reverse.apply(x))

    digits = data.digits(seed)
    model = Adversarial()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 10):
            place = torch.randint(0, 2, y.shape)
            output, guess = model(x + 0.2 * place[:, None, None, None])
            loss = F.cross_entropy(output, y) + F.cross_entropy(guess, place)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0])[0], digits.test[1])
