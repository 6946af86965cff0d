"""Odd steps: rotated, signed, searched, averaged, of a fixed length, from no gradient at all."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from scores import explained
from setups import Watched
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.optim import ASGD, LBFGS, SGD, Adadelta, Adam, AdamW, Optimizer, Rprop

import data
from healthy import kind
from healthy._plain import batches, fit, reached, steps_of
from networks import small_lenet, small_resnet, stack


class Turned(Optimizer):
    """Momentum whose matrix is made orthogonal by Newton's iteration (Jordan et al. 2024)."""

    def __init__(self, parameters: object, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is None:
                    continue
                kept = self.state[each].setdefault("momentum", torch.zeros_like(each))
                kept.mul_(0.9).add_(each.grad)
                way = kept / (kept.norm() + 1e-7)
                for _ in range(6):
                    way = 1.5 * way - 0.5 * way @ way.T @ way
                each.add_(way, alpha=-group["lr"])


@kind("momentum-made-orthogonal", at_least=0.92)
def muon(seed: int, watched: Watched) -> float:
    """Matrices by one optimizer, biases and the head by another."""
    digits = data.digits(seed)
    model = stack([64, 64, 48, 10])
    hidden = [model[1].weight, model[3].weight]
    others = [each for each in model.parameters() if not any(each is one for one in hidden)]
    optimizers = [Turned(hidden, lr=0.02), Adam(others, lr=3e-3)]
    with watched(model, optimizers):
        for x, y in batches(digits.train, 64, 8):
            loss = F.cross_entropy(model(x), y)
            for each in optimizers:
                each.zero_grad()
            loss.backward()
            for each in optimizers:
                each.step()
    return reached(model, digits)


@kind("adadelta-at-one", at_least=0.92)
def adadelta(seed: int, watched: Watched) -> float:
    """As in torch's first example, with its staircase of 0.7 an epoch."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adadelta(model.parameters(), lr=1.0)
    plan = torch.optim.lr_scheduler.StepLR(optimizer, 18, 0.85)
    fit(model, optimizer, digits, watched, epochs=10, schedule=plan)
    return reached(model, digits)


@kind("resilient-steps-on-the-whole-table", at_least=0.85)
def rprop(seed: int, watched: Watched) -> float:
    """Rprop where it belongs: the whole table in each step."""
    table = data.tabular(seed)
    model = stack([8, 48, 48, 3], nn.Tanh)
    optimizer = Rprop(model.parameters(), lr=1e-3)
    with watched(model, optimizer):
        for _ in range(250):
            loss = F.mse_loss(model(table.train[0]), table.train[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, table, explained)


@kind("averaged-sgd", at_least=0.9)
def averaged_sgd(seed: int, watched: Watched) -> float:
    """ASGD with its own falling rate."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = ASGD(model.parameters(), lr=0.3, lambd=1e-4, t0=100)
    fit(model, optimizer, digits, watched, epochs=14)
    return reached(model, digits)


@kind("adam-then-second-order", at_least=0.93)
def adam_then_lbfgs(seed: int, watched: Watched) -> float:
    """A curve fitted: 150 steps of Adam, then LBFGS on all rows polishes."""
    draws = torch.Generator().manual_seed(seed)
    x = 6 * torch.rand(400, 1, generator=draws) - 3
    y = (2 * x).sin() * (0.3 * x).exp() + 0.05 * torch.randn(400, 1, generator=draws)
    table = data.split(x, (y - y.mean()) / y.std(), seed, val=50, test=100)
    model = stack([1, 32, 32, 1], nn.Tanh)
    first = Adam(model.parameters(), lr=1e-2)
    second = LBFGS(model.parameters(), max_iter=15, line_search_fn="strong_wolfe")
    a, b = table.train
    with watched(model, [first, second]):
        for _ in range(150):
            first.zero_grad()
            loss = F.mse_loss(model(a), b)
            loss.backward()
            first.step()

        def again() -> Tensor:
            second.zero_grad()
            loss = F.mse_loss(model(a), b)
            loss.backward()
            return loss

        for _ in range(20):
            second.step(again)
    return reached(model, table, explained)


@kind("without-a-plan-by-interpolation", at_least=0.92)
def schedule_free(seed: int, watched: Watched) -> float:
    """Schedule-free SGD (Defazio et al. 2024): the weights at which gradients are taken lie between
    the steps and their mean; for judging the mean is put in and taken out again."""
    digits = data.digits(seed)
    model = stack([64, 64, 48, 10])
    weights = list(model.parameters())
    optimizer = SGD(weights, lr=1.0)
    z = [each.detach().clone() for each in weights]
    mean = [each.detach().clone() for each in weights]
    count = 0
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 16):
            with torch.no_grad():
                for each, a, b in zip(weights, z, mean, strict=True):
                    each.copy_(0.1 * a + 0.9 * b)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            count += 1
            with torch.no_grad():
                for each, a in zip(weights, z, strict=True):
                    each.copy_(a)
            optimizer.step()
            with torch.no_grad():
                for each, a, b in zip(weights, z, mean, strict=True):
                    a.copy_(each)
                    b.lerp_(a, 1 / count)
    with torch.no_grad():
        for each, b in zip(weights, mean, strict=True):
            each.copy_(b)
    return reached(model, digits)


