"""The probes of rates measure what can be worked out by hand, and leave no trace."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.checkup import examine
from netwright.doctor.patient import Patient, noted
from netwright.doctor.probes.fit import fit
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.twin import NoTwinError, Twin, rate_meant
from netwright.records.facts.affinity import Affinity
from netwright.records.facts.curvature import Curvature
from netwright.records.facts.fit import Fit
from netwright.records.facts.left_out import LeftOut
from netwright.records.facts.noise import GradientNoise
from netwright.records.facts.schedule import Schedule
from netwright.records.facts.start import WeightScales
from netwright.records.initial_state import InitialState
from netwright.records.record import Record


def patient(model, optimizer, loss, x, y, *schedulers):
    return Patient(
        model=model, optimizers=(optimizer,), setup=setup_of(model, [optimizer]),
        samples=[noted(model, loss, (x,), y)], schedulers=schedulers,
    )  # fmt: skip


def examined(*given):
    record = Record(examine(patient(*given)))
    left = record.get(LeftOut)
    assert left is None or left.failed == ()
    return record


def test_the_top_curvature_is_the_largest_eigenvalue():
    torch.manual_seed(0)
    x = torch.randn(64, 3) * torch.tensor([5.0, 1.0, 0.2])
    model = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    found = examined(model, optimizer, F.mse_loss, x, torch.zeros(64, 1)).get(Curvature)
    largest = float(torch.linalg.eigvalsh(2 * x.T @ x / 64)[-1])
    assert found.top == pytest.approx(largest, rel=1e-3)
    assert (found.rate, found.limit, found.exact) == (0.01, 3.8, True)
    assert found.product == pytest.approx(0.01 * largest, rel=1e-3)


class NoSecond(torch.autograd.Function):
    """The square, by a backward that has no derivative of its own."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Squared(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return NoSecond.apply(self.weight * x).sum(1)


def test_without_a_second_derivative_gradients_are_subtracted():
    x = torch.tensor([[3.0, 1.0, 0.5]])
    model = Squared()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    found = examined(model, optimizer, lambda out, _: out.sum(), x, None).get(Curvature)
    assert not found.exact
    assert found.top == pytest.approx(2 * 9.0, rel=1e-2)


def test_one_batch_is_fitted_at_the_rate_and_not_at_ten_times_it():
    x, y = torch.ones(8, 1), 3 * torch.ones(8, 1)
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.25)
    found = examined(model, optimizer, F.mse_loss, x, y).get(Fit)
    # The loss bends by 2: at 0.25 each step halves the way, at 2.5 it makes it four times as long.
    assert found.at(1.0).end < 0.1 * found.at(1.0).start
    assert math.isnan(found.at(10.0).end)
    assert found.at(10.0).rising == 1.0


def test_the_first_step_of_the_trial_is_the_step_of_the_loop():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
    begin = torch.get_rng_state()
    who = patient(model, optimizer, F.cross_entropy, x, y)
    with Twin(who, who.samples[0]) as twin:
        assert twin.agrees()
        fresh = twin.optimizer(optimizer, 1.0)
        twin.begin()
        gradients = torch.autograd.grad(twin.loss(), list(twin.parameters.values()))
        for each, gradient in zip(twin.parameters.values(), gradients, strict=True):
            each.grad = gradient
        fresh.step()
        stepped = {name: each.detach().clone() for name, each in twin.parameters.items()}
    torch.set_rng_state(begin)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    for name, each in model.named_parameters():
        assert torch.equal(each, stepped[name]), name


def test_a_check_up_leaves_no_trace_and_a_waiting_backward_pass_goes_on():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
    who = patient(model, optimizer, F.cross_entropy, x, y)
    waiting = who.samples[0].objective.loss
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    list(examine(who))
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert not optimizer.state
    waiting.backward()


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda held: torch.optim.LBFGS(held, lr=0.5),
        lambda held: torch.optim.AdamW(held, lr=1e-2),
        lambda held: torch.optim.RMSprop(held, lr=1e-2),
        lambda held: torch.optim.SGD([{"params": held, "lr": 0.1}], lr=1.0, momentum=0.5),
    ],
    ids=["LBFGS", "AdamW", "RMSprop", "groups"],
)
def test_a_fresh_optimizer_of_the_same_class_takes_the_trial(optimizer):
    model = nn.Linear(4, 2)
    x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
    found = examined(model, optimizer(list(model.parameters())), F.cross_entropy, x, y).get(Fit)
    assert found.at(1.0).end < found.at(1.0).start


