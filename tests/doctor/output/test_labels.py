"""Labels that have no output, or another type than the loss takes, before and after it raises."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.patient import Source
from netwright.doctor.watch import watch
from netwright.records.facts.failure import Failure
from netwright.records.facts.labels import Labels

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
Y = torch.arange(40) % 4


def net(out=4):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, out))


def source(labels, batch=8):
    def batches():
        for place in range(0, len(labels), batch):
            yield X[place : place + batch], labels[place : place + batch]

    return Source(name="train", batches=batches, samples=len(labels), batch=batch)


def pick(z, y):
    return -z.log_softmax(1)[torch.arange(len(y)), y].mean()


def gather(z, y):
    return -z.log_softmax(1).gather(1, y[:, None]).mean()


LOSSES = [nn.CrossEntropyLoss(), lambda z, y: F.nll_loss(z.log_softmax(1), y), pick, gather]


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_counted_from_one_are_told_from_the_failed_step(crashed, loss):
    (found,) = crashed(net(), loss, X, Y + 1).findings
    assert (found.name, found.severity, found.evidence[1].value) == ("labels-shifted", "stop", 4)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_label_too_many_is_told_from_the_failed_step(crashed, loss):
    (found,) = crashed(net(), loss, X, torch.arange(40) % 6).findings
    assert (found.name, found.severity, found.evidence[0].value) == (
        "labels-out-of-range",
        "stop",
        5,
    )
    assert found.treatments[0].code.endswith("num_classes=6")


def test_a_negative_label_is_told_with_the_way_to_ignore_it(crashed):
    (found,) = crashed(net(), nn.CrossEntropyLoss(), X, Y - 1).findings
    assert found.name == "labels-out-of-range"
    assert "ignore_index=-1" in found.treatments[0].code


def test_a_small_batch_without_class_zero_is_not_taken_for_a_shift(crashed):
    (found,) = crashed(net(10), nn.CrossEntropyLoss(), X[:4], torch.tensor([1, 10, 3, 4])).findings
    assert found.name == "labels-out-of-range"


def test_labels_of_the_training_set_are_read_before_they_come_by(looked):
    labels = torch.arange(40) % 4
    labels[33] = 4
    found = looked(net(), nn.CrossEntropyLoss(), X[:8], labels[:8], train=source(labels))
    assert found.named("labels-out-of-range").severity == "stop"
    found = looked(net(4), nn.CrossEntropyLoss(), X[:3], Y[:3] + 1, train=source(Y + 1))
    assert found.named("labels-shifted").severity == "stop"


@pytest.mark.parametrize(
    ("model", "loss", "target", "cure"),
    [
        (net(), nn.CrossEntropyLoss(), Y.float(), "long()"),
        (net(), nn.CrossEntropyLoss(), Y.int(), "long()"),
        (net(), nn.CrossEntropyLoss(), F.one_hot(Y), "argmax(dim=1)"),
        (net(), nn.CrossEntropyLoss(), Y[:, None], "squeeze(-1).long()"),
        (net(), nn.NLLLoss(), F.one_hot(Y).float(), "argmax(dim=1)"),
        (net(1), nn.BCEWithLogitsLoss(), Y[:, None] % 2, "float()"),
        (net(1), lambda z, y: F.binary_cross_entropy(z.sigmoid(), y), Y[:, None] % 2, "float()"),
        (net(1), nn.HuberLoss(), Y[:, None], "float()"),
    ],
)
def test_a_target_of_the_wrong_type_is_told_with_the_cast(crashed, model, loss, target, cure):
    (found,) = crashed(model, loss, X, target).findings
    assert (found.name, found.severity) == ("label-dtype", "stop")
    assert cure in found.treatments[0].code


def test_an_error_of_another_kind_is_no_finding(crashed):
    assert crashed(net(), lambda z, y: (z - y.view(8, 5)).abs().mean(), X, Y).findings == ()
    assert crashed(net(), lambda z, y: z @ y.float().view(5, 8), X, Y).findings == ()


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.CrossEntropyLoss(), Y),
        (nn.CrossEntropyLoss(ignore_index=-1), torch.where(Y == 2, -1, Y)),
        (nn.CrossEntropyLoss(ignore_index=255), torch.where(Y == 2, 255, Y)),
        (nn.CrossEntropyLoss(), torch.where(Y == 2, -100, Y)),
        (nn.CrossEntropyLoss(), Y.clamp(1)),
        (nn.CrossEntropyLoss(), Y.byte()),
    ],
)
def test_labels_within_range_are_fine(looked, loss, target):
    found = looked(net(), loss, X, target, train=source(target))
    assert found.findings == ()


def loop(model, optimizer, labels, loss_fn, steps):
    for step in range(steps):
        optimizer.zero_grad()
        loss = loss_fn(model(X), labels(step))
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("bad_step", [0, 7])
def test_a_watched_loop_that_raises_tells_which_step_and_keeps_its_error(bad_step):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = watch(model, optimizer, checkup=False)
    with pytest.raises(IndexError, match="Target 4 is out of bounds"), doctor:
        loop(model, optimizer, lambda s: Y + (s == bad_step), F.cross_entropy, 9)
    found = doctor.diagnosis().named("labels-shifted")
    assert (found.severity, found.step) == ("stop", bad_step + 1)
    assert doctor.record().get(Failure).kind == "cross_entropy"


def test_a_watched_loop_whose_loss_by_hand_raises_at_once_is_told():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = watch(model, optimizer, checkup=False)
    with pytest.raises(IndexError), doctor:
        loop(model, optimizer, lambda _: Y + 1, pick, 3)
    assert doctor.diagnosis().named("labels-shifted").severity == "stop"


def test_counts_of_labels_are_facts(looked):
    found = looked(net(), nn.CrossEntropyLoss(), X[:8], Y[:8], train=source(Y)).record.get(Labels)
    assert (found.values, found.counts, found.complete) == ((0, 1, 2, 3), (10, 10, 10, 10), True)
