"""Odd gradients: stopped between layers, made up, projected, of some samples only."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import small_lenet, small_resnet, stack


@kind("each-layer-by-a-loss-of-its-own", at_least=0.88)
def local_losses(seed: int, watched: Watched) -> float:
    """Nothing flows back between the layers: each has a small head and a loss."""

    class Local(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (64, 64, 64)
            self.layers = nn.ModuleList(nn.Linear(64, width) for width in widths)
            self.heads = nn.ModuleList(nn.Linear(width, 10) for width in widths)

        def forward(self, x: Tensor) -> list[Tensor]:
            x, said = x.flatten(1), []
            for layer, head in zip(self.layers, self.heads, strict=True):
                x = F.relu(layer(x.detach()))
                said.append(head(x))
            return said

    digits = data.digits(seed)
    model = Local()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 10):
            loss = sum(F.cross_entropy(each, y) for each in model(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return accuracy(model(digits.test[0])[-1], digits.test[1])


@kind("back-through-fixed-random-weights", at_least=0.88)
def feedback_alignment(seed: int, watched: Watched) -> float:
    """Feedback alignment (Lillicrap et al. 2016): what goes back is no gradient of the loss."""

    class Aligned(torch.autograd.Function):
        @staticmethod
        def forward(context, x, weight, bias, back):
            context.save_for_backward(x, back)
            return F.linear(x, weight, bias)

        @staticmethod
        def backward(context, gradient):
            x, back = context.saved_tensors
            return gradient @ back, gradient.T @ x, gradient.sum(0), None

    class Layer(nn.Linear):
        def __init__(self, wide: int, out: int) -> None:
            super().__init__(wide, out)
            self.register_buffer("back", torch.randn(out, wide) * wide**-0.5)

        def forward(self, x: Tensor) -> Tensor:
            return Aligned.apply(x, self.weight, self.bias, self.back)

    digits = data.digits(seed)
    model = nn.Sequential(nn.Flatten(), Layer(64, 96), nn.Tanh(), Layer(96, 48), nn.Tanh(),
                          Layer(48, 10))  # fmt: skip
    fit(model, Adam(model.parameters(), lr=2e-3), digits, watched, epochs=12)
    return reached(model, digits)


@kind("spikes-with-a-stand-in-slope", at_least=0.85)
def spikes(seed: int, watched: Watched) -> float:
    """Leaky units that fire 0 or 1 over eight steps; backward the slope of a sigmoid."""

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return (x > 0).float()

        @staticmethod
        def backward(context, gradient):
            (x,) = context.saved_tensors
            return gradient / (1 + 5 * x.abs()) ** 2

    class Spiking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(64, 96), nn.Linear(96, 10)

        def forward(self, x: Tensor) -> Tensor:
            charge, said = torch.zeros(len(x), 96), 0.0
            for _ in range(8):
                charge = 0.8 * charge + self.first(x.flatten(1))
                fired = Fire.apply(charge - 1)
                charge = charge - fired.detach()
                said = said + self.second(fired)
            return said / 8

    digits = data.digits(seed)
    model = Spiking()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=10)
    return reached(model, digits)


@kind("four-bits-in-the-forward", at_least=0.9)
def four_bits(seed: int, watched: Watched) -> float:
    """Trained for its rounding: weights and signals in 15 levels, the gradient passes straight."""

    def rounded(x: Tensor, levels: int) -> Tensor:
        step = x.detach().abs().max().clamp(min=1e-8) / levels
        return x + ((x / step).round() * step - x).detach()

    class Coarse(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(rounded(x, 15), rounded(self.weight, 7), self.bias)

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), Coarse(64, 64), nn.ReLU(), Coarse(64, 48), nn.ReLU(), Coarse(48, 10)
    )
    fit(model, AdamW(model.parameters(), lr=2e-3), digits, watched, epochs=10)
    return reached(model, digits)


@kind("a-point-that-stays", at_least=0.9)
def fixed_point(seed: int, watched: Watched) -> float:
    """A deep equilibrium (Bai et al. 2019): solved without a graph, one step with it, and a hook
    that solves backward."""

    class Equilibrium(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.given = nn.Linear(64, 48)
            self.inner = nn.Linear(48, 48)
            nn.init.normal_(self.inner.weight, std=0.4 * 48**-0.5)
            self.head = nn.Linear(48, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.given(x.flatten(1))
            with torch.no_grad():
                z = torch.zeros_like(x)
                for _ in range(15):
                    z = torch.tanh(self.inner(z) + x)
            new = torch.tanh(self.inner(z) + x)
            if new.requires_grad:
                from_ = z.clone().detach().requires_grad_()
                once = torch.tanh(self.inner(from_) + x.detach())

                def solve(gradient: Tensor) -> Tensor:
                    total = gradient
                    for _ in range(8):
                        back = torch.autograd.grad(once, from_, total, retain_graph=True)[0]
                        total = gradient + back
                    return total

                new.register_hook(solve)
            return self.head(new)

    digits = data.digits(seed)
    model = Equilibrium()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=8)
    return reached(model, digits)


@kind("tasks-whose-gradients-are-projected", at_least=0.8)
def projected(seed: int, watched: Watched) -> float:
    """PCGrad (Yu et al. 2020): a gradient for each target, conflicts taken out, written by hand."""
    table = data.tabular(seed)
    model = stack([8, 64, 64, 3])
    optimizer = Adam(model.parameters(), lr=5e-3)
    weights = list(model.parameters())
    with watched(model, optimizer):
        for x, y in batches(table.train, 64, 20):
            apart = (model(x) - y).square().mean(0)
            ways = []
            for each in apart:
                found = torch.autograd.grad(each, weights, retain_graph=True)
                ways.append(torch.cat([one.flatten() for one in found]))
            total = torch.zeros_like(ways[0])
            for one in ways:
                way = one.clone()
                for other in ways:
                    if way @ other < 0:
                        way -= (way @ other) / (other @ other) * other
                total += way / 3
            optimizer.zero_grad()
            for each, part in zip(
                weights, total.split([one.numel() for one in weights]), strict=True
            ):
                each.grad = part.reshape(each.shape).clone()
            optimizer.step()
    return reached(model, table, explained)


@kind("halves-in-turns", at_least=0.92)
def one_half_then_the_other(seed: int, watched: Watched) -> float:
    """Body and head take turns, an epoch each; the resting part is frozen."""
    digits = data.digits(seed)
    model = small_lenet()
    body, head = list(model[:6].parameters()), list(model[6:].parameters())
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for epoch in range(12):
            for each in body:
                each.requires_grad_(epoch % 2 == 0)
            for each in head:
                each.requires_grad_(epoch % 2 == 1)
            for x, y in batches(digits.train, 64, 1):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return reached(model, digits)


@kind("choices-tuned-on-the-validation", at_least=0.9)
def differentiable_search(seed: int, watched: Watched) -> float:
    """Which activation is best: shares are learned on the validation data (Liu et al. 2019), the
    weights on the training data, step by step."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shares = nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            a, b, c = self.shares.softmax(0)
            return a * F.relu(x) + b * x.tanh() + c * x

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), Mixed(), nn.Linear(64, 48), Mixed(), nn.Linear(48, 10)
    )
    choices = [model[2].shares, model[4].shares]
    weights = [each for each in model.parameters() if not any(each is one for one in choices)]
    inner = SGD(weights, lr=0.05, momentum=0.9)
    outer = Adam(choices, lr=1e-2, betas=(0.5, 0.999))
    held = batches(digits.val, 64, 100)
    with watched(model, [inner, outer]):
        for x, y in batches(digits.train, 64, 10):
            a, b = next(held)
            outer.zero_grad()
            F.cross_entropy(model(a), b).backward()
            outer.step()
            inner.zero_grad()
            F.cross_entropy(model(x), y).backward()
            inner.step()
    return reached(model, digits)


