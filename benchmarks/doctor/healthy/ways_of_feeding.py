"""Batches and loops that look like a fault of theirs and are as they should be."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, accuracy_of_two, explained, small_lenet, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR

import data
from healthy import kind
from healthy._plain import batches, fit, reached


@kind("spectra-in-decibels", at_least=0.9)
def decibels(seed: int, watched: Watched) -> float:
    """Values from -80 to 0 go into a batch norm first, as spectrograms do."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 5, (1500,), generator=draws)
    t = torch.arange(256) / 256
    pitch = 12.0 + 9 * y + 2 * torch.rand(1500, generator=draws)
    wave = (6.283 * pitch[:, None] * t).sin() + 0.4 * torch.randn(1500, 256, generator=draws)
    power = torch.stft(wave, 64, 16, window=torch.hann_window(64), return_complex=True).abs()
    x = 20 * power.clamp(min=1e-4).log10() - 40
    sets = data.split(x[:, None], y, seed)
    model = nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d((8, 1)), nn.Flatten(),
        nn.Linear(192, 5),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=5e-3), sets, watched, epochs=5)
    return reached(model, sets)


@kind("crops-to-train-whole-to-judge", at_least=0.7)
def crops(seed: int, watched: Watched) -> float:
    """Pieces of 13 by 13 in training, pictures of 16 by 16 otherwise: all convolutions."""

    def piece(x: Tensor) -> Tensor:
        top, left = torch.randint(0, 4, (2,)).tolist()
        return x[:, :, top : top + 13, left : left + 13]

    sets = data.shapes(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(),
        nn.Conv2d(48, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(48, 4),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=16, augment=piece)
    return reached(model, sets)


@kind("batches-of-few-classes", at_least=0.9)
def few_classes(seed: int, watched: Watched) -> float:
    """Four classes of ten in each batch, eight of each, for a margin between pairs; a nearest
    neighbour judges the features."""
    digits = data.digits(seed)
    x, y = digits.train
    by_class = [(y == each).nonzero()[:, 0] for each in range(10)]
    model = stack([64, 64, 16])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for _ in range(250):
            some = torch.randperm(10)[:4]
            rows = torch.cat([by_class[c][torch.randperm(len(by_class[c]))[:8]] for c in some])
            known = F.normalize(model(x[rows]), dim=1)
            far = torch.cdist(known, known)
            same = y[rows][:, None] == y[rows][None]
            hard = (far + 9 * ~same).masked_fill(~same, -9).amax(1)
            near = far.masked_fill(same, 9).amin(1)
            loss = F.softplus(4 * (hard - near)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        near = torch.cdist(F.normalize(model(digits.test[0])), F.normalize(model(x))).argmin(1)
    return float((y[near] == digits.test[1]).float().mean())


@kind("steps-on-the-same-batch", at_least=0.9)
def same_batch(seed: int, watched: Watched) -> float:
    """Four small steps on every batch of fresh data, held near to where they began by a ratio that
    is cut off (PPO on a bandit of ten arms with a context): share of best arms."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 128, 30):
            with torch.no_grad():
                old = model(x).log_softmax(1)
                arm = torch.multinomial(old.exp(), 1)
                won = (arm[:, 0] == y).float()
            gain = (won - won.mean()) / (won.std() + 1e-6)
            for _ in range(4):
                chance = model(x).log_softmax(1)
                ratio = (chance - old).gather(1, arm)[:, 0].exp()
                loss = -torch.minimum(ratio * gain, ratio.clamp(0.8, 1.2) * gain).mean()
                loss = loss + 0.01 * (chance.exp() * chance).sum(1).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return reached(model, digits)


@kind("a-table-of-few-distinct-rows", at_least=0.7)
def few_rows(seed: int, watched: Watched) -> float:
    """Four questions with three answers each: 81 rows there are, and all parts share them."""
    draws = torch.Generator().manual_seed(seed)
    answers = torch.randint(0, 3, (2400, 4), generator=draws)
    logit = 1.5 * (answers[:, 0] - 1) * (answers[:, 1] - 1) + answers[:, 2] - 1.0
    y = (torch.rand(2400, generator=draws) < (2.5 * logit).sigmoid()).float()[:, None]
    table = data.split(F.one_hot(answers, 3).flatten(1).float(), y, seed)
    model = stack([12, 32, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=nn.BCEWithLogitsLoss()
    )  # fmt: skip
    return reached(model, table, accuracy_of_two)


@kind("the-time-comes-first", at_least=0.85)
def time_first(seed: int, watched: Watched) -> float:
    """(T, N, C) as torch's recurrent layers have it by default."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 24)
            self.head = nn.Linear(24, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0][-1])

    waves = data.waves(seed)
    model = Last()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for x, y in batches(waves.train, 50, 10):
            loss = F.cross_entropy(model(x.transpose(0, 1)), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return accuracy(model(waves.test[0].transpose(0, 1)), waves.test[1])


@kind("recurrent-from-the-identity", at_least=0.8)
def identity_recurrent(seed: int, watched: Watched) -> float:
    """A plain ReLU recurrence whose matrix begins as the identity (Le et al. 2015)."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.RNN(2, 32, nonlinearity="relu", batch_first=True)
            self.head = nn.Linear(32, 4)
            nn.init.eye_(self.cell.weight_hh_l0)
            nn.init.normal_(self.cell.weight_ih_l0, std=0.05)
            nn.init.zeros_(self.cell.bias_hh_l0)
            nn.init.zeros_(self.cell.bias_ih_l0)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0][:, -1])

    waves = data.waves(seed)
    model = Plain()
    fit(model, Adam(model.parameters(), lr=3e-3), waves, watched, epochs=16, clip=1.0, batch=50)
    return reached(model, waves)


@kind("weights-scaled-as-they-run", at_least=0.9)
def equalised(seed: int, watched: Watched) -> float:
    """Weights of deviation one, divided by the root of the fan-in in each forward, at a rate that
    fits it."""

    class Equal(nn.Module):
        def __init__(self, wide: int, out: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(out, wide))
            self.bias = nn.Parameter(torch.zeros(out))
            self.gain = math.sqrt(2 / wide)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.weight * self.gain, self.bias)

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), Equal(64, 96), nn.LeakyReLU(0.2), Equal(96, 96), nn.LeakyReLU(0.2),
        Equal(96, 10),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=2e-2, betas=(0.0, 0.99)), digits, watched)
    return reached(model, digits)


@kind("values-that-are-missing", at_least=0.75)
def missing_values(seed: int, watched: Watched) -> float:
    """A tenth of the input is NaN; the model fills it with a learned number and says so."""

    class Filling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fill = nn.Parameter(torch.zeros(12))
            self.body = stack([24, 48, 1])

        def forward(self, x: Tensor) -> Tensor:
            gone = x.isnan()
            return self.body(torch.cat([torch.where(gone, self.fill, x), gone.float()], 1))

    table = data.table_of_two(seed)
    away = [torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) for x, _ in table]
    table = data.Splits(
        *((x.masked_fill(a < 0.1, float("nan")), y) for (x, y), a in zip(table, away, strict=True))
    )
    model = Filling()
    fit(
        model, AdamW(model.parameters(), lr=5e-3, weight_decay=0.1), table, watched, epochs=10,
        loss=nn.BCEWithLogitsLoss(),
    )  # fmt: skip
    return reached(model, table, accuracy_of_two)


@kind("a-task-each-step", at_least=0.85)
def tasks_in_turns(seed: int, watched: Watched) -> float:
    """Odd steps tell digits, even steps their ink, whose loss is fifty times smaller."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64]), nn.ReLU())
            self.heads = nn.ModuleList([nn.Linear(64, 10), nn.Linear(64, 1)])

        def forward(self, x: Tensor, task: int) -> Tensor:
            return self.heads[task](self.body(x))

    digits = data.digits(seed)
    model = Two()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for step, (x, y) in enumerate(batches(digits.train, 64, 18)):
            if step % 2:
                loss = F.cross_entropy(model(x, 0), y)
            else:
                loss = F.mse_loss(model(x, 1), x.flatten(1).mean(1, keepdim=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0], 0), digits.test[1])


@kind("tasks-one-after-another", at_least=0.9)
def continual(seed: int, watched: Watched) -> float:
    """Classes 0 to 4, then 5 to 9 with the old ones kept: the loss jumps."""
    digits = data.digits(seed)
    x, y = digits.train
    old = (y < 5).nonzero()[:, 0]
    new = torch.cat([(y > 4).nonzero()[:, 0].repeat(2), old])
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for rows, epochs in ((old, 6), (new, 6)):
            for a, b in batches((x[rows], y[rows]), 64, epochs):
                optimizer.zero_grad()
                F.cross_entropy(model(a), b).backward()
                optimizer.step()
    return reached(model, digits)


@kind("a-penalty-that-grows", at_least=0.4)
def growing_penalty(seed: int, watched: Watched) -> float:
    """A variational autoencoder whose second term comes in slowly: the loss rises as it should."""

    class Variational(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.there, self.back = stack([64, 64, 16]), stack([8, 64, 64])

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mean, width = self.there(x).chunk(2, 1)
            z = mean + (0.5 * width).exp() * torch.randn_like(mean) if self.training else mean
            far = 0.5 * (mean.square() + width.exp() - 1 - width).sum(1).mean()
            return self.back(z), far

    digits = data.digits(seed)
    model = Variational()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for step, (x, _) in enumerate(batches(digits.train, 64, 20)):
            output, far = model(x)
            lost = F.mse_loss(output, x.flatten(1), reduction="none").sum(1).mean()
            loss = lost + 0.3 * min(1.0, max(0, step - 60) / 200) * far
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    x, _ = digits.test
    return explained(model(x)[0].detach(), x.flatten(1))


@kind("losses-weighed-by-learned-numbers", at_least=0.85)
def uncertain_tasks(seed: int, watched: Watched) -> float:
    """Two numbers outside the model weigh the losses and are trained (Kendall et al. 2018)."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64]), nn.ReLU())
            self.kind, self.ink = nn.Linear(64, 10), nn.Linear(64, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            known = self.body(x)
            return self.kind(known), self.ink(known)

    digits = data.digits(seed)
    model, doubt = Two(), nn.Parameter(torch.zeros(2))
    optimizer = Adam([*model.parameters(), doubt], lr=4e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            said, ink = model(x)
            apart = F.mse_loss(ink, x.flatten(1).mean(1, keepdim=True))
            each = torch.stack([F.cross_entropy(said, y), apart])
            loss = ((-doubt).exp() * each + 0.5 * doubt).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0])[0], digits.test[1])


@kind("mean-teacher", at_least=0.85)
def mean_teacher(seed: int, watched: Watched) -> float:
    """200 labels and a teacher, the moving mean of the student, in training mode under no_grad."""
    digits = data.digits(seed)
    x, y = digits.train
    model = stack([64, 64, 10], dropout=0.2)
    teacher = copy.deepcopy(model)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for step in range(300):
            few, many = torch.randint(200, (32,)), torch.randint(len(x), (64,))
            with torch.no_grad():
                wanted = teacher(x[many] + 0.1 * torch.randn_like(x[many])).softmax(1)
            loss = F.cross_entropy(model(x[few]), y[few])
            apart = F.mse_loss(model(x[many]).softmax(1), wanted)
            loss = loss + 5 * min(1.0, step / 100) * apart
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for a, b in zip(teacher.parameters(), model.parameters(), strict=True):
                    a.lerp_(b, 0.05)
    return reached(teacher, digits)


@kind("a-buffer-that-grows", at_least=0.85)
def growing_buffer(seed: int, watched: Watched) -> float:
    """Hard samples are kept and met again; predictions of all steps are kept for a plot."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    hard: list[tuple[Tensor, Tensor]] = []
    kept: list[Tensor] = []
    with watched(model, optimizer):
        for x, y in batches(digits.train, 48, 8):
            if len(hard) > 16:
                some = [hard[at] for at in torch.randint(len(hard), (16,)).tolist()]
                x = torch.cat([x, torch.stack([each for each, _ in some])])
                y = torch.cat([y, torch.stack([each for _, each in some])])
            output = model(x)
            each = F.cross_entropy(output, y, reduction="none")
            worst = each.detach().topk(4).indices
            hard += zip(x[worst], y[worst], strict=True)
            kept.append(output.detach())
            optimizer.zero_grad()
            each.mean().backward()
            optimizer.step()
    return reached(model, digits)


@kind("a-probe-on-the-side", at_least=0.83)
def side_probe(seed: int, watched: Watched) -> float:
    """An autoencoder, and a classifier of its detached features in the same optimizer."""

    class Probed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.there, self.back = stack([64, 64, 16]), stack([16, 64, 64])
            self.probe = nn.Linear(16, 10)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            z = self.there(x)
            return self.back(z), self.probe(z.detach())

    digits = data.digits(seed)
    model = Probed()
    optimizer = Adam(model.parameters(), lr=4e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 16):
            output, said = model(x)
            loss = F.mse_loss(output, x.flatten(1)) + 0.1 * F.cross_entropy(said, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0])[1], digits.test[1])


