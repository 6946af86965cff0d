"""A check-up looks at a model before its first step, and leaves it as it was."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import netwright as nw
from netwright.core.errors import DataError, SettingError
from netwright.records.facts.setup import Setup


@pytest.fixture(autouse=True)
def _nothing_listens_afterwards():
    """However a loop ended: torch's functions are nobody's business any more."""
    yield
    assert torch._C._len_torch_function_stack() == 0


def data(count=64, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(count, 4)
    return x, (x[:, 0] > 0).long()


def net(*more):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2), *more
    )


@pytest.mark.parametrize(
    "given",
    [
        data(),
        TensorDataset(*data()),
        DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True),
        [data(16), data(16)],
    ],
    ids=["pair", "dataset", "loader", "batches"],
)
def test_it_finds_a_softmax_before_the_loss_in_any_kind_of_data(given):
    found = nw.checkup(net(nn.Softmax(1)), nn.CrossEntropyLoss(), given)
    assert found.findings[0].name == "softmax-before-cross-entropy"
    assert found.findings[0].severity == "stop"
    assert found


def test_it_leaves_no_trace():
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    before = [each.clone() for each in model.state_dict().values()]
    loader, val = DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True), data(16)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    nw.checkup(model, F.cross_entropy, loader, optimizer, val_data=val, epochs=3)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))
    assert all(each.grad is None for each in model.parameters())
    assert not optimizer.state
    assert model.training


def test_what_was_planned_stands_in_its_record():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(*data(50)), batch_size=16)
    found = nw.checkup(model, F.cross_entropy, loader, optimizer, val_data=data(20), epochs=3)
    setup = found.record.get(Setup)
    assert (setup.steps_per_epoch, setup.planned_steps, setup.epochs) == (4, 12, 3)
    assert (setup.train_samples, setup.val_samples, setup.batch) == (50, 20, 16)
    assert setup.lr == 0.1


def test_a_healthy_start_is_no_finding_of_harm():
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    assert not nw.checkup(model, F.cross_entropy, data(256), optimizer, val_data=data(64, 1))


def test_data_of_another_kind_are_refused():
    with pytest.raises(SettingError, match=r"A check-up takes a DataLoader, .* not int"):
        nw.checkup(net(), F.cross_entropy, 3)
    with pytest.raises(DataError, match="hold no batch"):
        nw.checkup(net(), F.cross_entropy, ["words"])


# What a watch does with a finding of severity stop


def loop(model, optimizer, steps=3):
    x, y = data()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_a_loop_can_ask_to_be_ended_by_a_finding():
    model = net(nn.Softmax(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        pytest.raises(nw.FindingError, match=r"softmax-.*\nWould be wrong if") as hit,
        nw.watch(model, optimizer, on_stop="raise") as doctor,
    ):
        loop(model, optimizer)
    assert doctor.watcher.steps == 1
    assert hit.value.finding.name == "softmax-before-cross-entropy"
    assert hit.value.exit_code == 4
    assert hit.value.diagnosis.findings[0] == hit.value.finding


def test_else_it_is_told_once_by_a_warning_of_the_log(caplog):
    model = net(nn.Softmax(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING), nw.watch(model, optimizer):
        loop(model, optimizer, steps=35)
    assert [each.message.partition(":")[0] for each in caplog.records] == [
        "softmax-before-cross-entropy"
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda x, y: (nn.Linear, nn.CrossEntropyLoss(), (x, y)), "not the class Linear"),
        (lambda x, y: (net(), nn.CrossEntropyLoss, (x, y)), "not the class CrossEntropyLoss"),
        (lambda x, y: (net(), "cross_entropy", (x, y)), "not str"),
        (lambda x, y: (net(), nn.CrossEntropyLoss(), (x, y[:9])), "not 64, 9"),
        (lambda x, y: (net(), nn.CrossEntropyLoss(), (x[:0], y[:0])), "hold no batch"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_our_words(wrong, told):
    with pytest.raises((SettingError, DataError), match=told):
        nw.checkup(*wrong(*data()))


@pytest.mark.parametrize(
    ("changed", "name"),
    [(lambda y: y + 7, "labels-out-of-range"), (lambda y: y.float(), "label-dtype")],
)
def test_labels_that_the_loss_does_not_take_are_a_finding_and_no_traceback(changed, name):
    x, y = data()
    found = nw.checkup(net(), nn.CrossEntropyLoss(), (x, changed(y)))
    assert [each.name for each in found.findings] == [name]


def test_an_error_of_the_model_that_no_condition_knows_is_its_own():
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        nw.checkup(net(), nn.CrossEntropyLoss(), (torch.randn(64, 3), data()[1]))
