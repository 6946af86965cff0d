"""The order of the data, and loaders that give too little, in real loops too."""

import time

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from netwright.doctor.data.feeding import carried, dealt, within
from netwright.doctor.data.reading import read
from netwright.doctor.patient import Source
from netwright.doctor.watch import watch
from netwright.doctor.watching.pace import Pace
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.first_layer import FirstLayer
from netwright.records.facts.passing import Passing
from netwright.records.facts.setup import Setup

from .conftest import alarms, found_in, images, looked_at, network


def loader(x, y, **more):
    loading = DataLoader(TensorDataset(x, y), 16, **more)
    return lambda: iter(loading)


def by_class(samples=600):
    x, y = images(samples)
    order = y.argsort(stable=True)
    return x[order], y[order]


# --- before the first step -----------------------------------------------------------------------


def test_data_fed_by_class_are_warned_of():
    found = found_in(looked_at(*by_class(), size=16))["unshuffled-data"]
    assert (found.severity, found.treatments[0].grade) == ("warn", "safe")
    assert "batches in a row hold one class alone, of 4" in str(found.what)


@pytest.mark.parametrize("kind", ["shuffled", "balanced", "few classes a batch", "full batch"])
def test_data_stored_by_class_and_fed_otherwise_are_silent(kind):
    x, y = by_class()
    torch.manual_seed(0)
    if kind == "few classes a batch":  # as a loss on pairs likes it
        places = [
            torch.cat([(y == c).nonzero()[:, 0][torch.randint(0, 100, (8,))] for c in pair])
            for pair in [torch.randperm(4)[:2] for _ in range(30)]
        ]
        feed = [(x[each], y[each]) for each in places]
        record = looked_at(x, y, batches=lambda: iter(feed))
    elif kind == "full batch":
        record = looked_at(x, y, size=600)
    else:
        sampler = WeightedRandomSampler(torch.ones(600), 600) if kind == "balanced" else None
        record = looked_at(
            x, y, batches=loader(x, y, sampler=sampler, shuffle=sampler is None), size=16
        )
    assert alarms(record) == []
    assert "unshuffled-data" not in found_in(record)


def test_a_loader_without_a_batch_stops_the_run():
    x, y = images(12)
    record = looked_at(x, y, batches=loader(x, y, drop_last=True), dropped=12)
    found = found_in(record)["stuck-data-feed"]
    assert found.severity == "stop"
    assert "drop_last" in str(found.cause)


@pytest.mark.parametrize(("shuffled", "severity"), [(False, "warn"), (True, "note")])
def test_much_that_drop_last_leaves_out_counts_where_it_is_always_the_same(shuffled, severity):
    x, y = images(230)
    record = looked_at(x, y, size=100, dropped=30, shuffled=shuffled)
    assert found_in(record)["stuck-data-feed"].severity == severity


def test_reading_the_data_changes_no_random_state():
    x, y = images(200)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    split = read(Source(name="train", batches=loader(x, y, shuffle=True)), "train", 5.0)
    assert (split.seen, split.complete) == (200, True)
    assert torch.equal(before, torch.get_rng_state())


def test_sixty_thousand_samples_are_looked_at_in_bounded_time():
    x, y = images(500)
    x, y = x.repeat(120, 1, 1, 1), y.repeat(120)
    began = time.process_time()
    looked_at(x, y, (x[:20_000], y[:20_000]), size=64)
    assert time.process_time() - began < 6


def test_the_carried_loss_is_that_of_a_slow_count():
    parts = [torch.tensor(each).numpy() for each in ([0, 0, 1], [1, 1, 1])]
    # After the first batch: (2 + 1/2) / 4 and (1 + 1/2) / 4.
    assert carried(parts) == pytest.approx(-torch.tensor(1.5 / 4).log().item())
    assert within(parts) == pytest.approx(0.6365 / 2, abs=1e-4)
    assert sorted(torch.cat([torch.tensor(p) for p in dealt(parts)[0]]).tolist()) == [
        0,
        0,
        1,
        1,
        1,
        1,
    ]


# --- in a loop -----------------------------------------------------------------------------------