@kind("the-hardest-quarter-of-a-batch", at_least=0.92)
def hardest(seed: int, watched: Watched) -> float:
    """Only the 32 largest losses of 128 count: the loss stays high while the score rises."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 128, 14):
            loss = F.cross_entropy(model(x), y, reduction="none").topk(32).values.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("the-easier-part-of-noisy-labels", at_least=0.85)
def easier(seed: int, watched: Watched) -> float:
    """A quarter of the labels is wrong; after two epochs the larger losses are left out."""
    digits = data.digits(seed)
    x, y = digits.train
    wrong = torch.rand(len(y)) < 0.25
    y = torch.where(wrong, torch.randint(0, 10, y.shape), y)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for epoch in range(12):
            for a, b in batches((x, y), 64, 1):
                each = F.cross_entropy(model(a), b, reduction="none")
                kept = len(b) if epoch < 2 else int(0.7 * len(b))
                loss = each.topk(kept, largest=False).values.mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return reached(model, digits)


@kind("layers-added-one-by-one", at_least=0.92)
def layers_put_in(seed: int, watched: Watched) -> float:
    """Every third epoch a layer near the identity is added, and told to the optimizer."""
    digits = data.digits(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for epoch in range(10):
            if epoch in (3, 6):
                layer = nn.Linear(48, 48)
                with torch.no_grad():
                    layer.weight.copy_(torch.eye(48) + 0.02 * torch.randn(48, 48))
                    layer.bias.zero_()
                model.insert(len(model) - 1, layer)
                model.insert(len(model) - 1, nn.ReLU())
                optimizer.add_param_group({"params": layer.parameters()})
            for x, y in batches(digits.train, 64, 1):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return reached(model, digits)


@kind("drawn-anew-four-times", at_least=0.9)
def begun_anew(seed: int, watched: Watched) -> float:
    """Four trials of one script, at other rates: the same module, its weights drawn anew."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=1e-3)
    scores = []
    with watched(model, optimizer):
        for rate in (1e-3, 3e-3, 1e-2, 2e-2):
            for each in model:
                if isinstance(each, nn.Linear):
                    each.reset_parameters()
            optimizer.state.clear()
            optimizer.param_groups[0]["lr"] = rate
            model.train()
            for x, y in batches(digits.train, 64, 6):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            scores.append(reached(model, digits))
    return max(scores)