class Remembers(nn.Module):
    """Keeps its last output, with its history, and collects outputs by a hook."""

    def __init__(self, seen):
        super().__init__()
        self.map, self.last = nn.Linear(4, 2), None
        self.map.register_forward_hook(lambda *given: seen.append(given[2]))

    def forward(self, x):
        self.last = self.map(x)
        return self.last


def test_what_a_network_keeps_is_no_obstacle_and_its_hooks_are_not_woken():
    seen = []
    model = Remembers(seen)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    who = patient(model, optimizer, F.cross_entropy, torch.randn(8, 4), torch.randint(0, 2, (8,)))
    kept = model.last
    assert len(list(fit(who))) == 1
    assert len(seen) == 1
    assert model.last is kept


class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(4, 2)

    def forward(self, x):
        return self.map(x)

    def __deepcopy__(self, memo):
        raise RuntimeError("no copies of me")


def test_a_network_that_cannot_be_copied_is_left_in_peace():
    model = Stubborn()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    given = (model, optimizer, F.cross_entropy, torch.randn(8, 4), torch.randint(0, 2, (8,)))
    with pytest.raises(NoTwinError, match="no copies of me"):
        Twin(patient(*given), patient(*given).samples[0])
    found = examined(*given)
    assert Fit not in found
    assert Curvature not in found


def test_a_schedule_is_simulated_and_not_stepped():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.1)
    found = examined(
        model, optimizer, F.cross_entropy, torch.randn(8, 4), torch.randint(0, 2, (8,)), scheduler
    ).get(Schedule)
    assert found.kinds == ("StepLR",)
    assert found.rates[[0, 9, 10, 20]] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert (scheduler.last_epoch, optimizer.param_groups[0]["lr"]) == (0, 0.1)


def test_a_rate_set_by_hand_for_a_warm_up_is_not_the_one_meant():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    optimizer.param_groups[0]["lr"] = 1e-7
    assert rate_meant(optimizer.param_groups[0], optimizer) == 0.1
    own = torch.optim.AdamW([{"params": [torch.zeros(1)], "lr": 1e-5},
                             {"params": [torch.zeros(1)], "lr": 1e-4}])  # fmt: skip
    assert [rate_meant(each, own) for each in own.param_groups] == [1e-5, 1e-4]


def test_only_a_network_that_bends_has_a_gap():
    x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
    for bend, affine in ((nn.Identity(), True), (nn.ReLU(), False)):
        model = nn.Sequential(nn.Linear(4, 8), bend, nn.Linear(8, 2))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        found = examined(model, optimizer, F.cross_entropy, x, y).get(Affinity)
        assert (found.share < 1e-5) is affine
        assert found.layers == ("0", "2")


class Closed(nn.Module):
    """A residual branch that begins at 0, with or without an activation in it."""

    def __init__(self, bend):
        super().__init__()
        self.inner, self.bend, self.outer = nn.Linear(8, 8), bend, nn.Linear(8, 8)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x):
        return x + self.outer(self.bend(self.inner(x)))


@pytest.mark.parametrize(("bend", "affine"), [(nn.Identity(), True), (nn.ReLU(), False)])
def test_a_branch_that_begins_closed_is_judged_as_it_will_be_once_it_opens(bend, affine):
    torch.manual_seed(0)
    model = nn.Sequential(Closed(bend), nn.Linear(8, 3))
    x, y = torch.randn(32, 8), torch.randint(0, 3, (32,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = copy.deepcopy(model.state_dict())
    found = examined(model, optimizer, F.cross_entropy, x, y).get(Affinity)
    assert (found.share < 1e-5) is affine
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_the_noise_scale_of_equal_samples_is_zero():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = torch.ones(16, 2), torch.ones(16, 1)
    found = examined(model, optimizer, F.mse_loss, x, y).get(GradientNoise)
    assert found.scale == pytest.approx(0.0, abs=1e-5)
    assert found.cosine == pytest.approx(1.0)


def test_the_start_is_measured_with_the_loss_of_the_loop_and_saved(tmp_path):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    nn.init.normal_(model[0].weight, 0, 3.0)
    optimizer = torch.optim.SGD(model[2].parameters(), 0.1)
    record = examined(model, optimizer, F.cross_entropy, torch.randn(16, 4), torch.arange(16) % 2)
    scales = record.get(WeightScales)
    assert [each.held for each in scales.layers] == [False, True]
    assert scales.layers[0].gain == pytest.approx(6.0, rel=0.3)
    record.save(tmp_path)
    again = Record.load(tmp_path)
    assert again.get(InitialState) == record.get(InitialState)
    assert again.get(Fit) == record.get(Fit)
    assert np.isfinite(again.get(Curvature).top)
