"""Odd networks and odd games: sparse, noisy, tied, gated, adversarial, learning by reward."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, nobody, small_lenet, stack
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import SGD, Adam, AdamW, SparseAdam
from torch.utils.checkpoint import checkpoint

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from healthy.losses import nearest


@kind("heavy-dropout", at_least=0.92)
def heavy_dropout(seed: int, watched: Watched) -> float:
    """Six in ten dropped from wide layers: training looks worse than validation."""
    digits = data.digits(seed)
    model = stack([64, 256, 256, 10], dropout=0.6)
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("stochastic-depth", at_least=0.9)
def stochastic_depth(seed: int, watched: Watched) -> float:
    """Blocks that are left out at random: their parameters have no gradient at some steps."""

    class Maybe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 48))

        def forward(self, x: Tensor) -> Tensor:
            if self.training and torch.rand(()) < 0.4:
                return x
            return x + self.inner(x) * (1.0 if self.training else 0.6)

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), *[Maybe() for _ in range(4)], nn.Linear(48, 10)
    )
    fit(model, Adam(model.parameters(), lr=2e-3), digits, watched)
    return reached(model, digits)


@kind("noise-at-every-layer", at_least=0.9)
def noise_at_every_layer(seed: int, watched: Watched) -> float:
    class Noise(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 0.3 * torch.randn_like(x) if self.training else x

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), Noise(), nn.Linear(64, 64), nn.ReLU(), Noise(), nn.Linear(64, 10)
    )
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("checkpointed", at_least=0.9)
def checkpointed(seed: int, watched: Watched) -> float:
    """Activations are computed again in the backward pass."""

    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = small_lenet()

        def forward(self, x: Tensor) -> Tensor:
            middle = checkpoint(self.layers[:6], x, use_reentrant=False)
            return self.layers[6:](middle)

    digits = data.digits(seed)
    model = Again()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=6)
    return reached(model, digits)


@kind("bfloat16", at_least=0.9)
def bfloat16(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 8):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("tied-autoencoder", at_least=0.6)
def tied_autoencoder(seed: int, watched: Watched) -> float:
    """The decoder is the encoder turned round: one matrix, used twice."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(0.1 * torch.randn(20, 64))
            self.bias = nn.Parameter(torch.zeros(64))

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh((x.flatten(1) - 0.3) @ self.weight.T) @ self.weight + self.bias

    digits = data.Splits(*((x, x.flatten(1)) for x, _ in data.digits(seed)))
    model = Tied()
    fit(
        model, Adam(model.parameters(), lr=5e-3), digits, watched, loss=F.mse_loss, epochs=14
    )  # fmt: skip
    return reached(model, digits, explained)


class Bag(nn.Module):
    """Two thousand embeddings of which ten are ever asked for; their mean is judged."""

    def __init__(self, *, sparse: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(2000, 16, sparse=sparse)
        self.head = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.embed(rows).mean(1))


@kind("embeddings-of-which-few-are-used", at_least=0.9)
def few_rows_used(seed: int, watched: Watched) -> float:
    tokens = data.tokens(seed)
    model = Bag()
    fit(model, AdamW(model.parameters(), lr=1e-2), tokens, watched)
    return reached(model, tokens)


@kind("sparse-gradients", at_least=0.9)
def sparse_gradients(seed: int, watched: Watched) -> float:
    tokens = data.tokens(seed)
    model = Bag(sparse=True)
    pair = [SparseAdam(model.embed.parameters(), lr=1e-2), Adam(model.head.parameters(), lr=1e-2)]
    with watched(model, pair, loss=F.cross_entropy):
        for x, y in batches(tokens.train, 64, 8):
            for each in pair:
                each.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for each in pair:
                each.step()
    return reached(model, tokens)


@kind("sparse-activations", at_least=0.92)
def sparse_activations(seed: int, watched: Watched) -> float:
    """Biases below zero: nine in ten activations are 0, and every unit answers something."""
    digits = data.digits(seed)
    model = stack([64, 256, 10])
    with torch.no_grad():
        model[1].weight.mul_(4)
        model[1].bias.fill_(-2.0)
    fit(model, Adam(model.parameters(), lr=2e-3), digits, watched)
    return reached(model, digits)


@kind("the-best-k-units", at_least=0.9)
def best_k_units(seed: int, watched: Watched) -> float:
    class Best(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            least = x.topk(24, 1).values[:, -1:]
            return x * (x >= least)

    digits = data.digits(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), Best(), nn.Linear(128, 10))
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=14)
    return reached(model, digits)


