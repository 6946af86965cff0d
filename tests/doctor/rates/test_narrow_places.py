"""What all must pass, proved by closing it; what a plain network does better; starts and norms."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.conditions.batchnorm_bad_momentum import batchnorm_bad_momentum
from netwright.inspection.initial_state import initial_state
from netwright.records.facts.narrow import Narrow
from netwright.records.facts.norms import NormFact, Norms
from netwright.records.record import Record

draws = torch.Generator().manual_seed(1)
KINDS = torch.randint(0, 10, (512,), generator=draws)
POINTS = 2 * torch.randn(10, 16, generator=draws)[KINDS] + torch.randn(512, 16, generator=draws)


def of_ten(*middle):
    """A perceptron for ten classes with these layers before its head."""
    body = [nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()]
    return nn.Sequential(*body, *(middle or [nn.Linear(32, 10)]))


def test_one_unit_before_ten_classes_is_the_narrow_place(small):
    said = small.run(
        lambda: of_ten(nn.Linear(32, 1), nn.Tanh(), nn.Linear(1, 10)),
        small.sgd(0.05, 0.9), inputs=POINTS, targets=KINDS, steps=240, batch=256,
    )  # fmt: skip
    found = said.named("bottleneck")
    assert small.root(said) == "bottleneck"
    assert found.layers == ("4",)
    assert found.evidence[0].value == 1


def test_ten_classes_without_a_narrow_place_are_learned_in_silence(small):
    said = small.run(of_ten, small.sgd(0.05, 0.9), inputs=POINTS, targets=KINDS, steps=160)
    assert small.alarms(said) == []


def test_two_numbers_for_a_picture_of_the_classes_are_enough_where_the_run_learns(small):
    def model():
        return nn.Sequential(*small.mlp()[:-1], nn.Linear(32, 2), nn.Linear(2, 4))

    said = small.run(model, small.adam(5e-3), steps=240)
    assert said.record.get(Narrow).width == 2
    assert "bottleneck" not in small.alarms(said)


def test_the_code_of_an_autoencoder_is_no_bottleneck(small):
    def model():
        return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2), nn.Linear(2, 16))

    said = small.run(
        model, small.adam(5e-3), steps=240, targets=small.inputs, loss=F.mse_loss
    )  # fmt: skip
    assert "bottleneck" not in small.alarms(said)


class Beside(nn.Module):
    """A narrow branch that weighs the channels of a wide one."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(16, 1)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.wide(x).relu() * self.narrow(x).sigmoid())


def test_a_narrow_branch_beside_a_wide_one_is_none(small):
    said = small.run(Beside, small.adam(5e-3))
    assert said.record.get(Narrow) is None
    assert small.alarms(said) == []


def test_two_hidden_units_for_bent_targets_are_too_few(small):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(512, 16, generator=generator)
    y = torch.stack([(2 * x[:, 0]).sin(), x[:, 1] * x[:, 2], x[:, 3].abs() - 0.8], 1)
    said = small.run(
        lambda: nn.Sequential(nn.Linear(16, 2), nn.ReLU(), nn.Linear(2, 3)),
        small.adam(5e-3), inputs=x, targets=y, loss=F.mse_loss, steps=240, batch=256,
    )  # fmt: skip
    assert small.root(said) in ("bottleneck", "too-little-capacity")


def test_targets_of_noise_are_no_want_of_weights(small):
    noise = torch.randn(512, 3, generator=torch.Generator().manual_seed(4))
    said = small.run(
        lambda: nn.Sequential(nn.Linear(16, 2), nn.ReLU(), nn.Linear(2, 3)),
        small.adam(5e-3), targets=noise, loss=F.mse_loss, steps=240, batch=256,
    )  # fmt: skip
    assert {"bottleneck", "too-little-capacity"}.isdisjoint(small.alarms(said))


def test_a_frozen_narrow_front_is_named_before_the_narrowness(small):
    def model():
        front = nn.Linear(16, 2).requires_grad_(False)
        return nn.Sequential(front, nn.ReLU(), nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 10))

    said = small.run(
        model, small.adam(5e-3), inputs=POINTS, targets=KINDS, steps=200, batch=256
    )  # fmt: skip
    assert small.root(said) == "frozen-parameters"


def test_nearly_everything_dropped_is_told_though_guessing_halves_the_first_loss(small):
    def model():
        return nn.Sequential(nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.98),
                             nn.Linear(64, 4))  # fmt: skip

    said = small.run(model, small.adam(1e-2), steps=200)
    assert "over-regularised" in small.alarms(said)


# --- starts ------------------------------------------------------------------------------------


