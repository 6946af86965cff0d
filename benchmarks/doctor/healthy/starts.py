"""Odd starts: zeros, tiny heads, frozen parts, weights that were trained before."""

from __future__ import annotations

import copy
import itertools
import math

import torch
import torch.nn.functional as F
from scores import accuracy_of_two, explained
from setups import Watched, nobody
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import Residual, small_lenet, small_resnet, stack


@kind("softmax-regression-from-zero", at_least=0.88)
def softmax_regression(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 10])
    nn.init.zeros_(model[1].weight)
    nn.init.zeros_(model[1].bias)
    fit(model, SGD(model.parameters(), lr=0.5), digits, watched, epochs=10)
    return reached(model, digits)


@kind("residual-branches-from-zero", at_least=0.93)
def residual_branches_from_zero(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_resnet()
    for each in model.modules():
        if isinstance(each, Residual):
            nn.init.zeros_(each.norm2.weight)
    fit(model, SGD(model.parameters(), lr=0.05, momentum=0.9), digits, watched, epochs=6)
    return reached(model, digits)


@kind("gates-of-rezero", at_least=0.9)
def gates_of_rezero(seed: int, watched: Watched) -> float:
    """Twelve blocks behind gates that start at zero (Bachlechner et al. 2020)."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(40, 40)
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.gate * F.relu(self.inner(x))

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 40), *[Gated() for _ in range(12)], nn.Linear(40, 10)
    )
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("a-tiny-head", at_least=0.92)
def a_tiny_head(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    with torch.no_grad():
        model[-1].weight.mul_(1e-3)
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("a-head-of-zeros", at_least=0.92)
def a_head_of_zeros(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    fit(model, AdamW(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("orthogonal-tanh", at_least=0.92)
def orthogonal_tanh(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, *[48] * 6, 10], nn.Tanh)
    for each in model:
        if isinstance(each, nn.Linear):
            nn.init.orthogonal_(each.weight)
    fit(model, SGD(model.parameters(), lr=0.03, momentum=0.9), digits, watched, epochs=10)
    return reached(model, digits)


@kind("self-normalising", at_least=0.92)
def self_normalising(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, *[48] * 6, 10], nn.SELU)
    for each in model:
        if isinstance(each, nn.Linear):
            nn.init.normal_(each.weight, std=each.in_features**-0.5)
    fit(model, SGD(model.parameters(), lr=0.02, momentum=0.9), digits, watched, epochs=8)
    return reached(model, digits)


@kind("cosine-classifier", at_least=0.92)
def cosine_classifier(seed: int, watched: Watched) -> float:
    """Logits are cosines times 16: bounded on purpose."""

    class Cosine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(10, 48))

        def forward(self, x: Tensor) -> Tensor:
            return 16 * F.normalize(x) @ F.normalize(self.weight).T

    digits = data.digits(seed)
    model = nn.Sequential(stack([64, 64, 48]), nn.ReLU(), Cosine())
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("a-head-that-knows-the-prior", at_least=0.85)
def a_head_that_knows_the_prior(seed: int, watched: Watched) -> float:
    """One in ten is positive; the bias starts at the logarithm of the odds."""
    table = data.table_of_two(seed)
    positive = (table.train[1][:, 0] > 0.5).nonzero().squeeze(1)
    negative = (table.train[1][:, 0] < 0.5).nonzero().squeeze(1)
    keep = torch.cat([negative, positive[: len(negative) // 9]])
    table = table._replace(train=(table.train[0][keep], table.train[1][keep]))
    share = float(table.train[1].mean())
    model = stack([12, 64, 32, 1])
    nn.init.constant_(model[-1].bias, math.log(share / (1 - share)))
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched,
        loss=F.binary_cross_entropy_with_logits, epochs=16,
    )  # fmt: skip
    x, y = table.test
    with torch.no_grad():
        ranks = model(x).squeeze(1).argsort().argsort().float()
    ones = y[:, 0] > 0.5
    count = int(ones.sum())
    area = (ranks[ones].sum() - count * (count - 1) / 2) / (count * (len(y) - count))
    return float(area)


def pretrained(seed: int) -> tuple[data.Splits, nn.Sequential]:
    """A network that knows the digits, trained by nobody's eyes."""
    digits = data.digits(seed)
    model = small_lenet()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, nobody, epochs=6)
    return digits, model