@kind("two-backwards-one-step", at_least=0.9)
def two_backwards(seed: int, watched: Watched) -> float:
    """Task and penalty each go back by themselves, over one graph that is retained."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            optimizer.zero_grad()
            output = model(x)
            F.cross_entropy(output, y).backward(retain_graph=True)
            (1e-3 * output.square().mean()).backward()
            optimizer.step()
    return reached(model, digits)


@kind("kept-under-a-constraint", at_least=0.85)
def constraint(seed: int, watched: Watched) -> float:
    """The mean activity is kept under a bound by a multiplier that climbs on the same loss."""
    digits = data.digits(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))
    price = nn.Parameter(torch.tensor(0.1))
    optimizers = [Adam(model.parameters(), lr=3e-3), SGD([price], lr=0.05, maximize=True)]
    with watched(model, optimizers):
        for x, y in batches(digits.train, 64, 12):
            active = model[:3](x)
            over = active.mean() - 0.08
            loss = F.cross_entropy(model[3](active), y) + F.softplus(price) * over
            for each in optimizers:
                each.zero_grad()
            loss.backward()
            for each in optimizers:
                each.step()
    return reached(model, digits)


@kind("a-new-optimizer-each-epoch", at_least=0.87)
def optimizer_anew(seed: int, watched: Watched) -> float:
    """Made anew with a smaller rate, which also empties its moments."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer: torch.optim.Optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for epoch in range(8):
            optimizer = Adam(model.parameters(), lr=5e-3 * 0.7**epoch)
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    return reached(model, digits)


