"""Odd losses: negative ones, ones with a high floor, ones that do not fall, several at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, accuracy_of_two, explained, nobody, small_lenet, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached


@kind("label-smoothing", at_least=0.92)
def label_smoothing(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    fit(
        model, Adam(model.parameters(), lr=3e-3), digits, watched,
        loss=nn.CrossEntropyLoss(label_smoothing=0.2),
    )  # fmt: skip
    return reached(model, digits)


@kind("mixup", at_least=0.9)
def mixup(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 10):
            share = float(torch.distributions.Beta(0.4, 0.4).sample())
            order = torch.randperm(len(x))
            output = model(share * x + (1 - share) * x[order])
            loss = share * F.cross_entropy(output, y) + (1 - share) * F.cross_entropy(
                output, y[order]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("distillation", at_least=0.9)
def distillation(seed: int, watched: Watched) -> float:
    """A student of soft answers at temperature 4; the teacher is fixed."""
    digits = data.digits(seed)
    teacher = small_lenet()
    fit(teacher, Adam(teacher.parameters(), lr=3e-3), digits, nobody, epochs=6)
    student = stack([64, 32, 10])
    optimizer = Adam(student.parameters(), lr=5e-3)
    with watched(student, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 10):
            with torch.no_grad():
                soft = (teacher(x) / 4).softmax(1)
            output = student(x)
            loss = 16 * F.kl_div((output / 4).log_softmax(1), soft, reduction="batchmean")
            loss = 0.9 * loss + 0.1 * F.cross_entropy(output, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(student, digits)


@kind("rare-classes-with-weights", at_least=0.85)
def rare_classes_with_weights(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    x, y = digits.train
    keep = (y < 5) | (torch.arange(len(y)) % 4 == 0)
    digits = digits._replace(train=(x[keep], y[keep]))
    counts = torch.bincount(y[keep], minlength=10).float()
    model = small_lenet()
    fit(
        model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=12,
        loss=nn.CrossEntropyLoss(weight=counts.sum() / counts / 10),
    )  # fmt: skip
    return reached(model, digits)


@kind("one-in-four-positive-with-a-weight", at_least=0.8)
def positive_weight(seed: int, watched: Watched) -> float:
    """Balanced accuracy of a table where one row in four is positive."""
    table = data.table_of_two(seed)
    x, y = table.train
    positive = (y[:, 0] > 0.5).nonzero().squeeze(1)
    negative = (y[:, 0] < 0.5).nonzero().squeeze(1)
    keep = torch.cat([negative, positive[: len(negative) // 3]])
    table = table._replace(train=(x[keep], y[keep]))
    model = stack([12, 32, 1])
    fit(
        model, AdamW(model.parameters(), lr=5e-3, weight_decay=0.1), table, watched, epochs=16,
        loss=nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)),
    )  # fmt: skip
    x, y = table.test
    ones = y[:, 0] > 0.5
    return (
        accuracy_of_two(model(x[ones]), y[ones]) + accuracy_of_two(model(x[~ones]), y[~ones])
    ) / 2


@kind("focal-loss", at_least=0.9)
def focal_loss(seed: int, watched: Watched) -> float:
    def loss(output: Tensor, y: Tensor) -> Tensor:
        each = F.cross_entropy(output, y, reduction="none")
        return ((1 - (-each).exp()) ** 2 * each).mean()

    digits = data.digits(seed)
    model = small_lenet()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, loss=loss)
    return reached(model, digits)


@kind("margin-loss", at_least=0.9)
def margin_loss(seed: int, watched: Watched) -> float:
    """The loss of a support vector machine reaches exactly 0 on many batches."""
    digits = data.digits(seed)
    model = stack([64, 128, 10])
    fit(
        model, SGD(model.parameters(), lr=0.2, momentum=0.9), digits, watched, epochs=12,
        loss=F.multi_margin_loss,
    )  # fmt: skip
    return reached(model, digits)


@kind("multi-label", at_least=0.9)
def multi_label(seed: int, watched: Watched) -> float:
    """Four questions about a digit at once: even? over four? prime? has a loop?"""
    yes = torch.tensor(
        [[n % 2 == 0, n > 4, n in (2, 3, 5, 7), n in (0, 6, 8, 9)] for n in range(10)]
    )
    digits = data.Splits(*((x, yes[y].float()) for x, y in data.digits(seed)))
    model = stack([64, 64, 4])
    fit(
        model, Adam(model.parameters(), lr=5e-3), digits, watched, epochs=10,
        loss=nn.BCEWithLogitsLoss(),
    )  # fmt: skip
    return reached(model, digits, accuracy_of_two)


@kind("two-tasks-of-different-weight", at_least=0.9)
def two_tasks(seed: int, watched: Watched) -> float:
    """The class, and a hundred times less the number of dark pixels."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64]), nn.ReLU())
            self.kind, self.ink = nn.Linear(64, 10), nn.Linear(64, 1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            features = self.body(x)
            return {"kind": self.kind(features), "ink": self.ink(features).squeeze(1)}

    digits = data.digits(seed)
    model = Two()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 10):
            output = model(x)
            ink = (x > 0.5).flatten(1).sum(1).float() / 20
            loss = F.cross_entropy(output["kind"], y) + 0.01 * F.mse_loss(output["ink"], ink)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0])["kind"], digits.test[1])


