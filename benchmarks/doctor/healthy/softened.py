"""Odd losses: softened, mixed or wrong labels, a floor above zero, a first loss above ln C."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, nobody
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import small_lenet, stack


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
