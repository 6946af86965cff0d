"""Other faults of the loop: what is measured, started anew, kept, waited for or left out."""

import copy

import pytest
import torch
from torch.nn import functional as F

from netwright.doctor.conditions.data_starvation import data_starvation
from netwright.doctor.conditions.mixed_precision_trouble import mixed_precision_trouble
from netwright.records.facts.loop import Loop
from netwright.records.facts.steps import Steps
from netwright.records.record import Record
from netwright.testing.loops import batches, found, mlp, sgd, train


@pytest.mark.parametrize(("axis", "count"), [(0, 1), (1, 0)])
def test_an_argmax_over_the_batch_is_found(axis, count):
    model = mlp()

    def loss(output, target):
        value = F.cross_entropy(output, target)
        (output.argmax(axis)[:4] == target[:4]).float().mean()
        if axis == 0:
            output.detach().argmax(dim=0) == target  # noqa: B015
        return value

    doctor = train(model, sgd(model), loss=loss, data=batches(20, size=4))
    assert len(found(doctor, "metric-misread")) == count


def test_weights_of_the_beginning_loaded_in_the_middle():
    model = mlp()
    optimizer = sgd(model, lr=0.5)
    first = copy.deepcopy(model.state_dict())
    state = copy.deepcopy(optimizer.state_dict())

    def before(i):
        if i == 60:
            model.load_state_dict(first)
            optimizer.load_state_dict(state)

    doctor = train(model, optimizer, steps=100, before=before)
    (finding,) = found(doctor, "nondeterministic-restart")
    assert (finding.severity, finding.step) == ("warn", 60)


def test_averaged_weights_put_in_and_taken_out_again_are_silent():
    model = mlp()

    def before(i):
        if i and i % 20 == 0:
            mine = copy.deepcopy(model.state_dict())
            model.load_state_dict({name: 0 * each for name, each in mine.items()})
            model.load_state_dict(mine)

    doctor = train(model, sgd(model, lr=0.5), steps=100, before=before)
    assert not found(doctor, "nondeterministic-restart")


def test_losses_kept_with_their_graphs_are_found():
    model = mlp()
    optimizer = sgd(model)
    total = [torch.zeros(())]

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total[0] = total[0] + loss

    (finding,) = found(train(model, optimizer, step=step, steps=150), "memory-growth")
    assert finding.evidence[0].value == 1.0


def test_losses_kept_as_numbers_are_silent():
    model = mlp()
    optimizer = sgd(model)
    losses = []

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

    assert not found(train(model, optimizer, step=step, steps=150), "memory-growth")


def waiting(share, seconds=0.01):
    count = 100
    return Record(
        [
            Steps(
                seconds=torch.full((count,), seconds).double().numpy(),
                wait=torch.full((count,), share * seconds).double().numpy(),
                total=count,
            )
        ]
    )


@pytest.mark.parametrize(
    ("share", "seconds", "severity"),
    [
        (0.8, 0.01, "warn"),
        (0.3, 0.01, "note"),
        (0.1, 0.01, None),
        (0.8, 0.0005, None),
        (0.8, 0.002, "note"),
        (0.8, 0.004, "warn"),
    ],
)
def test_waiting_for_data_by_its_share_of_a_step(share, seconds, severity):
    findings = list(data_starvation(waiting(share, seconds)))
    assert [each.severity for each in findings] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("halvings", "skips", "steps", "severity"),
    [(60, 60, 0, "stop"), (20, 20, 30, "warn"), (12, 12, 5000, None), (3, 3, 4, None)],
)
def test_a_scaler_that_does_not_find_its_scale(halvings, skips, steps, severity):
    loop = Loop(scaler_halvings=halvings, scaler_skips=skips, steps=steps)
    findings = list(mixed_precision_trouble(Record([loop])))
    assert [each.severity for each in findings] == ([severity] if severity else [])