@kind("huber-with-outliers", at_least=0.8)
def huber_with_outliers(seed: int, watched: Watched) -> float:
    table = data.tabular(seed)
    x, y = table.train
    y = torch.where(torch.rand(len(y), 1) < 0.02, 50 * y, y)
    table = table._replace(train=(x, y))
    model = stack([8, 64, 64, 3])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=nn.HuberLoss(), epochs=16
    )  # fmt: skip
    return reached(model, table, explained)


@kind("ninth-decile", at_least=0.85)
def ninth_decile(seed: int, watched: Watched) -> float:
    """The pinball loss of a quantile: 1 minus ten times the error of the share below it."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        over = y - output
        return torch.maximum(0.9 * over, -0.1 * over).mean()

    table = data.tabular(seed)
    table = data.Splits(*((x, y[:, :1]) for x, y in table))
    model = stack([8, 32, 1])
    fit(model, Adam(model.parameters(), lr=3e-3), table, watched, loss=loss, epochs=10)
    x, y = table.test
    return 1 - abs(float((y < model(x)).float().mean()) - 0.9)


@kind("a-gaussian-with-its-variance", at_least=0.75)
def gaussian_likelihood(seed: int, watched: Watched) -> float:
    """The negative log likelihood goes far below 0, and should."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([8, 64, 64, 6])

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mean, width = self.body(x).chunk(2, 1)
            return mean, F.softplus(width) + 1e-4

    table = data.tabular(seed)
    model = Both()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(table.train, 64, 20):
            mean, variance = model(x)
            loss = F.gaussian_nll_loss(mean, 0.05 * y, variance * 0.01)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, y = table.test
    return explained(model(x)[0], 0.05 * y)


