"""Steps not taken, taken in vain or taken twice; and the healthy loops that look so."""

import pytest
import torch
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.records.facts.loop import Loop
from netwright.testing.loops import alarms, batches, found, mlp, sgd, train


def test_an_optimizer_that_never_steps_is_found():
    model = mlp()
    doctor = train(model, sgd(model), step=lambda i, loss: loss.backward(), steps=120)
    (finding,) = found(doctor, "optimizer-never-steps")
    assert (finding.severity, finding.evidence[0].value) == ("stop", 120)


def test_weights_that_the_loop_moves_by_hand_are_silent():
    model = mlp()

    def step(i, loss):
        model.zero_grad()
        loss.backward()
        for each in model.parameters():
            each.data -= 0.1 * each.grad

    assert not found(train(model, sgd(model), step=step, steps=120))


def test_long_accumulation_before_the_first_step_is_silent():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        (loss / 64).backward()
        if i % 64 == 63:
            optimizer.step()
            optimizer.zero_grad()

    assert not found(train(model, optimizer, step=step, steps=130), "optimizer-never-steps")


def test_clearing_between_backward_and_step_is_found():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()

    (finding,) = found(train(model, optimizer, step=step), "weights-do-not-change")
    assert finding.severity == "stop"
    assert "between the backward pass and the step" in str(finding.cause)


def test_a_rate_of_zero_is_found():
    model = mlp()
    (finding,) = found(train(model, sgd(model, lr=0.0), steps=60), "weights-do-not-change")
    assert str(finding.cause) == "The learning rate is 0."


def test_a_warm_up_from_zero_is_silent():
    model = mlp()
    optimizer = sgd(model)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10))

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warm.step()

    assert not found(train(model, optimizer, step=step), "weights-do-not-change")


def test_two_steps_to_a_batch_are_found():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.step()

    (finding,) = found(train(model, optimizer, step=step), "double-backward-or-step")
    assert finding.evidence[0].value == pytest.approx(0.5, abs=0.02)  # nothing before the first


def test_two_backwards_on_one_loss_are_found():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        loss.backward()
        optimizer.step()

    (finding,) = found(train(model, optimizer, step=step), "double-backward-or-step")
    assert finding.evidence[0].value == 0.5


def test_a_loss_that_dies_with_its_step_is_not_taken_for_the_next_one():
    model = mlp()
    optimizer = sgd(model)

    def one(x, y):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(30):
            one(x, y)
    assert doctor.record().get(Loop).double_backwards == 0


def test_two_optimizers_after_one_backward_are_silent():
    model = mlp()
    optimizers = [sgd(model[0]), sgd(model[2])]
    with watch(model, optimizers, checkup=False) as doctor:
        for x, y in batches(20):
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for each in optimizers:
                each.step()
    assert not found(doctor, "double-backward-or-step")


def test_gradients_that_the_loop_sets_itself_are_silent():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        grads = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), grads, strict=True):
            parameter.grad = gradient
        optimizer.step()

    assert not found(train(model, optimizer, step=step))


def test_a_closure_that_is_called_several_times_is_silent():
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(10):

            def closure(x=x, y=y):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                return loss

            optimizer.step(closure)
    assert not alarms(doctor)
