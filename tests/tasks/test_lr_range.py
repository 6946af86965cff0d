"""The range test of a user's own model: what it finds, takes, refuses and leaves alone."""

from __future__ import annotations

import copy
import functools
import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import netwright as nw
from netwright.core import events as e
from netwright.core.errors import DataError, SettingError

SHORT = {"first": 1e-3, "last": 0.5, "steps": 20}


@pytest.fixture
def clusters() -> TensorDataset:
    """Four clouds of points in eight dimensions, which a small network tells apart."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(256) % 4
    centres = 2 * torch.randn(4, 8, generator=generator)
    return TensorDataset(centres[target] + torch.randn(256, 8, generator=generator), target)


@pytest.fixture
def loader(clusters: TensorDataset) -> DataLoader[Any]:
    return DataLoader(clusters, batch_size=32, shuffle=True)


def network() -> nn.Sequential:
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4)
    )


def state(model: nn.Module) -> list[bytes]:
    return [each.detach().numpy().tobytes() for each in (*model.parameters(), *model.buffers())]


# What it finds


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_the_suggested_rate_learns_more_than_a_hundredth_of_it(loader, kind):
    def loss_after_training(rate: float) -> float:
        model = network()
        chosen = getattr(torch.optim, kind)(model.parameters(), lr=rate)
        for x, y in [batch for _ in range(3) for batch in loader]:
            chosen.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            chosen.step()
        return loss.item()

    model = network()
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=1e-3)
    found = nw.lr_range(model, loader, F.cross_entropy, optimizer=optimizer, last=100)
    assert found.suggestion is not None, found.why
    assert found.optimizer == kind
    assert loss_after_training(found.suggestion) < 0.5 * loss_after_training(found.suggestion / 100)


def test_the_losses_are_those_of_the_obvious_loop(clusters):
    """A slow second implementation, on a copy, without a word of ours."""
    batches = [(x, y) for x, y in DataLoader(clusters, batch_size=32)]
    model = nn.Linear(8, 4)
    twin, wanted = copy.deepcopy(model), []
    tried = [1e-3 * (0.5 / 1e-3) ** (k / 19) for k in range(20)]
    optimizer = torch.optim.SGD(twin.parameters(), lr=1.0, momentum=0.9)
    for number, rate in enumerate(tried):
        x, y = batches[number % len(batches)]
        loss = F.cross_entropy(twin(x), y)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())
    found = nw.lr_range(model, batches, F.cross_entropy, **SHORT)
    assert found.rates == pytest.approx(tried)
    assert list(found.losses) == wanted


def test_groups_keep_their_proportion_and_the_rate_is_that_of_the_highest(loader):
    seen = []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    model = network()
    optimizer = Spy([{"params": model[0].parameters(), "lr": 0.01},
                     {"params": model[4].parameters(), "lr": 0.1}], lr=1)  # fmt: skip
    found = nw.lr_range(model, loader, F.cross_entropy, optimizer=optimizer, **SHORT)
    assert [high for _, high in seen] == pytest.approx(found.rates)
    assert [low for low, _ in seen] == pytest.approx([rate / 10 for rate in found.rates])


def test_twice_the_same_test_says_twice_the_same(loader):
    model = network()
    torch.manual_seed(5)
    first = nw.lr_range(model, loader, F.cross_entropy, **SHORT)
    assert nw.lr_range(model, loader, F.cross_entropy, **SHORT).losses == first.losses


def test_each_step_is_announced(loader):
    seen: list[e.Event] = []
    found = nw.lr_range(network(), loader, F.cross_entropy, listeners=[seen.append], **SHORT)
    steps = [each for each in seen if isinstance(each, e.StepEnded)]
    assert [each.values["loss"] for each in steps] == list(found.losses)
    assert [each.values["lr/g0"] for each in steps] == list(found.rates)


# What it leaves alone


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_the_users_is_changed(loader, fails):
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    F.cross_entropy(model(torch.randn(8, 8)), torch.arange(8) % 4).backward()
    optimizer.step()
    scheduler.step()
    model[0].weight.requires_grad_(False)
    model[1].eval()
    gradients = [each.grad for each in model.parameters()]
    values = [each.clone() for each in gradients]
    before = state(model), copy.deepcopy(optimizer.state_dict()), torch.get_rng_state()
    modes = [each.training for each in model.modules()]
    steps = []

    def loss_fn(outputs: Tensor, target: Tensor) -> Tensor:
        steps.append(state(model))
        if fails and len(steps) == 9:
            raise ZeroDivisionError("in the middle")
        return F.cross_entropy(outputs, target)

    def test() -> None:
        nw.lr_range(model, loader, loss_fn, optimizer=optimizer, **SHORT)

    if fails:
        with pytest.raises(ZeroDivisionError, match="in the middle"):
            test()
    else:
        test()
    assert steps[0] == before[0]
    assert steps[-1] != before[0]  # it has trained
    assert state(model) == before[0]
    after = optimizer.state_dict()
    assert str(after) == str(before[1])
    for mine, kept in zip(after["state"].values(), before[1]["state"].values(), strict=True):
        assert all(torch.equal(mine[name], kept[name]) for name in kept)
    assert torch.equal(torch.get_rng_state(), before[2])
    assert [each.training for each in model.modules()] == modes
    assert not model[0].weight.requires_grad
    for each, gradient, value in zip(model.parameters(), gradients, values, strict=True):
        assert each.grad is gradient
        assert torch.equal(gradient, value)


def test_a_loss_that_closes_over_the_model_trains_the_same_model_and_leaves_it(loader):
    model = nn.Linear(8, 4)
    before = state(model)
    found = nw.lr_range(
        model,
        loader,
        lambda outputs, target: F.cross_entropy(outputs, target) + model.weight.square().sum(),
        **SHORT,
    )
    assert found.losses[-1] != found.losses[0]
    assert state(model) == before
    assert model.weight.grad is None


def test_a_model_that_cannot_be_copied_is_tested_all_the_same(loader):
    class Bound(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)
            self.batches: Iterator[int] = (n for n in range(3))  # a generator

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    model = Bound()
    with pytest.raises(TypeError):
        copy.deepcopy(model)
    before = state(model)
    assert len(nw.lr_range(model, loader, F.cross_entropy, **SHORT).losses) > 5
    assert state(model) == before


def test_a_loss_with_tensors_of_its_own_gets_them_back(loader):
    class Centres(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.centres = nn.Parameter(torch.zeros(4, 4))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
            self.calls += 1
            return (outputs - self.centres[target] - target[:, None]).square().mean()

    model, loss = nn.Linear(8, 4), Centres()
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.1)
    before = state(loss)
    nw.lr_range(model, loader, loss, optimizer=optimizer, **SHORT)
    assert state(loss) == before
    for form in (loss.forward, lambda o, t: loss(o, t), functools.partial(loss.forward)):
        nw.lr_range(model, loader, form, optimizer=optimizer, **SHORT)
        assert state(loss) == before


def test_the_order_of_a_loader_goes_on_as_if_nobody_had_read_it(clusters):
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(clusters, batch_size=32, shuffle=True, generator=generator)
    before = generator.get_state()
    nw.lr_range(network(), loader, F.cross_entropy, **SHORT)
    assert torch.equal(generator.get_state(), before)


def test_it_works_where_gradients_are_switched_off(loader):
    with torch.no_grad():
        assert len(nw.lr_range(network(), loader, F.cross_entropy, **SHORT).losses) > 5


def test_a_model_in_evaluation_mode_is_tested_in_training_mode(loader):
    model = network().eval()
    modes = []
    model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    nw.lr_range(model, loader, F.cross_entropy, **SHORT)
    assert set(modes) == {True}
    assert not model.training


def test_an_optimizer_of_the_users_own_class_keeps_what_it_was_made_with(loader):
    class Damped(torch.optim.Optimizer):
        def __init__(self, params, lr, damping):
            super().__init__(params, {"lr": lr})
            self.damping = damping
            self.steps = 0

        @torch.no_grad()
        def step(self, closure=None):
            self.steps += 1
            for group in self.param_groups:
                for each in group["params"]:
                    if each.grad is not None:
                        each -= group["lr"] * self.damping * each.grad

    model = network()
    optimizer = Damped(model.parameters(), lr=0.1, damping=0.5)
    called = []
    optimizer.register_step_post_hook(lambda *_: called.append(1))
    assert nw.lr_range(model, loader, F.cross_entropy, optimizer=optimizer, **SHORT).losses
    assert (optimizer.steps, called) == (0, [])


# What it takes


def test_inputs_may_be_several_or_named(clusters):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.layer(torch.cat([left, right], 1))

    pairs = [([x[:, :3], x[:, 3:]], y) for x, y in DataLoader(clusters, batch_size=64)]
    names = [({"right": x[1], "left": x[0]}, y) for x, y in pairs]
    model = Two()
    several, named = (
        nw.lr_range(model, each, F.cross_entropy, **SHORT).losses for each in (pairs, names)
    )
    assert several == named


def test_a_target_may_be_a_mapping(clusters):
    batches = [(x, {"label": y, "id": "a"}) for x, y in DataLoader(clusters, batch_size=64)]
    model = nn.Linear(8, 4)
    found = nw.lr_range(model, batches, lambda o, t: F.cross_entropy(o, t["label"]), **SHORT)
    assert len(found.losses) > 5


# What it refuses


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([], "The loader gives no batches"),
        (iter([(torch.ones(2, 8), torch.zeros(2).long())]), "can be read only once"),
        (((x, x) for x in ()), "can be read only once: it is generator"),
        (7, "The loader gives no batches: it is int"),
        ([torch.ones(2, 8)], "A batch of the loader is Tensor"),
        ([(1, 2, 3)], "A batch of the loader is 3 things"),
    ],
)
def test_a_loader_that_is_none_is_refused(batches, words):
    with pytest.raises(DataError, match=words):
        nw.lr_range(nn.Linear(8, 4), batches, F.cross_entropy)


def test_a_loader_that_is_used_up_is_told():
    class Once:
        def __init__(self) -> None:
            self.left = [(torch.ones(2, 8), torch.zeros(2).long())]

        def __iter__(self):
            while self.left:
                yield self.left.pop()

    with pytest.raises(DataError, match="second time"):
        nw.lr_range(nn.Linear(8, 4), Once(), F.cross_entropy)


@pytest.mark.parametrize(
    ("loss_fn", "words"),
    [
        (lambda o, t: F.cross_entropy(o, t, reduction="none"), r"has the shape \(32,\)"),
        (lambda o, t: F.cross_entropy(o, t).item(), "gave float"),
        (lambda o, t: F.cross_entropy(o, t).detach(), "does not depend on anything"),
    ],
)
def test_a_loss_that_is_none_is_refused(loader, loss_fn, words):
    with pytest.raises(SettingError, match=words):
        nw.lr_range(network(), loader, loss_fn)


def test_a_model_without_parameters_to_train_is_refused(loader):
    with pytest.raises(SettingError, match="ReLU has no parameters to train"):
        nw.lr_range(nn.ReLU(), loader, F.cross_entropy)
    frozen = network().requires_grad_(False)
    with pytest.raises(SettingError, match="frozen"):
        nw.lr_range(frozen, loader, F.cross_entropy)
    with pytest.raises(SettingError, match="Call it once with a batch first"):
        nw.lr_range(nn.LazyLinear(4), loader, F.cross_entropy)
    with pytest.raises(SettingError, match=r"torch\.nn\.Module is expected as model, not str"):
        nw.lr_range("resnet20", loader, F.cross_entropy)


def test_optimizers_that_cannot_be_tested_are_refused(loader):
    model, other = network(), network()

    def refused(optimizer: Any, words: str) -> None:
        with pytest.raises(SettingError, match=words):
            nw.lr_range(model, loader, F.cross_entropy, optimizer=optimizer)

    refused(torch.optim.LBFGS(model.parameters()), "LBFGS computes the loss several times a step")
    refused(torch.optim.SGD(other.parameters(), lr=0.1), "no parameter of the model")
    refused(torch.optim.SGD, "Optimizer is expected as optimizer, not SGD")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"first": 1.0, "last": 0.1}, "A range from 1.0 to 0.1 is none"),
        ({"first": 0.0}, "above 0"),
        ({"last": math.inf}, "is none"),
        ({"first": math.nan}, "is none"),
        ({"steps": 19}, "19 steps are too few for a range test: at least 20"),
    ],
)
def test_ranges_that_are_none_are_refused(loader, asked, words):
    with pytest.raises(SettingError, match=words):
        nw.lr_range(network(), loader, F.cross_entropy, **asked)


def test_a_loss_that_is_nan_at_once_is_no_matter_of_the_rate(loader):
    model = network()
    before = state(model)
    found = nw.lr_range(model, loader, lambda o, t: F.cross_entropy(o, t) * math.nan)
    assert found.suggestion is None
    assert found.why.startswith("The loss is nan before the first step")
    assert len(found.losses) == 1
    assert state(model) == before
    json.dumps(found.to_json(), allow_nan=False)
    ET.fromstring(str(found.plot()))


def test_rates_that_move_nothing_are_answered_with_higher_ones(loader):
    found = nw.lr_range(network(), loader, F.cross_entropy, first=1e-8, last=1e-5)
    assert found.suggestion is None
    assert "test higher rates" in found.why


# What it shows


def test_the_result_is_plain_numbers_a_picture_and_a_sentence(loader, tmp_path):
    found = nw.lr_range(network(), loader, F.cross_entropy, last=100)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["suggestion"] == found.suggestion
    assert document["why"] == found.why
    assert len(document["rates"]) == len(document["losses"])
    path = found.plot().save(tmp_path / "rates.svg")
    drawn = ET.parse(path).getroot()
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}text"))
    assert "suggested 0." in words
    assert "Learning-rate range test · SGD" in words
    assert found.why in found._repr_html_()
    assert repr(found) == f"RateRange(suggestion={found.suggestion}, why={found.why!r})"
