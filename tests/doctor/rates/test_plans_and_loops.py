"""Plans and loops that go wrong without a word, and look-alikes that do not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

import netwright as nw

EPOCHS, BATCH = 8, 32


@pytest.fixture
def data():
    torch.manual_seed(0)
    centres = 2 * torch.randn(4, 10)
    labels = torch.randint(0, 4, (640,))
    return centres[labels] + torch.randn(640, 10), labels


@pytest.fixture
def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))


def train(data, model, optimizer, each, *, epochs=EPOCHS, begin=None, between=None, loss=None):
    """Epochs of batches and a validation; `each` is what is done with a batch."""
    x, y = data
    loss = loss or F.cross_entropy
    with nw.watch(model, optimizer) as doctor:
        for _ in range(epochs):
            if begin is not None:
                begin()
            order = torch.randperm(512)
            for rows in order.split(BATCH):
                each(lambda rows=rows: loss(model(x[rows]), y[rows]))
            if between is not None:
                between()
            with torch.no_grad():
                for a, b in zip(x[512:].split(BATCH), y[512:].split(BATCH), strict=True):
                    F.cross_entropy(model(a), b)
    return {each.name: each.severity for each in doctor.findings}


def usual(optimizer, after=None):
    def each(loss):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        if after is not None:
            after()

    return each


def test_a_usual_run_is_silent(data, model):
    optimizer = SGD(model.parameters(), lr=0.1)
    found = train(data, model, optimizer, usual(optimizer))
    assert set(found.values()) <= {"note"}


def test_a_step_after_the_loop_over_the_batches_throws_gradients_away(data, model):
    optimizer = SGD(model.parameters(), lr=0.1)

    def each(loss):
        optimizer.zero_grad()
        loss().backward()

    found = train(data, model, optimizer, each, between=optimizer.step)
    assert found["optimizer-never-steps"] == "warn"


def test_accumulation_throws_nothing_away(data, model):
    optimizer = SGD(model.parameters(), lr=0.3)
    seen = [0]

    def each(loss):
        (loss() / 4).backward()
        seen[0] += 1
        if not seen[0] % 4:
            optimizer.step()
            optimizer.zero_grad()

    assert "optimizer-never-steps" not in train(data, model, optimizer, each)


def test_the_closure_of_a_step_clears_gradients_as_it_likes(data, model):
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=6)

    def each(loss):
        def closure():
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value

        optimizer.step(closure)

    assert "optimizer-never-steps" not in train(data, model, optimizer, each, epochs=2)


def test_a_step_before_any_backward_changes_nothing(data, model):
    optimizer = SGD(model.parameters(), lr=0.1)

    def each(loss):
        optimizer.zero_grad()
        value = loss()
        optimizer.step()
        value.backward()

    assert train(data, model, optimizer, each)["weights-do-not-change"] == "stop"


def test_the_same_loss_taken_back_twice_makes_twice_the_gradient(data, model):
    optimizer = SGD(model.parameters(), lr=0.05)

    def each(loss):
        optimizer.zero_grad()
        value = loss()
        value.backward(retain_graph=True)
        value.backward()
        optimizer.step()

    assert train(data, model, optimizer, each)["double-backward-or-step"] == "warn"


def test_weights_drawn_anew_each_epoch_are_told_by_where_the_epochs_begin(data, model):
    optimizer = SGD(model.parameters(), lr=0.02)

    def begin():
        for layer in model[::2]:
            layer.reset_parameters()

    found = train(data, model, optimizer, usual(optimizer), begin=begin)
    assert found["nondeterministic-restart"] == "warn"


def test_a_rate_given_for_a_factor_never_comes_to_what_was_set(data, model):
    optimizer = SGD(model.parameters(), lr=2e-3)
    schedule = LambdaLR(optimizer, lambda epoch: 2e-3)
    found = train(data, model, optimizer, usual(optimizer), between=schedule.step)
    assert found["scheduler-misuse"] == "warn"


def test_a_cosine_that_comes_up_again_and_undoes_nothing_is_silent(data, model):
    optimizer = Adam(model.parameters(), lr=0.3)
    schedule = CosineAnnealingLR(optimizer, EPOCHS * 8)
    found = train(data, model, optimizer, usual(optimizer, schedule.step))
    assert "scheduler-misuse" not in found


def test_a_cosine_that_ends_with_the_run_is_silent(data, model):
    optimizer = SGD(model.parameters(), lr=0.2)
    schedule = CosineAnnealingLR(optimizer, EPOCHS * 16)
    found = train(data, model, optimizer, usual(optimizer, schedule.step))
    assert "scheduler-misuse" not in found


def test_betas_in_the_wrong_order_are_a_weak_optimizer(data, model):
    optimizer = Adam(model.parameters(), lr=0.05, betas=(0.999, 0.1))
    found = train(data, model, optimizer, usual(optimizer))
    assert "weak-optimizer" in found or "learning-rate-too-high" in found


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.9), (0.5, 0.999), (0.9, 0.95)])
def test_betas_that_people_use_are_silent(data, model, betas):
    optimizer = Adam(model.parameters(), lr=3e-3, betas=betas)
    assert "weak-optimizer" not in train(data, model, optimizer, usual(optimizer), epochs=3)


def penalised(model, weight):
    def loss(output, target):
        return F.cross_entropy(output, target) + weight * sum(
            each.abs().sum() for each in model.parameters()
        )

    return loss


def test_a_penalty_that_outweighs_the_loss_is_named(data, model):
    optimizer = SGD(model.parameters(), lr=0.02)
    found = train(data, model, optimizer, usual(optimizer), loss=penalised(model, 1.0))
    assert found["over-regularised"] == "warn"


def test_a_sum_over_the_pixels_is_no_penalty_beside_the_mean_of_them(data, model):
    """The loss of a variational autoencoder: what the loop divides a sum by is its own affair."""
    optimizer = SGD(model.parameters(), lr=0.002)

    def loss(output, target):
        wanted = F.one_hot(target, output.shape[1]).float()
        summed = F.binary_cross_entropy_with_logits(output, wanted, reduction="sum")
        return (summed + 0.01 * output.square().sum()) / len(output)

    assert "over-regularised" not in train(data, model, optimizer, usual(optimizer), loss=loss)


def test_a_small_penalty_is_silent(data, model):
    optimizer = SGD(model.parameters(), lr=0.1)
    found = train(data, model, optimizer, usual(optimizer), loss=penalised(model, 1e-4))
    assert "over-regularised" not in found


def test_biases_alone_are_no_training(data, model):
    optimizer = SGD([each for each in model.parameters() if each.ndim == 1], lr=0.01)
    with torch.no_grad():
        model[2].weight.mul_(0.01)
    found = train(data, model, optimizer, usual(optimizer))
    assert found.get("stale-optimizer") == "warn" or found.get("frozen-parameters") == "warn"


def test_a_run_that_stops_while_validation_falls_is_told_so(data, model):
    optimizer = SGD(model.parameters(), lr=1e-2)
    found = train(data, model, optimizer, usual(optimizer), epochs=3)
    assert found["stopped-early"] == "warn"


def test_a_run_that_has_arrived_is_not_stopped_early(data, model):
    optimizer = SGD(model.parameters(), lr=0.1)
    assert "stopped-early" not in train(data, model, optimizer, usual(optimizer))