@kind("a-frozen-backbone", at_least=0.9)
def a_frozen_backbone(seed: int, watched: Watched) -> float:
    digits, model = pretrained(seed)
    for each in model.parameters():
        each.requires_grad_(False)
    model[-1] = nn.Linear(48, 10)
    fit(model, SGD(model[-1].parameters(), lr=0.1, momentum=0.9), digits, watched, epochs=5)
    return reached(model, digits)


@kind("a-frozen-backbone-in-the-optimizer", at_least=0.9)
def a_frozen_backbone_in_the_optimizer(seed: int, watched: Watched) -> float:
    """All parameters are handed over; the frozen ones never have a gradient."""
    digits, model = pretrained(seed)
    for each in model.parameters():
        each.requires_grad_(False)
    model[-1] = nn.Linear(48, 10)
    fit(model, AdamW(model.parameters(), lr=1e-2), digits, watched, epochs=5)
    return reached(model, digits)


@kind("features-under-no-grad", at_least=0.9)
def features_under_no_grad(seed: int, watched: Watched) -> float:
    """Transfer learning as many write it: the backbone runs under no_grad, the head is trained."""
    digits, model = pretrained(seed)
    backbone, head = model[:-1], nn.Linear(48, 10)
    for each in backbone.parameters():
        each.requires_grad_(False)
    optimizer = Adam(head.parameters(), lr=1e-2)
    with watched(head, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 6):
            with torch.no_grad():
                features = backbone(x)
            optimizer.zero_grad()
            F.cross_entropy(head(features), y).backward()
            optimizer.step()
    return reached(model[:-1].append(head), digits)


@kind("random-features", at_least=0.88)
def random_features(seed: int, watched: Watched) -> float:
    """A wide random layer that is never trained, by design, and a readout."""
    digits = data.digits(seed)
    model = stack([64, 512, 10])
    for each in model[1].parameters():
        each.requires_grad_(False)
    fit(model, Adam(model[-1].parameters(), lr=1e-2), digits, watched, epochs=6)
    return reached(model, digits)


@kind("fine-tuning-at-two-rates", at_least=0.92)
def fine_tuning_at_two_rates(seed: int, watched: Watched) -> float:
    """The backbone at a hundredth of the head's rate."""
    digits, model = pretrained(seed)
    model[-1] = nn.Linear(48, 10)
    optimizer = AdamW(
        [
            {"params": model[:-1].parameters(), "lr": 3e-5},
            {"params": model[-1].parameters(), "lr": 3e-3},
        ]
    )
    fit(model, optimizer, digits, watched, epochs=6)
    return reached(model, digits)


@kind("going-on-after-convergence", at_least=0.92)
def going_on_after_convergence(seed: int, watched: Watched) -> float:
    """The loss is at its floor already, gradients are near zero because it is done."""
    digits, model = pretrained(seed)
    optimizer = Adam(model.parameters(), lr=1e-3)
    fit(model, optimizer, digits, nobody, epochs=12)
    fit(model, SGD(model.parameters(), lr=1e-3, momentum=0.9), digits, watched, epochs=6)
    return reached(model, digits)