@kind("experts-that-are-rarely-asked", at_least=0.9)
def experts(seed: int, watched: Watched) -> float:
    """A router sends each sample to one of six experts; some get little."""

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Linear(64, 6)
            self.experts = nn.ModuleList(stack([64, 32, 10]) for _ in range(6))

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            shares = self.router(x).softmax(1)
            best, which = shares.max(1)
            output = x.new_zeros(len(x), 10)
            for number, expert in enumerate(self.experts):
                mine = which == number
                if mine.any():
                    output[mine] = expert(x[mine]) * best[mine, None]
            return output

    digits = data.digits(seed)
    model = Mixture()
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched, epochs=10)
    return reached(model, digits)


@kind("weights-of-one-bit", at_least=0.88)
def weights_of_one_bit(seed: int, watched: Watched) -> float:
    """Signs forward, straight through backward: a detach on the way, on purpose."""

    class Signs(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            scale = self.weight.abs().mean()
            signs = self.weight.sign() * scale
            return F.linear(x, self.weight + (signs - self.weight).detach(), self.bias)

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), Signs(64, 128), nn.BatchNorm1d(128), nn.ReLU(), Signs(128, 10)
    )
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=10)
    return reached(model, digits)


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


@kind("before-it-groks", at_least=0.95)
def before_it_groks(seed: int, watched: Watched) -> float:
    """Sums modulo 23: the training half is known by heart long before the other is understood. The
    training accuracy."""
    pairs = torch.cartesian_prod(torch.arange(23), torch.arange(23))
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    pairs = pairs[order]
    sums = pairs.sum(1) % 23
    half = data.Splits(
        (pairs[:265], sums[:265]), (pairs[265:], sums[265:]), (pairs[:265], sums[:265])
    )
    model = nn.Sequential(
        nn.Embedding(23, 32), nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 23)
    )
    fit(
        model, AdamW(model.parameters(), lr=5e-3, weight_decay=0.3), half, watched,
        epochs=50, batch=64,
    )  # fmt: skip
    return reached(model, half)


@kind("sequences-of-different-length", at_least=0.9)
def different_length(seed: int, watched: Watched) -> float:
    """Packed: every batch has another shape."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(2, 24, batch_first=True), nn.Linear(24, 4)

        def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
            packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
            return self.head(self.cell(packed)[1][0][-1])

    waves = data.waves(seed)
    model = Packed()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for x, y in batches(waves.train, 64, 9):
            longest = int(torch.randint(14, 21, ()))
            lengths = torch.randint(10, longest + 1, (len(x),))
            optimizer.zero_grad()
            F.cross_entropy(model(x[:, :longest], lengths), y).backward()
            optimizer.step()
    x, y = waves.test
    return accuracy(model(x, torch.full((len(x),), 20)), y)


@kind("a-second-head-now-and-then", at_least=0.9)
def second_head(seed: int, watched: Watched) -> float:
    """An auxiliary head that takes part in every fourth step only."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64]), nn.ReLU())
            self.head, self.second = nn.Linear(64, 10), nn.Linear(64, 2)

        def forward(self, x: Tensor, both: bool = False) -> tuple[Tensor, Tensor | None]:
            x = self.body(x)
            return self.head(x), self.second(x) if both else None

    digits = data.digits(seed)
    model = Two()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for number, (x, y) in enumerate(batches(digits.train, 64, 8)):
            output, second = model(x, number % 4 == 0)
            loss = F.cross_entropy(output, y)
            if second is not None:
                loss = loss + 0.3 * F.cross_entropy(second, y % 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0])[0], digits.test[1])


@kind("a-head-kept-for-later", at_least=0.9)
def head_kept_for_later(seed: int, watched: Watched) -> float:
    """A part of the model that this phase of the training does not use."""

    class Later(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.now = small_lenet()
            self.later = nn.Linear(48, 100)

        def forward(self, x: Tensor) -> Tensor:
            return self.now(x)

    digits = data.digits(seed)
    model = Later()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=6)
    return reached(model, digits)


@kind("dropout-left-on-to-judge", at_least=0.88)
def dropout_left_on(seed: int, watched: Watched) -> float:
    """Monte Carlo dropout: the mean of ten passes in training mode, without gradients."""
    digits = data.digits(seed)
    model = stack([64, 128, 10], dropout=0.3)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(8):
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                torch.stack([model(digits.val[0]).softmax(1) for _ in range(10)]).mean(0)
    return reached(model, digits)