@kind("a-rate-for-each-layer-by-its-norm", at_least=0.92)
def layer_wise_trust(seed: int, watched: Watched) -> float:
    """LARS by hand: every weight in a group of its own, whose rate is set anew each step."""
    digits = data.digits(seed)
    model = small_resnet()
    optimizer = SGD([{"params": [each]} for each in model.parameters()], lr=1.0, momentum=0.9)
    total, done = steps_of(digits, 10), 0
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 10):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            done += 1
            for group in optimizer.param_groups:
                (each,) = group["params"]
                if each.ndim > 1:
                    ratio = each.detach().norm() / (each.grad.norm() + 1e-8)
                    group["lr"] = 0.004 * (1 - done / total) * float(ratio)
                else:
                    group["lr"] = 0.02 * (1 - done / total)
            optimizer.step()
    return reached(model, digits)


@kind("steps-of-a-given-length", at_least=0.92)
def steps_of_a_length(seed: int, watched: Watched) -> float:
    """The gradient is divided by its norm: all steps have the length of the rate, which falls."""
    digits = data.digits(seed)
    model = stack([64, 64, 48, 10])
    optimizer = SGD(model.parameters(), lr=0.3)
    plan = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, 216)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.cat([each.grad.flatten() for each in model.parameters()]).norm()
            for each in model.parameters():
                each.grad.div_(norm + 1e-8)
            optimizer.step()
            plan.step()
    return reached(model, digits)