def train(x, y, order, *, steps, size=16, val=None):
    """A plain loop over `order`, again and again; then one pass in evaluation mode."""
    model = network(x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    with watch(model, optimizer, every=1, checkup=False) as doctor:
        for step in range(steps):
            start = step * size % len(order)
            part = order[start : start + size]
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for each in (x if val is None else val).split(32):
                model(each)
    assert doctor.watcher.fault == ""
    return doctor.record()


def with_samples(record, samples):
    return record.with_facts(Setup(model="", params=0, trainable=0, train_samples=samples))


def test_a_sorted_loop_is_seen_without_its_loader():
    x, y = by_class(320)
    assert "unshuffled-data" in alarms(train(x, y, torch.arange(320), steps=20))


def test_a_healthy_loop_of_several_epochs_is_silent():
    x, y = images(160)
    record = with_samples(train(x, y, torch.arange(160), steps=40), 160)
    assert record.get(Passing).distinct == 10
    assert found_in(record) == {}


def test_validation_in_another_range_is_seen_as_it_passes():
    x, y = images(320)
    record = train(x, y, torch.arange(320), steps=20, val=images(200, seed=1)[0] * 255)
    gap = Epochs(epochs=(EpochFact(epoch=1, step=20, train_score=0.95, val_score=0.4),))
    assert found_in(record)["inconsistent-preprocessing"].severity == "note"
    assert alarms(record.with_facts(gap)) == ["inconsistent-preprocessing"]


def test_few_batches_again_and_again_are_told_with_the_gap_they_leave():
    x, y = images(800)
    record = with_samples(train(x, y, torch.arange(64), steps=100), 800)
    gap = Epochs(epochs=(EpochFact(epoch=1, step=100, train_score=0.95, val_score=0.4),))
    assert found_in(record)["stuck-data-feed"].severity == "note"
    assert alarms(record.with_facts(gap)) == ["stuck-data-feed"]


def test_fitting_one_batch_as_a_test_is_no_alarm():
    x, y = images(800)
    record = with_samples(train(x, y, torch.arange(16), steps=110), 800)
    gap = Epochs(epochs=(EpochFact(epoch=1, step=100, train_score=1.0, val_score=0.4),))
    assert alarms(record.with_facts(gap)) == []


def test_a_check_up_with_its_trial_changes_nothing_of_the_loop_it_runs_in():
    x, y = images(64)

    def weights(watched):
        model = network(x)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

        def loop():
            for part, target in zip((x * 255).split(16), y.split(16), strict=True):
                optimizer.zero_grad()
                F.cross_entropy(model(part), target).backward()
                optimizer.step()

        if not watched:
            loop()
            return list(model.parameters()), None
        with watch(model, optimizer) as doctor:
            loop()
        return list(model.parameters()), doctor

    (plain, _), (seen, doctor) = weights(False), weights(True)
    assert all(torch.equal(a, b) for a, b in zip(plain, seen, strict=True))
    assert doctor.record().get(FirstLayer).trial is not None
    assert doctor.diagnosis().named("unscaled-input") is not None


def test_single_losses_are_those_of_the_loss_before_the_step():
    x, y = images(32)
    model = network(x)
    with torch.no_grad():
        expected = F.cross_entropy(model(x[:16]), y[:16], reduction="none")
    passing = train(x, y, torch.arange(32), steps=1).get(Passing)
    assert passing.loss == pytest.approx(expected.double().numpy(), rel=1e-5)
    assert passing.label.tolist() == y[:16].tolist()


def test_batches_that_differ_in_the_middle_of_dark_images_are_told_apart():
    x = torch.zeros(64 * 4, 1, 28, 28)
    x[:, :, 8:20, 8:20] = torch.rand(256, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    with watch(model, optimizer, checkup=False) as doctor:
        for part in x.split(64):
            model(part).square().mean().backward()
            optimizer.step()
    assert doctor.record().get(Passing).distinct == 4


def test_a_check_up_does_not_count_as_the_cost_of_hooks():
    pace = Pace()
    pace.hooks += 0.5  # a hook in which a check-up of 0.4 s ran
    pace.leave_out(0.4)
    assert pace.hooks == pytest.approx(0.1)


def test_what_is_kept_is_bounded():
    x, y = images(64)
    passing = train(x, y, torch.arange(64), steps=300).get(Passing)
    assert len(passing.loss) <= 2016
    assert passing.batches == 300


@pytest.mark.parametrize("frozen", [True, False])
def test_a_network_in_front_whose_units_died_is_no_stuck_feed(frozen):
    torch.manual_seed(0)
    front = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU())
    head = torch.nn.Linear(16, 2)
    torch.nn.init.constant_(front[0].bias, -100.0)
    x = torch.randn(256, 8)
    loading = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), 32, shuffle=True)
    held = [*head.parameters()] if frozen else [*front.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(held, lr=0.1)
    with watch(head, optimizer) as doctor:
        for _ in range(6):
            for inputs, target in loading:
                with torch.set_grad_enabled(not frozen):
                    hidden = front(inputs)
                optimizer.zero_grad()
                F.cross_entropy(head(hidden), target).backward()
                optimizer.step()
    assert doctor.diagnosis().named("stuck-data-feed") is None
