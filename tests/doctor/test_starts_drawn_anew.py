"""A bad start against one drawn anew; inputs that nothing reads; batches of one left over."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from netwright.doctor.watch import watch
from netwright.records.facts.redrawn import Redrawn
from netwright.records.facts.unread import Unread
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