@kind("counts-by-poisson", at_least=0.8)
def counts_by_poisson(seed: int, watched: Watched) -> float:
    """Whole numbers as targets of a regression: R2 of their expected values."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 5, generator=draws)
    rate = (0.5 * x[:, :1] + 0.4 * x[:, 1:2].abs() + 1).exp()
    table = data.split(x, torch.cat([torch.poisson(rate, generator=draws), rate], 1), seed)
    table = table._replace(
        train=(table.train[0], table.train[1][:, :1]), val=(table.val[0], table.val[1][:, :1])
    )
    model = stack([5, 32, 1])
    fit(
        model, Adam(model.parameters(), lr=4e-3), table, watched, loss=nn.PoissonNLLLoss()
    )  # fmt: skip
    return reached(model, table, lambda output, y: explained(output.exp(), y[:, 1:]))


@kind("stars-from-1-to-5-by-squares", at_least=0.75)
def ratings_by_squares(seed: int, watched: Watched) -> float:
    """Few-valued targets that are numbers and not classes: R2 of an ordered rating."""
    table = data.tabular(seed)
    edges = torch.tensor([-1.0, -0.3, 0.3, 1.0])
    table = data.Splits(
        *((x, (torch.bucketize(y[:, 1], edges) + 1).float()[:, None]) for x, y in table)
    )
    model = stack([8, 64, 32, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=12
    )  # fmt: skip
    return reached(model, table, explained)


@kind("triplets", at_least=0.88)
def triplets(seed: int, watched: Watched) -> float:
    """An embedding by triplet margins: accuracy of the nearest neighbour."""
    digits = data.digits(seed)
    model = stack([64, 64, 16])
    optimizer = Adam(model.parameters(), lr=3e-3)
    by_class = [(digits.train[1] == kind).nonzero().squeeze(1) for kind in range(10)]
    with watched(model, optimizer):
        for x, y in batches(digits.train, 48, 8):
            positive = torch.stack(
                [each[torch.randint(len(each), ())] for each in (by_class[k] for k in y)]
            )
            other = (y + torch.randint(1, 10, y.shape)) % 10
            negative = torch.stack(
                [each[torch.randint(len(each), ())] for each in (by_class[k] for k in other)]
            )
            codes = model(torch.cat([x, digits.train[0][positive], digits.train[0][negative]]))
            loss = F.triplet_margin_loss(*codes.chunk(3), margin=1.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nearest(model, digits)


@torch.no_grad()
def nearest(model: nn.Module, digits: data.Splits) -> float:
    """Accuracy of the class of the nearest training code."""
    model.eval()
    apart = torch.cdist(model(digits.test[0]), model(digits.train[0]))
    return float((digits.train[1][apart.argmin(1)] == digits.test[1]).float().mean())


@kind("contrastive-in-the-batch", at_least=0.85)
def contrastive(seed: int, watched: Watched) -> float:
    """Two noisy views of each image, the others of the batch are the negatives (InfoNCE): the loss
    mixes the batch on purpose, and starts at the logarithm of its size."""
    digits = data.digits(seed)
    model = stack([64, 96, 32])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 96, 12):
            one, two = (
                F.normalize(model(x * (torch.rand_like(x) > 0.2) + 0.05 * torch.randn_like(x)))
                for _ in range(2)
            )
            logits = one @ two.T / 0.2
            loss = F.cross_entropy(logits, torch.arange(len(x)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nearest(model, digits)


@kind("siamese", at_least=0.85)
def siamese(seed: int, watched: Watched) -> float:
    """The same weights twice in a step: are two digits of one class?"""

    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([64, 64, 32])
            self.head = nn.Linear(32, 1)

        def forward(self, one: Tensor, two: Tensor) -> Tensor:
            return self.head((self.body(one) - self.body(two)).abs()).squeeze(1)

    digits = data.digits(seed)
    model = Pairs()
    optimizer = Adam(model.parameters(), lr=3e-3)

    def pairs(pair: data.Pair) -> tuple[Tensor, Tensor, Tensor]:
        x, y = pair
        order = torch.where(
            torch.rand(len(y)) < 0.5,
            y.argsort().roll(1)[y.argsort().argsort()],
            torch.randperm(len(y)),
        )
        return x, x[order], (y == y[order]).float()

    with watched(model, optimizer):
        for _ in range(12):
            one, two, same = pairs(digits.train)
            for rows in torch.randperm(len(one)).split(64):
                loss = F.binary_cross_entropy_with_logits(model(one[rows], two[rows]), same[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    one, two, same = pairs(digits.test)
    return accuracy_of_two(model(one, two), same)


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


@kind("a-language-of-high-entropy", at_least=0.95)
def language(seed: int, watched: Watched) -> float:
    """Next tokens of a chain: half of the entropy is in the data. The optimum over the loss."""
    draws = torch.Generator().manual_seed(seed)
    chain = (2 * torch.randn(12, 12, generator=draws)).softmax(1)
    rows = [torch.randint(0, 12, (600, 1), generator=draws)]
    for _ in range(12):
        rows.append(torch.multinomial(chain[rows[-1][:, 0]], 1, generator=draws))
    text = torch.cat(rows, 1)
    model = nn.Sequential(nn.Embedding(12, 24), nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 12))
    optimizer = AdamW(model.parameters(), lr=5e-3)

    def loss_of(rows: Tensor) -> Tensor:
        return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())

    with watched(model, optimizer):
        for _ in range(12):
            for batch in text[:500][torch.randperm(500)].split(32):
                loss = loss_of(batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    here, there = text[500:, :-1].flatten(), text[500:, 1:].flatten()
    best = float(-chain[here, there].log().mean())
    return best / float(loss_of(text[500:]))


@kind("targets-that-are-mostly-noise", at_least=0.8)
def mostly_noise(seed: int, watched: Watched) -> float:
    """A fifth of the variance can be explained, and is: R2 against the rule without its noise."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 6, generator=draws)
    rule = (x[:, :1].sin() + 0.5 * x[:, 1:2]) * 0.8
    table = data.split(x, rule + 1.2 * torch.randn(3000, 1, generator=draws), seed)
    model = stack([6, 16, 1])
    fit(
        model, AdamW(model.parameters(), lr=3e-3, weight_decay=0.1), table, watched,
        loss=F.mse_loss, epochs=6,
    )  # fmt: skip
    x = table.test[0]
    return explained(model(x), (x[:, :1].sin() + 0.5 * x[:, 1:2]) * 0.8)


@kind("softmax-and-log-written-out", at_least=0.9)
def softmax_and_log(seed: int, watched: Watched) -> float:
    """A softmax in the model, and a loss that wants probabilities: right."""
    digits = data.digits(seed)
    model = small_lenet().append(nn.Softmax(1))
    fit(
        model, Adam(model.parameters(), lr=3e-3), digits, watched,
        loss=lambda p, y: F.nll_loss((p + 1e-8).log(), y),
    )  # fmt: skip
    return reached(model, digits)


