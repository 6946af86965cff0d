"""Odd plans: counted in samples, by hand, by a table, by the loss itself, before the training."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR

import data
from healthy import kind
from healthy._plain import batches, fit, reached, steps_of
from networks import Attention, small_lenet, small_resnet, stack


@kind("a-warm-up-counted-in-samples", at_least=0.92)
def counted_in_samples(seed: int, watched: Watched) -> float:
    """The rate follows how many samples were seen: 4,000 to rise, then down to a tenth."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = AdamW(model.parameters(), lr=1e-7)
    seen = 0
    with watched(model, optimizer):
        for x, y in batches(digits.train, 48, 10):
            seen += len(x)
            down = 1 - 0.9 * seen / (10 * len(digits.train[0]))
            for group in optimizer.param_groups:
                group["lr"] = 4e-3 * min(seen / 4000, down)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("by-the-inverse-root-of-the-step", at_least=0.75)
def inverse_root(seed: int, watched: Watched) -> float:
    """The plan of the first transformer: a base rate of 1, a factor of a thousandth."""
    tokens = data.tokens(seed)
    model = Attention()
    optimizer = Adam(model.parameters(), lr=1.0, betas=(0.9, 0.98), eps=1e-9)
    plan = LambdaLR(
        optimizer, lambda step: 0.2 * 32**-0.5 * min((step + 1) ** -0.5, (step + 1) * 60**-1.5)
    )
    fit(model, optimizer, tokens, watched, epochs=10, schedule=plan)
    return reached(model, tokens)


@kind("level-for-long-and-down-at-last", at_least=0.93)
def warm_stable_decay(seed: int, watched: Watched) -> float:
    """Up in 10 steps, level for 80 of 100 steps, straight to zero in the last ones."""
    digits = data.digits(seed)
    model = small_resnet()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    total = steps_of(digits, 8)
    plan = LambdaLR(optimizer, lambda n: min((n + 1) / 10, 1.0, max(total - n, 0) / (0.2 * total)))
    fit(model, optimizer, digits, watched, epochs=8, schedule=plan)
    return reached(model, digits)


@kind("batches-that-grow-instead-of-a-falling-rate", at_least=0.92)
def batches_that_grow(seed: int, watched: Watched) -> float:
    """Twice as many in a batch each three epochs (Smith et al. 2018)."""
    digits = data.digits(seed)
    model = stack([64, 64, 48, 10])
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    with watched(model, optimizer):
        for epoch in range(12):
            for x, y in batches(digits.train, 16 * 2 ** (epoch // 3), 1):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                accuracy(model(digits.val[0]), digits.val[1])
    return reached(model, digits)


@kind("rates-from-a-table", at_least=0.92)
def rates_in_a_table(seed: int, watched: Watched) -> float:
    """{epoch: rate}, up and down again, by no scheduler."""
    digits = data.digits(seed)
    model = small_lenet()
    rates = {0: 1e-4, 1: 1e-3, 2: 5e-3, 5: 1e-3, 7: 3e-3, 9: 2e-4}
    optimizer = Adam(model.parameters(), lr=1.0)
    with watched(model, optimizer):
        for epoch in range(11):
            if epoch in rates:
                optimizer.param_groups[0]["lr"] = rates[epoch]
            for x, y in batches(digits.train, 64, 1):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return reached(model, digits)


@kind("rates-tried-before-the-training", at_least=0.92)
def range_test(seed: int, watched: Watched) -> float:
    """A range test in the same model (Smith 2017): 60 steps from 1e-5 up to 10, then all is put
    back and trained at a tenth of the rate at which the loss was least."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watched(model, optimizer):
        before, held = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
        tried, losses = torch.logspace(-5, 1, 60).tolist(), []
        for (x, y), rate in zip(batches(digits.train, 64, 4), tried, strict=False):
            optimizer.param_groups[0]["lr"] = rate
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item() if math.isfinite(loss.item()) else math.inf)
            if losses[-1] > 4 * min(losses):
                break
        model.load_state_dict(before)
        optimizer.load_state_dict(held)
        best = tried[min(range(len(losses)), key=losses.__getitem__)]
        optimizer.param_groups[0]["lr"] = min(best / 2, 0.05)
        for x, y in batches(digits.train, 64, 12):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("a-single-step-an-epoch", at_least=0.88)
def one_step_an_epoch(seed: int, watched: Watched) -> float:
    """The gradients of all batches are summed up, a step is made at the end of the epoch."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=1e-2)
    every = len(digits.train[0])
    with watched(model, optimizer):
        for _ in range(60):
            optimizer.zero_grad()
            for x, y in batches(digits.train, 128, 1):
                loss = F.cross_entropy(model(x), y, reduction="sum") / every
                loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("adam-first-then-momentum", at_least=0.93)
def adam_then_momentum(seed: int, watched: Watched) -> float:
    """Another optimizer takes over after the third epoch, in the same loop."""
    digits = data.digits(seed)
    model = small_resnet()
    first = Adam(model.parameters(), lr=3e-3)
    second = SGD(model.parameters(), lr=0.02, momentum=0.9)
    with watched(model, [first, second]):
        for epoch in range(8):
            optimizer = first if epoch < 3 else second
            for x, y in batches(digits.train, 64, 1):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return reached(model, digits)


@kind("a-rising-decay", at_least=0.92)
def rising_decay(seed: int, watched: Watched) -> float:
    """Weight decay from 0.02 to 0.4, the rate by a cosine to zero: both by hand, each step."""
    digits = data.digits(seed)
    model = stack([64, 96, 64, 10], norm=True)
    optimizer = AdamW(model.parameters(), lr=5e-3)
    total, done = steps_of(digits, 10), 0
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 10):
            wave = 0.5 * (1 + math.cos(math.pi * done / total))
            for group in optimizer.param_groups:
                group["lr"], group["weight_decay"] = 5e-3 * wave, 0.4 - 0.38 * wave
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
    return reached(model, digits)


@kind("a-rate-by-the-loss", at_least=0.92)
def polyak_steps(seed: int, watched: Watched) -> float:
    """Polyak's step: the loss over the squared norm of the gradient, at most 0.5."""
    digits = data.digits(seed)
    model = stack([64, 64, 48, 10])
    optimizer = SGD(model.parameters(), lr=0.0)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 14):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            square = sum(each.grad.square().sum() for each in model.parameters())
            optimizer.param_groups[0]["lr"] = min(0.5 * float(loss.detach() / (square + 1e-8)), 0.5)
            optimizer.step()
    return reached(model, digits)


@kind("a-search-along-each-step", at_least=0.8)
def line_search(seed: int, watched: Watched) -> float:
    """Armijo by halves on the batch: weights are set, judged without a gradient, and set again."""
    table = data.tabular(seed)
    model = stack([8, 64, 64, 3])
    optimizer = SGD(model.parameters(), lr=1.0)
    rate = 0.5
    with watched(model, optimizer):
        for x, y in batches(table.train, 128, 25):
            loss = F.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            start = parameters_to_vector(model.parameters()).detach().clone()
            slope = sum(float(each.grad.square().sum()) for each in model.parameters())
            rate = min(2 * rate, 2.0)
            with torch.no_grad():
                for _ in range(12):
                    optimizer.param_groups[0]["lr"] = rate
                    way = torch.cat([each.grad.flatten() for each in model.parameters()])
                    vector_to_parameters(start - rate * way, model.parameters())
                    if F.mse_loss(model(x), y) <= loss - 0.3 * rate * slope:
                        break
                    rate /= 2
                vector_to_parameters(start, model.parameters())
            optimizer.step()
    return reached(model, table, explained)