@kind("growing-sequences", at_least=0.8)
def growing_sequences(seed: int, watched: Watched) -> float:
    """How many ones so far, modulo three: strings of 4, then 8, then 12 bits; each is harder."""

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(1, 24, batch_first=True)
            self.head = nn.Linear(24, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0])

    model = Counter()
    optimizer = AdamW(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for length in (4, 8, 12):
            for _ in range(170):
                x = torch.randint(0, 2, (64, length, 1)).float()
                wanted = x[..., 0].cumsum(1).long() % 3
                loss = F.cross_entropy(model(x).flatten(0, 1), wanted.flatten())
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
    x = torch.randint(0, 2, (400, 12, 1)).float()
    said = model(x).argmax(2)
    return float((said == x[..., 0].cumsum(1).long() % 3).float().mean())


@kind("two-plans-one-after-the-other", at_least=0.9)
def plans_in_a_row(seed: int, watched: Watched) -> float:
    """A warm-up and an exponential by the step: a thousandth of the peak at the end."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = AdamW(model.parameters(), lr=1e-2)
    plan = SequentialLR(
        optimizer,
        [LinearLR(optimizer, 0.01, 1.0, 15), ExponentialLR(optimizer, 0.96)],
        milestones=[15],
    )
    fit(model, optimizer, digits, watched, epochs=10, schedule=plan)
    return reached(model, digits)


@kind("a-catapult", at_least=0.9)
def catapult(seed: int, watched: Watched) -> float:
    """A rate at which the first losses rise before they fall for good (Lewkowycz et al. 2020)."""
    digits = data.digits(seed)
    model = stack([64, 256, 10], nn.Tanh)
    fit(
        model, SGD(model.parameters(), lr=0.3), digits, watched, epochs=12,
        loss=lambda output, y: F.mse_loss(output, F.one_hot(y, 10).float()) * 5,
    )  # fmt: skip
    return reached(model, digits)