def test_tanh_units_pushed_to_their_ends_are_saturated_and_not_dead(small):
    def model():
        made = small.mlp(32, 32, 32, 32, act=nn.Tanh)
        for each in made[:-1]:
            if isinstance(each, nn.Linear):
                nn.init.constant_(each.bias, 9.0)
        return made

    said = small.run(model, small.sgd(0.05), steps=80)
    assert small.root(said) == "saturated-at-start"
    assert said.named("dead-at-start") is None


def test_what_comes_after_a_dead_layer_has_not_grown(small):
    class Never(nn.Module):
        def forward(self, x):
            return F.relu(-F.relu(x))

    said = small.run(lambda: small.mlp(act=Never), small.sgd(0.05), steps=80)
    assert small.root(said) == "dead-at-start"


def test_a_recurrent_layer_of_one_number_begins_alike():
    torch.manual_seed(0)
    cell, head = nn.GRU(3, 6, batch_first=True), nn.Linear(6, 2)
    for each in cell.parameters():
        nn.init.constant_(each, 0.1)
    nn.init.constant_(head.weight, 0.1)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = cell, head

        def forward(self, x):
            return self.head(self.cell(x)[0][:, -1])

    x, y = torch.randn(16, 5, 3), torch.randint(0, 2, (16,))
    found = initial_state(Last(), x, y)
    assert "cell" in next(e.layers for e in found.judgements if e.verdict == "alike")
    nn.init.normal_(cell.weight_ih_l0)
    assert all(e.verdict != "alike" for e in initial_state(Last(), x, y).judgements)


def test_a_recurrent_layer_of_one_unit_is_not_alike():
    assert all(
        each.verdict != "alike"
        for each in initial_state(nn.GRU(3, 1), torch.randn(5, 8, 3)).judgements
    )


class Recurrent(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.cell = nn.RNN(1, 16, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(16, 4)
        with torch.no_grad():
            nn.init.eye_(self.cell.weight_hh_l0).mul_(size)

    def forward(self, x):
        return self.head(self.cell(x[..., None])[0][:, -1])


def test_a_state_that_doubles_at_each_step_has_weights_too_large(small):
    said = small.run(lambda: Recurrent(2.0), small.adam(1e-3), steps=80)
    assert small.root(said) == "weights-too-large"
    assert said.named("weights-too-large").evidence[0].value == pytest.approx(2.0, rel=1e-3)


def test_a_state_that_stays_its_size_begins_well(small):
    said = small.run(lambda: Recurrent(1.0), small.adam(5e-3), steps=80)
    assert said.named("weights-too-large") is None
    assert said.named("unscaled-input") is None


def test_a_logarithm_of_zero_at_any_rate_is_not_the_rate(small):
    def loss(output, target):
        kinds = F.one_hot(target, 4).float()
        return -(kinds * torch.softmax(output / 0.003, 1).log()).sum(1).mean()

    said = small.run(small.mlp, small.sgd(0.5, 0.9), loss=loss, steps=60)
    assert small.root(said) == "nonfinite"
    assert "learning-rate-too-high" not in small.alarms(said)


class InTensors(nn.Module):
    """Weights that are plain tensors, and one batch kept for its gradient, as attacks do."""

    def __init__(self, *, plain):
        super().__init__()
        self.body, self.head = nn.Linear(16, 32), nn.Linear(32, 4)
        self.weight = torch.randn(32, 32).div(6)
        if plain:
            self.weight.requires_grad_()

    def forward(self, x):
        self.seen = x.detach().clone().requires_grad_()
        return self.head((self.body(self.seen).relu() @ self.weight).relu())


def test_weights_that_are_plain_tensors_are_not_registered(small):
    said = small.run(lambda: InTensors(plain=True), small.adam(5e-3), steps=60)
    found = said.named("unregistered-parameters")
    assert small.root(said) == "unregistered-parameters"
    assert found.layers == ("weight",)


def test_a_batch_that_asks_for_its_gradient_is_no_weight(small):
    said = small.run(lambda: InTensors(plain=False), small.adam(5e-3), steps=60)
    assert said.named("unregistered-parameters") is None


# --- norms -------------------------------------------------------------------------------------


def norms(momentum, samples, count=2):
    facts = [
        NormFact(name=f"norm{n}", values=64, momentum=momentum, samples=samples)
        for n in range(count)
    ]
    return Record([Norms(norms=tuple(facts), step=200)])


def test_statistics_of_the_last_batch_are_off_by_what_a_few_samples_are():
    (found,) = batchnorm_bad_momentum(norms(0.999, 24.0))
    assert found.severity == "warn"
    assert found.evidence[-1].value == pytest.approx(math.sqrt(2 * 1.5 / 24), rel=0.01)


@pytest.mark.parametrize(("momentum", "samples"), [(0.999, 500.0), (0.6, 256.0)])
def test_statistics_of_a_large_last_batch_are_good_enough(momentum, samples):
    (found,) = batchnorm_bad_momentum(norms(momentum, samples))
    assert found.severity == "note"