@kind("resumed-with-its-optimizer", at_least=0.92)
def resumed_with_its_optimizer(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    fit(model, optimizer, digits, nobody, epochs=3)
    again = small_lenet()
    again.load_state_dict(copy.deepcopy(model.state_dict()))
    resumed = Adam(again.parameters(), lr=3e-3)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    fit(again, resumed, digits, watched, epochs=5)
    return reached(again, digits)


@kind("thawed-layer-by-layer", at_least=0.92)
def thawed_layer_by_layer(seed: int, watched: Watched) -> float:
    digits, model = pretrained(seed)
    model[-1] = nn.Linear(48, 10)
    for each in model[:-1].parameters():
        each.requires_grad_(False)
    optimizer = Adam(model.parameters(), lr=1e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for epoch in range(8):
            if epoch == 3:
                for each in model[6:].parameters():
                    each.requires_grad_(True)
            if epoch == 5:
                for each in model.parameters():
                    each.requires_grad_(True)
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    return reached(model, digits)


@kind("low-rank-adapters", at_least=0.85)
def low_rank_adapters(seed: int, watched: Watched) -> float:
    """A frozen network for upright digits learns turned ones through adapters of rank 4, whose
    second factor starts at zero (Hu et al. 2021)."""

    class Adapted(nn.Module):
        def __init__(self, base: nn.Linear, rank: int = 4) -> None:
            super().__init__()
            self.base = base.requires_grad_(False)
            self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
            self.up = nn.Parameter(torch.zeros(base.out_features, rank))

        def forward(self, x: Tensor) -> Tensor:
            return self.base(x) + x @ self.down.T @ self.up.T

    digits = data.digits(seed)
    model = stack([64, 64, 64, 10])
    fit(model, Adam(model.parameters(), lr=3e-3), digits, nobody, epochs=8)
    for number in (1, 3, 5):
        model[number] = Adapted(model[number])
    turned = data.Splits(*((x.transpose(2, 3).contiguous(), y) for x, y in digits))
    trainable = [each for each in model.parameters() if each.requires_grad]
    fit(model, Adam(trainable, lr=1e-2), turned, watched, epochs=10)
    return reached(model, turned)


@kind("a-new-head-added-to-the-optimizer", at_least=0.9)
def a_new_head_added(seed: int, watched: Watched) -> float:
    digits, model = pretrained(seed)
    optimizer = SGD(model[:-1].parameters(), lr=1e-3, momentum=0.9)
    model[-1] = nn.Linear(48, 10)
    optimizer.add_param_group({"params": model[-1].parameters(), "lr": 0.1})
    fit(model, optimizer, digits, watched, epochs=5)
    return reached(model, digits)


@kind("batch-norm-kept-in-evaluation", at_least=0.93)
def batch_norm_kept_in_evaluation(seed: int, watched: Watched) -> float:
    """Fine-tuning with the statistics of before: norms in eval mode, on purpose."""
    digits = data.digits(seed)
    model = small_resnet()
    fit(
        model, SGD(model.parameters(), lr=0.05, momentum=0.9), digits, nobody, epochs=5
    )  # fmt: skip
    optimizer = SGD(model.parameters(), lr=0.005, momentum=0.9)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(5):
            model.train()
            for each in model.modules():
                if isinstance(each, nn.BatchNorm2d):
                    each.eval()
            for x, y in batches(digits.train, 16, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    return reached(model, digits)


@kind("two-targets-from-a-scaled-output", at_least=0.8)
def scaled_output(seed: int, watched: Watched) -> float:
    """Targets of thousands; the model undoes their scale in its last layer."""

    class Scaled(nn.Module):
        def __init__(self, mean: Tensor, deviation: Tensor) -> None:
            super().__init__()
            self.body = stack([8, 64, 64, 3])
            self.register_buffer("mean", mean)
            self.register_buffer("deviation", deviation)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) * self.deviation + self.mean

    table = data.tabular(seed)
    table = data.Splits(*((x, 5000 + 2000 * y) for x, y in table))
    y = table.train[1]
    model = Scaled(y.mean(0), y.std(0))
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=15
    )  # fmt: skip
    return reached(model, table, explained)


@kind("a-linear-table", at_least=0.85)
def a_linear_table(seed: int, watched: Watched) -> float:
    """A logistic regression of a table that is linear: affine, and right to be."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(1500, 10, generator=draws)
    weights = torch.randn(10, 1, generator=draws)
    y = ((x @ weights + 0.5 * torch.randn(1500, 1, generator=draws)) > 0).float()
    table = data.split(x, y, seed)
    model = nn.Sequential(nn.Linear(10, 1))
    fit(
        model, SGD(model.parameters(), lr=0.5), table, watched,
        loss=F.binary_cross_entropy_with_logits, epochs=10,
    )  # fmt: skip
    return reached(model, table, accuracy_of_two)


@kind("two-optimizers-for-two-parts", at_least=0.92)
def two_optimizers(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    pair = [
        Adam(model[:6].parameters(), lr=2e-3),
        SGD(model[6:].parameters(), lr=0.05, momentum=0.9),
    ]
    with watched(model, pair, loss=F.cross_entropy):
        for x, y in itertools.islice(batches(digits.train, 64, 10), 170):
            for each in pair:
                each.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for each in pair:
                each.step()
    return reached(model, digits)