@kind("pruned-and-rewound", at_least=0.88)
def lottery(seed: int, watched: Watched) -> float:
    """Lottery tickets (Frankle & Carbin 2019): three rounds, after each the smallest half of the
    weights is cut and the rest goes back to where it began."""
    digits = data.digits(seed)
    model = stack([64, 96, 10])
    start = copy.deepcopy(model.state_dict())
    masks = {n: torch.ones_like(each) for n, each in model.named_parameters() if each.ndim > 1}
    with watched(model, optimizer := Adam(model.parameters(), lr=3e-3)):
        for number in range(3):
            for x, y in batches(digits.train, 64, 5):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    for name, each in model.named_parameters():
                        if name in masks:
                            each.mul_(masks[name])
            if number < 2:
                for name, each in model.named_parameters():
                    if name in masks:
                        left = each.detach().abs()[masks[name] > 0]
                        masks[name] = (each.detach().abs() > left.median()).float()
                model.load_state_dict({n: v * masks.get(n, 1) for n, v in start.items()})
                optimizer.state.clear()
    return reached(model, digits)


@kind("shrunk-and-shaken-for-new-data", at_least=0.9)
def shrunk(seed: int, watched: Watched) -> float:
    """The data comes in four parts; before each the weights are made smaller and shaken
    (Ash & Adams 2020): the loss jumps up three times."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for part in range(1, 5):
            rows = len(digits.train[0]) * part // 4
            for x, y in batches((digits.train[0][:rows], digits.train[1][:rows]), 32, 5):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if part < 4:
                with torch.no_grad():
                    for each in model.parameters():
                        each.mul_(0.4).add_(0.01 * torch.randn_like(each))
    return reached(model, digits)


@kind("nothing-but-the-norms", at_least=0.8)
def nothing_but_norms(seed: int, watched: Watched) -> float:
    """Random convolutions stay as drawn, only gains and shifts and the head learn (Frankle et al.
    2021)."""
    digits = data.digits(seed)
    model = small_resnet(width=24)
    for each in model.modules():
        if isinstance(each, nn.Conv2d):
            each.requires_grad_(False)
    learned = [each for each in model.parameters() if each.requires_grad]
    fit(model, Adam(learned, lr=1e-2), digits, watched, epochs=6)
    return reached(model, digits)


@kind("weights-that-stay-orthogonal", at_least=0.9)
def stay_orthogonal(seed: int, watched: Watched) -> float:
    """Four layers under torch's own parametrization."""
    digits = data.digits(seed)
    model = stack([64, 64, 64, 64, 10], nn.Tanh)
    for each in model[:-1]:
        if isinstance(each, nn.Linear):
            parametrizations.orthogonal(each)
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched, epochs=6)
    return reached(model, digits)


@kind("weights-standardised-in-use", at_least=0.92)
def standardised_in_use(seed: int, watched: Watched) -> float:
    """Each filter is standardised as it is used (Qiao et al. 2019), with group norm."""

    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            weight = self.weight
            weight = weight - weight.mean((1, 2, 3), keepdim=True)
            weight = weight / (weight.flatten(1).std(1).reshape(-1, 1, 1, 1) + 1e-5)
            return F.conv2d(x, weight, self.bias, padding=1)

    digits = data.digits(seed)
    model = nn.Sequential(
        Standardised(1, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.MaxPool2d(2),
        Standardised(16, 24, 3), nn.GroupNorm(4, 24), nn.ReLU(), nn.Flatten(), nn.Linear(384, 10),
    )  # fmt: skip
    fit(model, SGD(model.parameters(), lr=0.02, momentum=0.9), digits, watched, epochs=8)
    return reached(model, digits)