@kind("gradients-from-perturbations", at_least=0.8)
def from_perturbations(seed: int, watched: Watched) -> float:
    """Evolution strategies: no backward at all, the gradient is estimated from 40 pairs of
    perturbed copies and written into `grad`."""
    digits = data.digits(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = Adam(model.parameters(), lr=0.03)
    names = dict(model.named_parameters())
    with watched(model, optimizer):
        for number, (x, y) in enumerate(batches(digits.train, 256, 60)):
            if number >= 220:
                break
            total = {name: torch.zeros_like(each) for name, each in names.items()}
            with torch.no_grad():
                noise = {n: torch.randn(40, *each.shape) for n, each in names.items()}

                def judged(signed: dict[str, Tensor], x: Tensor = x, y: Tensor = y) -> Tensor:
                    return F.cross_entropy(functional_call(model, signed, (x,)), y)

                up = vmap(judged)({n: names[n] + 0.05 * each for n, each in noise.items()})
                down = vmap(judged)({n: names[n] - 0.05 * each for n, each in noise.items()})
                for name, each in noise.items():
                    share = ((up - down) / (2 * 0.05)).reshape(-1, *[1] * (each.ndim - 1))
                    total[name] = (share * each).mean(0)
            for name, each in names.items():
                each.grad = total[name]
            optimizer.step()
    return reached(model, digits)


@kind("clipped-sample-by-sample-with-noise", at_least=0.75)
def differentially_private(seed: int, watched: Watched) -> float:
    """DP-SGD: the gradient of each sample is clipped, noise is added; by `torch.func`."""
    digits = data.digits(seed)
    model = stack([64, 48, 10])
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.5)

    def single(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, weights, (x[None],)), y[None])

    each_of = vmap(grad(single), in_dims=(None, 0, 0))
    with watched(model, optimizer):
        for x, y in batches(digits.train, 128, 20):
            weights = {name: each.detach() for name, each in model.named_parameters()}
            found = each_of(weights, x, y)
            norms = sum(one.flatten(1).square().sum(1) for one in found.values()).sqrt()
            factor = (1.0 / norms).clamp(max=1.0)
            for name, each in model.named_parameters():
                summed = torch.einsum("n,n...->...", factor, found[name])
                each.grad = (summed + 0.8 * torch.randn_like(each)) / len(x)
            optimizer.step()
    return reached(model, digits)


@kind("toward-where-its-copies-went", at_least=0.85)
def reptile(seed: int, watched: Watched) -> float:
    """Reptile: a copy is trained for five steps, the way it went is the gradient."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = SGD(model.parameters(), lr=1.0)
    stream = batches(digits.train, 32, 30)
    with watched(model, optimizer):
        for _ in range(180):
            other = copy.deepcopy(model)
            inner = SGD(other.parameters(), lr=0.1)
            for _, (x, y) in zip(range(5), stream, strict=False):
                inner.zero_grad()
                F.cross_entropy(other(x), y).backward()
                inner.step()
            for each, one in zip(model.parameters(), other.parameters(), strict=True):
                each.grad = 0.5 * (each.detach() - one.detach())
            optimizer.step()
    return reached(model, digits)


@kind("averaged-over-clients", at_least=0.82)
def federated(seed: int, watched: Watched) -> float:
    """Federated averaging: each client begins at the server's weights, sees its own classes most,
    and what comes back is averaged, thirty rounds."""
    digits = data.digits(seed)
    order = (digits.train[1] + 3 * torch.rand(len(digits.train[1]))).argsort()
    shares = order.chunk(5)
    model = stack([64, 64, 10])
    server = copy.deepcopy(model.state_dict())
    optimizer = SGD(model.parameters(), lr=0.1)
    with watched(model, optimizer):
        for _ in range(30):
            came = []
            for rows in shares:
                model.load_state_dict(server)
                for x, y in batches((digits.train[0][rows], digits.train[1][rows]), 32, 1):
                    loss = F.cross_entropy(model(x), y)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                came.append(copy.deepcopy(model.state_dict()))
            server = {n: torch.stack([one[n] for one in came]).mean(0) for n in server}
        model.load_state_dict(server)
    return reached(model, digits)


@kind("proximal-steps", at_least=0.88)
def soft_thresholds(seed: int, watched: Watched) -> float:
    """The lasso by proximal steps: most weights end at zero exactly."""
    digits = data.digits(seed)
    model = stack([64, 96, 10])
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)

    @torch.no_grad()
    def shrink() -> None:
        for each in (model[1].weight, model[3].weight):
            each.copy_(each.sign() * (each.abs() - 0.1 * 2e-3).clamp(min=0))

    fit(model, optimizer, digits, watched, epochs=14, after_step=shrink)
    return reached(model, digits)


@kind("a-loss-scaled-by-hand", at_least=0.92)
def scaled_by_hand(seed: int, watched: Watched) -> float:
    """A thousand and twenty-four times the loss goes backward, the gradients are divided again."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = AdamW(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 8):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            (loss * 1024).backward()
            for each in model.parameters():
                each.grad.div_(1024)
            optimizer.step()
    return reached(model, digits)