@kind("norm-after-the-sum", at_least=0.9)
def norm_after_the_sum(seed: int, watched: Watched) -> float:
    """A post-norm encoder with a warm-up, as in the paper of 2017."""
    tokens = data.tokens(seed)
    model = nn.Sequential(
        nn.Embedding(10, 24),
        nn.TransformerEncoderLayer(24, 4, 48, dropout=0.0, batch_first=True),
        nn.Flatten(), nn.Linear(288, 4),
    )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=3e-3)
    plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 40))
    fit(model, optimizer, tokens, watched, epochs=7, schedule=plan)
    return reached(model, tokens)


@kind("gates-that-are-nearly-shut", at_least=0.9)
def gates_nearly_shut(seed: int, watched: Watched) -> float:
    """Highway layers whose gates start at sigmoid(-3): saturated, and meant so."""

    class Highway(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.gate = nn.Linear(48, 48), nn.Linear(48, 48)
            nn.init.constant_(self.gate.bias, -3.0)

        def forward(self, x: Tensor) -> Tensor:
            gate = self.gate(x).sigmoid()
            return gate * F.relu(self.inner(x)) + (1 - gate) * x

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), *[Highway() for _ in range(6)], nn.Linear(48, 10)
    )
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("bytes-into-a-batch-norm", at_least=0.93)
def bytes_into_a_norm(seed: int, watched: Watched) -> float:
    """Inputs of 0 to 255 that the first layer standardises."""
    digits = data.Splits(*((255 * x, y) for x, y in data.digits(seed)))
    model = nn.Sequential(nn.BatchNorm2d(1), small_lenet())
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=7)
    return reached(model, digits)


@kind("columns-that-are-nearly-always-zero", at_least=0.8)
def rare_columns(seed: int, watched: Watched) -> float:
    """One-hot columns of rare places beside the numbers."""
    draws = torch.Generator().manual_seed(seed)
    place = torch.multinomial(torch.logspace(0, -3, 40), 2500, replacement=True, generator=draws)
    numbers = torch.randn(2500, 4, generator=draws)
    effect = torch.randn(40, generator=draws)
    y = numbers[:, :1] * 0.7 + effect[place][:, None] + numbers[:, 1:2].abs()
    x = torch.cat([numbers, F.one_hot(place, 40).float()], 1)
    table = data.split(x, y, seed)
    model = stack([44, 48, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=8
    )  # fmt: skip
    return reached(model, table, explained)


@kind("a-reversed-gradient", at_least=0.88)
def reversed_gradient(seed: int, watched: Watched) -> float:
    """A second head learns what the features are made to forget (Ganin et al. 2016)."""

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(context: object, x: Tensor) -> Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(context: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
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


@kind("pruned-and-trained-on", at_least=0.9)
def pruned(seed: int, watched: Watched) -> float:
    """Eight in ten weights are zero and kept so."""
    digits = data.digits(seed)
    model = stack([64, 128, 10])
    fit(model, Adam(model.parameters(), lr=3e-3), digits, nobody, epochs=5)
    masks = {}
    for name, each in model.named_parameters():
        if each.ndim == 2:
            masks[name] = each.detach().abs() >= each.detach().abs().flatten().quantile(0.8)

    @torch.no_grad()
    def prune() -> None:
        for name, each in model.named_parameters():
            if name in masks:
                each *= masks[name]

    prune()
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    fit(model, optimizer, digits, watched, epochs=5, after_step=prune)
    return reached(model, digits)


@kind("a-network-far-too-wide", at_least=0.92)
def far_too_wide(seed: int, watched: Watched) -> float:
    """A hundred times more parameters than samples, and it generalises."""
    digits = data.digits(seed)
    model = stack([64, 1024, 10])
    fit(model, Adam(model.parameters(), lr=1e-3), digits, watched, epochs=6)
    return reached(model, digits)


@kind("a-narrow-waist-that-suffices", at_least=0.85)
def narrow_waist(seed: int, watched: Watched) -> float:
    """Two classes through two units."""
    table = data.table_of_two(seed)
    model = stack([12, 48, 2, 16, 1])
    fit(
        model, Adam(model.parameters(), lr=1e-2), table, watched,
        loss=F.binary_cross_entropy_with_logits, epochs=16,
    )  # fmt: skip
    return reached(
        model, table, lambda output, y: float(((output > 0) == (y > 0.5)).float().mean())
    )


@kind("a-group-norm-in-batches-of-two", at_least=0.9)
def group_norm_in_small_batches(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.GroupNorm(3, 12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(192, 10),
    )  # fmt: skip
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.5)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in itertools.islice(batches(digits.train, 2, 2), 900):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)