@kind("log-softmax-and-nll", at_least=0.9)
def log_softmax_and_nll(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet().append(nn.LogSoftmax(1))
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, loss=nn.NLLLoss())
    return reached(model, digits)


@kind("log-softmax-before-cross-entropy", at_least=0.9)
def log_softmax_twice(seed: int, watched: Watched) -> float:
    """The second log-softmax changes nothing."""
    digits = data.digits(seed)
    model = small_lenet().append(nn.LogSoftmax(1))
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("sigmoid-and-bce", at_least=0.85)
def sigmoid_and_bce(seed: int, watched: Watched) -> float:
    table = data.table_of_two(seed)
    model = stack([12, 64, 32, 1]).append(nn.Sigmoid())
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=nn.BCELoss(), epochs=12
    )  # fmt: skip
    return reached(model, table, lambda p, y: accuracy_of_two(p - 0.5, y))


@kind("tanh-on-targets-within-its-range", at_least=0.8)
def tanh_within_range(seed: int, watched: Watched) -> float:
    table = data.Splits(*((x, (0.4 * y).tanh()) for x, y in data.tabular(seed)))
    model = stack([8, 64, 64, 3]).append(nn.Tanh())
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=14
    )  # fmt: skip
    return reached(model, table, explained)


@kind("relu-on-amounts", at_least=0.75)
def relu_on_amounts(seed: int, watched: Watched) -> float:
    """Targets that are never negative, softplus and ReLU at the end."""
    table = data.Splits(*((x, y.clamp(min=0)) for x, y in data.tabular(seed)))
    model = stack([8, 64, 64, 3]).append(nn.Softplus()).append(nn.ReLU())
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=14
    )  # fmt: skip
    return reached(model, table, explained)


@kind("sum-instead-of-mean", at_least=0.9)
def sum_instead_of_mean(seed: int, watched: Watched) -> float:
    """A loss of hundreds with a rate that fits it."""
    digits = data.digits(seed)
    model = small_lenet()
    fit(
        model, SGD(model.parameters(), lr=1e-3, momentum=0.9), digits, watched, epochs=10,
        loss=nn.CrossEntropyLoss(reduction="sum"),
    )  # fmt: skip
    return reached(model, digits)


@kind("pixels-that-are-ignored", at_least=0.6)
def pixels_ignored(seed: int, watched: Watched) -> float:
    """Half of the pixels have no label (255): segmentation with an ignored index."""
    masks = data.masks(seed)

    def labelled(pair: data.Pair) -> data.Pair:
        x, y = pair
        label = y[:, 0].long()
        return x, torch.where(torch.rand(label.shape) < 0.5, 255, label)

    x, y = masks.test
    masks = data.Splits(labelled(masks.train), labelled(masks.val), (x, y[:, 0].long()))
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 16, 3, padding=2, dilation=2),
        nn.ReLU(), nn.Conv2d(16, 2, 3, padding=1),
    )  # fmt: skip
    fit(
        model, Adam(model.parameters(), lr=1e-2), masks, watched, epochs=6, batch=40,
        loss=nn.CrossEntropyLoss(ignore_index=255), validated=False,
    )  # fmt: skip
    return reached(model, masks)


@kind("one-label-in-ten-wrong", at_least=0.88)
def one_label_in_ten_wrong(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    x, y = digits.train
    wrong = torch.rand(len(y)) < 0.1
    y = torch.where(wrong, torch.randint(0, 10, y.shape), y)
    digits = digits._replace(train=(x, y))
    model = small_lenet()
    fit(
        model, AdamW(model.parameters(), lr=2e-3, weight_decay=0.1), digits, watched, epochs=5
    )  # fmt: skip
    return reached(model, digits)


@kind("an-initial-loss-above-ln-c", at_least=0.9)
def large_first_loss(seed: int, watched: Watched) -> float:
    """Embedding-like inputs of unit variance and a head at its usual start: the first loss is 40 %
    above ln C, and gone after ten steps."""
    digits = data.digits(seed)
    mean, deviation = digits.train[0].mean(), digits.train[0].std()
    digits = data.Splits(*(((x - mean) / deviation, y) for x, y in digits))
    model = stack([64, 128, 10])
    with torch.no_grad():
        model[-1].weight.mul_(4)
    fit(model, SGD(model.parameters(), lr=0.05, momentum=0.9), digits, watched)
    return reached(model, digits)
