"""What stands beside a loop is heard: its loaders, schedulers, its scaler, its clipping."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)  # fmt: skip

from netwright.doctor.watch import watch
from netwright.doctor.watching import feeding
from netwright.doctor.watching.sources import given_source, pair_of, reader, source_of
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps


@pytest.fixture(autouse=True)
def _nothing_listens_afterwards():
    """However a loop ended: torch's functions are nobody's business any more."""
    yield
    assert torch._C._len_torch_function_stack() == 0


def data(count=96):
    torch.manual_seed(0)
    x = torch.randn(count, 4)
    return TensorDataset(x, (x[:, 0] > 0).long())


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def epochs(model, optimizer, train, val=None, *, count=2, after=lambda: None):
    for _ in range(count):
        for x, y in train:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        after()
        if val is not None:
            with torch.no_grad():
                for x, y in val:
                    F.cross_entropy(model(x), y)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return net()


@pytest.fixture
def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


# Loaders


def test_a_loader_tells_the_sizes_the_epochs_and_the_waiting(model, optimizer):
    train, val = random_split(data(), [80, 16])
    loader = DataLoader(train, batch_size=32, shuffle=True, drop_last=True)
    judge = DataLoader(val, batch_size=8)
    with watch(model, optimizer) as doctor:
        epochs(model, optimizer, loader, judge, count=3)
        record = doctor.record()
    setup, steps = record.get(Setup), record.get(Steps)
    assert (setup.batch, setup.train_samples, setup.val_samples) == (32, 80, 16)
    assert (setup.steps_per_epoch, setup.task) == (2, "classification")
    assert steps.epoch.tolist() == [1, 1, 2, 2, 3, 3]
    assert (steps.wait > 0).all()
    assert 0 < record.get(Loop).wait_share < 1
    assert doctor.patient.train.dropped == 16
    assert (doctor.patient.train.shuffled, doctor.patient.val.shuffled) == (True, False)


def test_validation_is_told_by_no_gradient_being_taken(model, optimizer):
    loaders = [DataLoader(data(), batch_size=32), DataLoader(data(40), batch_size=20)]
    with watch(model, optimizer, checkup=False) as doctor:
        epochs(model, optimizer, *loaders)
        doctor.record()
    assert (doctor.patient.train.samples, doctor.patient.val.samples) == (96, 40)


def test_before_any_validation_the_one_other_loader_in_order_is_taken_for_it(
    model, optimizer, monkeypatch
):
    train, val = random_split(data(), [64, 32])
    loader, judge = DataLoader(train, batch_size=32, shuffle=True), DataLoader(val, batch_size=8)
    # Loaders of other tests may still be alive in this process: these two are the script's.
    monkeypatch.setattr(feeding, "living", lambda kind: [loader, judge])
    with watch(model, optimizer) as doctor:
        x, y = next(iter(loader))
        F.cross_entropy(model(x), y).backward()
        assert doctor.patient.val.samples == len(judge.dataset)


def test_an_epoch_ends_no_repetition(model, optimizer):
    loader = DataLoader(data(64), batch_size=32)
    with watch(model, optimizer) as doctor:
        epochs(model, optimizer, loader, count=3)
        loop = doctor.record().get(Loop)
    assert (loop.repeated_batches, loop.distinct_batches) == (0, 6)


def test_one_batch_from_a_new_iterator_each_step_is_no_epoch(model, optimizer):
    loader = DataLoader(data(), batch_size=16, shuffle=True)
    with watch(model, optimizer) as doctor:
        for _ in range(5):
            x, y = next(iter(loader))
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        assert set(doctor.record().get(Steps).epoch) == {1.0}


class Own(Dataset):
    """Counts how often it is asked, and draws a random number each time."""

    asked = 0

    def __len__(self):
        return 32

    def __getitem__(self, index):
        self.asked += 1
        return torch.rand(4) + index, index % 2


def test_a_data_set_of_the_users_own_is_not_read_a_second_time(model, optimizer):
    own = Own()
    with watch(model, optimizer) as doctor:
        epochs(model, optimizer, DataLoader(own, batch_size=8), count=1)
        doctor.record()
        passed = list(doctor.patient.train.batches())
    assert own.asked == 32
    assert len(passed) == 4
    assert (doctor.patient.train.samples, doctor.patient.train.shuffled) == (32, False)


def test_listening_to_loaders_draws_no_random_number(model, optimizer):
    def order():
        torch.manual_seed(5)
        loader = DataLoader(data(), batch_size=16, shuffle=True)
        return [y.tolist() for _ in range(2) for _, y in loader]

    alone = order()
    with watch(model, optimizer):
        assert order() == alone


@pytest.mark.parametrize(
    ("make", "shuffled"),
    [
        (lambda d: DataLoader(d, batch_size=8, shuffle=True), True),
        (lambda d: DataLoader(d, batch_size=8), False),
        (lambda d: DataLoader(d, 8, sampler=WeightedRandomSampler([1.0] * len(d), 8)), True),
        (lambda d: DataLoader(d, batch_sampler=[[0, 1], [2, 3]]), None),
    ],
)
def test_the_order_of_a_loader_is_read_from_its_sampler(make, shuffled):
    assert source_of(make(data()), "train").shuffled is shuffled


def test_sources_of_tensors_give_the_rows_of_their_indices():
    whole = data(10)
    parts = ConcatDataset([Subset(whole, [3, 1]), whole])
    x, y = reader(parts)(torch.tensor([0, 2, 1]))
    assert torch.equal(x, whole.tensors[0][[3, 0, 1]])
    assert torch.equal(y, whole.tensors[1][[3, 0, 1]])
    source = source_of(DataLoader(parts, batch_size=5, drop_last=True), "train")
    assert [len(x) for x, _ in source.batches()] == [5, 5]
    assert source.dropped == 2


def test_a_shuffled_source_gives_every_sample_once_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    source = source_of(DataLoader(data(20), batch_size=8, shuffle=True), "train")
    found = torch.cat([x for x, _ in source.batches()])
    assert sorted(found[:, 0].tolist()) == sorted(data(20).tensors[0][:, 0].tolist())
    assert torch.equal(torch.get_rng_state(), torch.get_rng_state())
    assert state.shape == torch.get_rng_state().shape


@pytest.mark.parametrize(
    "given",
    [
        (torch.randn(20, 3), torch.zeros(20)),
        TensorDataset(torch.randn(20, 3), torch.zeros(20)),
        [(torch.randn(10, 3), torch.zeros(10))] * 2,
        DataLoader([(torch.randn(3), 0.0)] * 20, batch_size=10),
    ],
)
def test_what_a_caller_hands_over_gives_its_samples_again_and_again(given):
    source = given_source(given, "train", 10)
    for _ in range(2):
        assert [(tuple(x.shape), len(y)) for x, y in source.batches()] == [((10, 3), 10)] * 2
    assert source.samples == 20


def test_input_and_target_are_found_in_any_batch():
    x, y = torch.randn(4, 3), torch.zeros(4)
    assert pair_of([x, y]) == (x, y)
    assert pair_of({"pixel_values": x, "labels": y}) == (x, y)
    assert pair_of((x,)) == (x, None)
    assert pair_of("words") is None


# Schedulers, clipping, scaling


def test_schedulers_are_found_and_their_steps_counted(model, optimizer):
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    with watch(model, optimizer) as doctor:
        epochs(model, optimizer, DataLoader(data(), batch_size=32), after=scheduler.step)
        loop = doctor.record().get(Loop)
    assert doctor.patient.schedulers == (scheduler,)
    assert (loop.scheduler_steps, loop.scheduler_before_optimizer) == (2, False)


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_a_scheduler_that_turns_before_the_first_step_is_noticed(model, optimizer):
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with watch(model, optimizer) as doctor:
        scheduler.step()
        epochs(model, optimizer, DataLoader(data(), batch_size=32))
        assert doctor.record().get(Loop).scheduler_before_optimizer


def test_clipping_is_heard_however_it_was_imported(model, optimizer):
    from torch.nn.utils import clip_grad_norm_

    with watch(model, optimizer) as doctor:
        for limit in (1e-6, 1e-6, 1e6):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.randn(8, 4)), torch.zeros(8).long()).backward()
            clip_grad_norm_(model.parameters(), limit)
            optimizer.step()
        loop = doctor.record().get(Loop)
    assert (loop.clip_calls, loop.clipped, loop.clip_limit) == (3, 2, 1e6)


def test_a_scaled_loss_is_recorded_unscaled_and_steps_left_out_are_counted(model, optimizer):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    plain = []
    with watch(model, optimizer) as doctor:
        for place in range(5):
            x = torch.randn(8, 4)
            if place == 2:
                x[0] = float("inf")
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), torch.zeros(8, 2))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if place != 2:
                plain.append(loss.item())
        record = doctor.record()
    loop, steps = record.get(Loop), record.get(Steps)
    assert steps.loss.tolist() == pytest.approx(plain)
    assert (loop.scaler_skips, loop.scaler_halvings) == (1, 1)
    assert loop.steps == 4
    assert steps.rho[0] == pytest.approx(1.0, abs=0.2)
