"""A bad start against one drawn anew; inputs that nothing reads; batches of one left over."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from netwright.doctor.conditions._capacity import far_behind
from netwright.doctor.watch import watch
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.learnable import Learnable
from netwright.records.facts.objective import Objective
from netwright.records.facts.redrawn import Redrawn
from netwright.records.facts.steps import Steps
from netwright.records.facts.through_time import ThroughTime
from netwright.records.facts.unread import Unread
from netwright.records.record import Record
from netwright.testing.loops import alarms, found

draws = torch.Generator().manual_seed(2)
KINDS = torch.randint(0, 10, (640,), generator=draws)
POINTS = torch.randn(10, 16, generator=draws)[KINDS] + 0.7 * torch.randn(640, 16, generator=draws)


def network(activation=nn.Tanh):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(16, 64), activation(), nn.Linear(64, 32), activation(), nn.Linear(32, 10)
    )


def train(model, *, rate=0.05, epochs=10, points=POINTS, kinds=KINDS, batch=32, every=4):
    loader = DataLoader(TensorDataset(points, kinds), batch_size=batch, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    torch.manual_seed(1)
    with watch(model, optimizer, every=every) as doctor:
        for _ in range(epochs):
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    return doctor


def wide(model, deviation):
    for each in (model[0], model[2]):
        nn.init.normal_(each.weight, std=deviation)
    return model


def test_units_saturated_by_wide_weights_cost_what_a_fresh_draw_shows():
    doctor = train(wide(network(), 12.0), epochs=6)
    (finding,) = found(doctor, "saturated-at-start")
    assert finding.severity == "warn"
    fact = doctor.record().get(Redrawn)
    assert fact.as_is > 1.5 * max(fact.redrawn)
    assert fact.steps >= 60


def test_a_start_by_the_book_is_not_drawn_anew():
    doctor = train(network())
    assert doctor.record().get(Redrawn) is None
    assert alarms(doctor) == set()


def test_a_wide_start_that_the_run_makes_up_for_is_no_alarm():
    doctor = train(wide(network(nn.ReLU), 1.0), rate=0.01, epochs=12)
    assert not {"weights-too-large", "saturated-at-start", "dead-at-start"} & alarms(doctor)


class Strided(nn.Module):
    """Reads every eighth number of its input."""

    def __init__(self, step):
        super().__init__()
        torch.manual_seed(0)
        self.step = step
        self.layers = nn.Sequential(nn.Linear(16 // step, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x):
        return self.layers(x[:, :: self.step])


def test_numbers_that_no_output_depends_on_are_counted_where_they_are_missed():
    doctor = train(Strided(8), epochs=40, batch=128)
    (finding,) = found(doctor, "bottleneck")
    assert finding.severity == "warn"
    assert (finding.evidence[0].value, doctor.record().get(Unread).varied) == (14, 16)


def test_numbers_that_nothing_reads_and_nobody_misses_are_no_alarm():
    clear = torch.cat([POINTS, torch.randn(640, 16, generator=draws)], 1)[:, ::2]
    model = Strided(2)
    assert "bottleneck" not in alarms(train(model, points=clear.repeat_interleave(2, 1)[:, :16]))


def normed():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


def test_a_last_batch_of_one_is_told_before_the_norm_raises():
    points, kinds = POINTS[: 32 * 8 + 1], KINDS[: 32 * 8 + 1]
    loader = DataLoader(TensorDataset(points, kinds), batch_size=32)
    model = normed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    doctor = watch(model, optimizer, every=2)

    def epoch():
        with doctor:
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()

    with pytest.raises(ValueError, match="more than 1 value"):
        epoch()
    (finding,) = found(doctor, "batchnorm-small-batch")
    assert finding.severity == "stop"
    assert "257" in finding.formula


def test_a_last_batch_of_two_is_left_alone():
    doctor = train(normed(), points=POINTS[:258], kinds=KINDS[:258], epochs=3)
    assert not [each for each in found(doctor, "batchnorm-small-batch") if each.severity == "stop"]


def behind(least, *, steps=300):
    """What is said of a run whose validation came to `least`, where guessing costs 2 and a plain
    network comes to 0.4."""
    losses = np.linspace(2.0, 0.9, steps)
    epochs = [EpochFact(epoch=n, step=60 * n, val_loss=least + 0.2 * (5 - n)) for n in range(1, 6)]
    objective = Objective(
        kind="cross_entropy", input_shape=(64, 10), target_shape=(64,), classes=10,
        losses=(2.0,), constant=2.0,
    )  # fmt: skip
    return far_behind(
        Record().with_facts(
            Steps(step=np.arange(1.0, steps + 1), loss=losses, total=steps),
            objective,
            Learnable(unseen=0.4, guess=2.0),
            Epochs(epochs=tuple(epochs)),
        )
    )


def test_a_run_at_three_times_the_loss_of_a_plain_network_is_far_behind():
    evidence = behind(1.3)
    assert (evidence.witness, evidence.value) == ("harm", 1.3)
    assert evidence.threshold == pytest.approx(1.2)


def test_a_run_that_comes_closer_or_is_young_is_not():
    assert behind(1.1) is None
    assert behind(1.3, steps=200) is None


class Leaky(nn.Module):
    """A state of which a share is left at each step, and no gate."""

    def __init__(self, left):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.read, self.head = left, nn.Linear(2, 24), nn.Linear(24, 4)

    def forward(self, rows):
        state = rows.new_zeros(len(rows), 24)
        for each in rows.unbind(1):
            state = self.left * state + torch.tanh(self.read(each))
        return self.head(state)


def told_by_the_first_steps():
    kinds = torch.randint(0, 4, (640,), generator=draws)
    rows = 0.1 * torch.randn(640, 12, 2, generator=draws)
    rows[:, 0, 0] += (kinds % 2) * 2.0 - 1
    rows[:, 0, 1] += (kinds // 2) * 2.0 - 1
    return rows, kinds


def test_a_state_that_forgets_the_first_steps_is_told_by_the_gradient_through_time():
    rows, kinds = told_by_the_first_steps()
    doctor = train(Leaky(0.05), points=rows, kinds=kinds, epochs=20)
    (finding,) = found(doctor, "vanishing-gradients")
    assert finding.severity == "stop"
    assert doctor.record().get(ThroughTime).first < 1e-3


def test_a_state_that_keeps_them_learns_in_silence():
    rows, kinds = told_by_the_first_steps()
    doctor = train(Leaky(1.0), points=rows, kinds=kinds, epochs=20, rate=0.01)
    assert alarms(doctor) == set()


def test_layers_that_a_hook_cuts_off_are_told_though_no_call_is_seen_to_cut():
    model = network(nn.ReLU)
    model[2].register_forward_hook(lambda module, given, output: output.detach())
    (finding,) = found(train(model), "detached-graph")
    assert finding.severity == "warn"
    assert set(finding.layers) == {"0", "2"}


def test_a_hook_that_only_looks_is_silent():
    model, seen = network(nn.ReLU), []
    model[2].register_forward_hook(lambda module, given, output: seen.append(len(output)))
    assert not found(train(model), "detached-graph")


def test_groups_of_one_number_leave_one_output_for_all():
    model = network(nn.Tanh)
    model[0] = nn.Sequential(model[0], nn.GroupNorm(64, 64))
    assert "constant-output" in alarms(train(model))


class Recurrent(nn.Module):
    def __init__(self, gain):
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head = nn.RNN(2, 24, batch_first=True), nn.Linear(24, 4)
        nn.init.orthogonal_(self.cell.weight_hh_l0, gain=gain)

    def forward(self, rows):
        return self.head(self.cell(rows)[0][:, -1])


def test_recurrent_weights_of_four_are_too_large_where_the_run_learns_nothing():
    rows, kinds = told_by_the_first_steps()
    doctor = train(Recurrent(4.0), points=rows, kinds=kinds, epochs=20, rate=0.02)
    assert "weights-too-large" in alarms(doctor)


def test_orthogonal_recurrent_weights_are_silent():
    rows, kinds = told_by_the_first_steps()
    doctor = train(Recurrent(1.0), points=rows, kinds=kinds, epochs=20, rate=0.02)
    assert not found(doctor, "weights-too-large")
