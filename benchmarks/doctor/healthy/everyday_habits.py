"""Ordinary trainings in loops of other forms: by steps, by stages, with copies."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import data
from healthy import kind
from healthy._everyday import evaluate, loaders, taught, train_epoch
from healthy._plain import batches, reached
from networks import small_lenet, small_resnet, stack


@kind("four-small-batches-to-a-step", at_least=0.92)
def four_to_a_step(seed: int, watched: Watched) -> float:
    """Gradients of four batches of sixteen, each divided by four."""
    digits, model = data.digits(seed), small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        optimizer.zero_grad()
        for number, (x, y) in enumerate(batches(digits.train, 16, 10)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if number % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    return reached(model, digits)


@kind("its-moving-mean-is-judged", at_least=0.92)
def moving_mean(seed: int, watched: Watched) -> float:
    digits, model = data.digits(seed), small_resnet(12)
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98), use_buffers=True)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    train, val, _ = loaders(digits, 64)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(12):
            model.train()
            for x, y in train:
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                mean.update_parameters(model)
            evaluate(mean, val, F.cross_entropy, accuracy)
    return reached(mean, digits)


@kind("in-half-precision-where-it-may", at_least=0.92)
def half_precision(seed: int, watched: Watched) -> float:
    digits, model = data.digits(seed), small_lenet()
    optimizer = AdamW(model.parameters(), lr=2e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 12):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return reached(model, digits)


@kind("no-decay-on-norms-and-a-warm-up", at_least=0.93)
def parameter_groups(seed: int, watched: Watched) -> float:
    digits, model = data.digits(seed), small_resnet(12)
    groups: dict[float, list[Tensor]] = defaultdict(list)
    for each in model.parameters():
        groups[0.05 if each.ndim > 1 else 0.0].append(each)
    optimizer = AdamW(
        [{"params": some, "weight_decay": decay} for decay, some in groups.items()], lr=5e-3
    )
    plan = SequentialLR(
        optimizer,
        [LinearLR(optimizer, 0.1, total_iters=2), CosineAnnealingLR(optimizer, 8)],
        milestones=[2],
    )
    return taught(model, optimizer, digits, watched, epochs=10, schedule=plan, batch=64)


@kind("the-head-first-and-then-the-rest", at_least=0.9)
def head_first(seed: int, watched: Watched) -> float:
    """A body that was trained on five of the digits; two epochs of the new head alone, then all of
    it with a smaller rate."""
    digits = data.digits(seed)
    some = digits.train[1] < 5
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten()
    )
    before = nn.Sequential(body, nn.Linear(512, 5))
    optimizer = Adam(before.parameters(), lr=2e-3)
    for x, y in batches((digits.train[0][some], digits.train[1][some]), 32, 4):
        optimizer.zero_grad()
        F.cross_entropy(before(x), y).backward()
        optimizer.step()
    model = nn.Sequential(body, nn.Linear(512, 10))
    train, val, _ = loaders(digits, 32)
    for each in body.parameters():
        each.requires_grad_(False)
    optimizer = Adam(model[1].parameters(), lr=2e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for epoch in range(7):
            if epoch == 2:
                for each in body.parameters():
                    each.requires_grad_(True)
                optimizer.add_param_group({"params": list(body.parameters()), "lr": 3e-4})
            train_epoch(model, train, F.cross_entropy, optimizer)
            evaluate(model, val, F.cross_entropy, accuracy)
    return reached(model, digits)


@kind("judged-every-fifty-steps-by-one-batch", at_least=0.93)
def every_fifty(seed: int, watched: Watched) -> float:
    """Counted by steps; a batch of the validation set is looked at now and then."""
    digits, model = data.digits(seed), stack([64, 100, 10])
    optimizer = Adam(model.parameters(), lr=2e-3)
    draws = torch.Generator().manual_seed(seed)
    x, y = digits.train
    with watched(model, optimizer, loss=F.cross_entropy):
        for step in range(700):
            rows = torch.randint(0, len(x), (32,), generator=draws)
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 50 == 0:
                model.eval()
                with torch.no_grad():
                    rows = torch.randint(0, len(digits.val[0]), (32,), generator=draws)
                    F.cross_entropy(model(digits.val[0][rows]), digits.val[1][rows]).item()
                model.train()
    return reached(model, digits)


@kind("batches-as-dictionaries", at_least=0.85)
def dictionaries(seed: int, watched: Watched) -> float:
    class Rows(Dataset[dict[str, Any]]):
        def __init__(self, pair: data.Pair) -> None:
            self.x, self.y = pair

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, index: int) -> dict[str, Any]:
            return {"features": self.x[index], "answers": self.y[index], "index": index}

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = stack([8, 64, 64, 3])

        def forward(self, features: Tensor, **_: Any) -> dict[str, Tensor]:
            return {"said": self.inner(features)}

    table, model = data.tabular(seed), Model()
    optimizer = Adam(model.parameters(), lr=3e-3)
    train = DataLoader(Rows(table.train), 64, shuffle=True)
    val = DataLoader(Rows(table.val), 256)
    with watched(model, optimizer, loss=F.mse_loss):
        for _ in range(14):
            model.train()
            for batch in train:
                loss = F.mse_loss(model(**batch)["said"], batch["answers"])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for batch in val:
                    F.mse_loss(model(**batch)["said"], batch["answers"])
    with torch.no_grad():
        return explained(model(table.test[0])["said"], table.test[1])


@kind("samples-from-a-generator-as-usual", at_least=0.9)
def stream(seed: int, watched: Watched) -> float:
    """An iterable data set that makes its rows as it goes; no epoch, nothing seen twice."""

    class Endless(IterableDataset[data.Pair]):
        def __iter__(self) -> Any:
            draws = torch.Generator().manual_seed(seed)
            while True:
                x = torch.randn(6, generator=draws)
                yield x, (x[0] * x[1] + x[2] + x[3].abs() > 0.8).long()

    model = stack([6, 64, 64, 2])
    optimizer = Adam(model.parameters(), lr=3e-3)
    held = [row for row, _ in zip(Endless(), range(500), strict=False)]
    test = torch.stack([x for x, _ in held]), torch.stack([y for _, y in held])
    with watched(model, optimizer, loss=F.cross_entropy):
        for number, (x, y) in enumerate(DataLoader(Endless(), 64)):
            if number == 500:
                break
            if number < 8:
                continue
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        return accuracy(model(test[0]), test[1])


@kind("every-epoch-kept-and-the-best-taken", at_least=0.93)
def best_taken(seed: int, watched: Watched) -> float:
    """Judged before the first epoch too, and on the training data as well; a copy of each epoch."""
    digits, model = data.digits(seed), stack([64, 96, 10], norm=True)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    train, val, _ = loaders(digits, 32)
    kept: list[tuple[float, Any]] = []
    with watched(model, optimizer, loss=F.cross_entropy):
        for epoch in range(11):
            if epoch:
                train_epoch(model, train, F.cross_entropy, optimizer)
            evaluate(model, train, F.cross_entropy, accuracy)
            score = evaluate(model, val, F.cross_entropy, accuracy)[1]
            kept.append((score, copy.deepcopy(model.state_dict())))
        model.load_state_dict(max(kept, key=lambda each: each[0])[1])
    return reached(model, digits)


@kind("small-pictures-first-and-whole-ones-later-by-the-book", at_least=0.8)
def progressive(seed: int, watched: Watched) -> float:
    """Figures of 8, then 12, then 16 pixels through a network that averages over the picture."""
    sets = data.shapes(seed)
    model = small_resnet(16, channels=3, classes=4)
    optimizer = AdamW(model.parameters(), lr=4e-3)
    plan = CosineAnnealingLR(optimizer, 20)
    with watched(model, optimizer, loss=F.cross_entropy):
        for size, epochs in ((8, 4), (12, 4), (16, 12)):
            small = data.Splits(
                *((F.interpolate(x, size, mode="area") if size < 16 else x, y) for x, y in sets)
            )
            train, val, _ = loaders(small, 32)
            for _ in range(epochs):
                train_epoch(model, train, F.cross_entropy, optimizer)
                evaluate(model, val, F.cross_entropy, accuracy)
                plan.step()
    return reached(model, sets)


@kind("which-digit-and-how-much-ink-as-usual", at_least=0.9)
def two_answers(seed: int, watched: Watched) -> float:
    """A shared body with two heads: the digit, and its mean brightness, standardised."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 96, 64]), nn.ReLU())
            self.digit, self.ink = nn.Linear(64, 10), nn.Linear(64, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.body(x)
            return self.digit(x), self.ink(x)[:, 0]

    digits, model = data.digits(seed), Both()
    every = digits.train[0].mean((1, 2, 3))
    centre, spread = every.mean(), every.std()
    optimizer = Adam(model.parameters(), lr=2e-3)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        digit, ink = model(x)
        wanted = (x.mean((1, 2, 3)) - centre) / spread
        return F.cross_entropy(digit, y) + 0.5 * F.mse_loss(ink, wanted)

    with watched(model, optimizer):
        for _ in range(10):
            model.train()
            for x, y in batches(digits.train, 32, 1):
                optimizer.zero_grad()
                loss(x, y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                loss(*digits.val)
    with torch.no_grad():
        return accuracy(model(digits.test[0])[0], digits.test[1])


@kind("a-teacher-and-a-smaller-pupil-by-the-book", at_least=0.92)
def pupil(seed: int, watched: Watched) -> float:
    """Soft answers at a temperature of three and the labels, seven to three."""
    digits = data.digits(seed)
    teacher = stack([64, 256, 10])
    optimizer = Adam(teacher.parameters(), lr=2e-3)
    for x, y in batches(digits.train, 32, 8):
        optimizer.zero_grad()
        F.cross_entropy(teacher(x), y).backward()
        optimizer.step()
    teacher.eval()
    model = stack([64, 24, 10])
    optimizer = Adam(model.parameters(), lr=5e-3)
    train = DataLoader(TensorDataset(*digits.train), 32, shuffle=True)
    with watched(model, optimizer):
        for _ in range(12):
            model.train()
            for x, y in train:
                with torch.no_grad():
                    soft = (teacher(x) / 3).softmax(1)
                logits = model(x)
                far = F.kl_div((logits / 3).log_softmax(1), soft, reduction="batchmean") * 9
                loss = 0.7 * far + 0.3 * F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                (model(digits.val[0]).argmax(1) == digits.val[1]).float().mean().item()
    return reached(model, digits)
