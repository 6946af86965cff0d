"""The mode a network is in when it learns and when it is judged."""

import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.testing.loops import alarms, batches, found, mlp, sgd


def moody():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4)
    )


def epochs(model, *, train_mode=True, eval_mode=True, back=True, count=4, size=15):
    """Training and evaluation, with the modes set or forgotten."""
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        model.train(train_mode)
        for _ in range(count):
            for x, y in batches(size):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            if eval_mode:
                model.eval()
            with torch.no_grad():
                for x, _ in batches(4):
                    model(x + 3).argmax(1)
            if back:
                model.train(train_mode)
    return doctor


def test_an_evaluation_that_leaves_the_network_in_evaluation_mode():
    (finding,) = found(epochs(moody(), back=False), "wrong-mode")
    assert (finding.severity, finding.step) == ("warn", 16)
    assert finding.evidence[0].value == 45


def test_an_evaluation_in_training_mode():
    (finding,) = found(epochs(moody(), eval_mode=False), "wrong-mode")
    assert finding.severity == "warn"
    assert "training mode" in str(finding.what)


def test_training_in_evaluation_mode_with_the_statistics_of_a_new_network():
    model = moody()
    with torch.no_grad():
        model[0].weight *= 10
    (finding,) = found(epochs(model, train_mode=False), "wrong-mode")
    assert finding.severity == "warn"


def test_modes_set_as_they_should_be_are_silent():
    assert not found(epochs(moody()), "wrong-mode")


def test_dropout_at_evaluation_is_a_note_at_most():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))
    assert not alarms(epochs(model, eval_mode=False))


def test_a_network_without_dropout_or_norms_has_no_mode():
    assert not found(epochs(mlp(), eval_mode=False, back=False), "wrong-mode")


def test_forwards_without_gradients_between_steps_are_silent():
    model = moody()
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(30):
            with torch.no_grad():
                model(x), model(x)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert not found(doctor, "wrong-mode")
