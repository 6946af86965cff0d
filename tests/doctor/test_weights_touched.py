"""Weights that somebody touches beside the steps: put back, replaced, cut off by flat functions."""

import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.records.facts.loop import Loop
from netwright.testing.loops import alarms, batches, found, mlp, sgd, train


def averaged(model, optimizer, share):
    """A step, after which only `share` of it is left."""
    slow = [each.detach().clone() for each in model.parameters()]

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for kept, each in zip(slow, model.parameters(), strict=True):
            kept.lerp_(each.detach(), share)
            each.data.copy_(kept)

    return step


def test_steps_that_an_average_takes_back_are_named():
    model = mlp()
    optimizer = sgd(model, 0.05)
    doctor = train(model, optimizer, step=averaged(model, optimizer, 0.001), steps=320, every=8)
    (finding,) = found(doctor, "weights-do-not-change")
    assert finding.severity == "stop"
    assert abs(finding.evidence[0].value - 0.001) < 1e-4


def test_weights_that_nobody_touches_keep_their_steps():
    model = mlp()
    doctor = train(model, sgd(model), steps=60)
    assert doctor.record().get(Loop).kept_steps == 1.0


def test_an_average_that_keeps_half_of_each_step_is_silent():
    model = mlp()
    optimizer = sgd(model, 0.5)
    doctor = train(model, optimizer, step=averaged(model, optimizer, 0.5), steps=320, every=8)
    assert not found(doctor, "weights-do-not-change")


def test_parameters_made_anew_in_the_middle_of_a_run_leave_the_optimizer_behind():
    model = mlp()

    def renew(i):
        if i == 20:
            model[0].weight = nn.Parameter(model[0].weight.detach() * 0.99)

    (finding,) = found(train(model, sgd(model), steps=60, before=renew), "stale-optimizer")
    assert finding.severity == "stop"
    assert finding.layers == ("0",)


def test_parameters_made_anew_that_the_optimizer_is_given_are_silent():
    model = mlp()
    optimizer = sgd(model)

    def renew(i):
        if i == 20:
            model[0].weight = nn.Parameter(model[0].weight.detach() * 0.99)
            optimizer.param_groups[0]["params"][0] = model[0].weight

    assert not alarms(train(model, optimizer, steps=60, before=renew))


def test_gradients_that_are_cleared_every_tenth_step_are_not_cleared():
    model = mlp()
    optimizer = sgd(model, 0.01)

    def step(i, loss):
        loss.backward()
        optimizer.step()
        if i % 5 == 4:
            optimizer.zero_grad()

    (finding,) = found(train(model, optimizer, step=step, steps=80), "gradients-never-cleared")
    assert finding.evidence[0].threshold == 0.5


class Between(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def straight_through(x):
    return x + (x.round() - x).detach()


def through_numpy(x):
    return torch.from_numpy(x.detach().numpy().clip(-4, 4))


def with_between(function):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), Between(function), nn.Linear(16, 4))
    optimizer = sgd(model)
    with watch(model, optimizer, every=2) as doctor:
        for x, y in batches(40):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return doctor


def test_rounding_lets_no_gradient_through():
    (finding,) = found(with_between(torch.round), "detached-graph")
    assert finding.severity == "warn"
    assert finding.layers == ("0",)
    assert "round" in str(finding.what)


def test_rounding_with_a_gradient_that_passes_by_is_silent():
    assert not found(with_between(straight_through), "detached-graph")


def test_values_that_leave_torch_and_come_back_are_cut_off():
    (finding,) = found(with_between(through_numpy), "detached-graph")
    assert finding.severity == "warn"
    assert finding.layers == ("0",)
    assert "detach" in str(finding.what)


def test_numbers_taken_for_a_plot_cut_nothing_off():
    kept = []

    def noted(x):
        kept.append(x.detach().numpy())
        return x

    assert not found(with_between(noted), "detached-graph")


def penalised(sign):
    torch.manual_seed(0)
    model = mlp(width=32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    held = list(batches(4))
    with watch(model, optimizer) as doctor:
        for _ in range(6):
            model.train()
            for x, y in batches(30):
                optimizer.zero_grad()
                penalty = sum((each * each).sum() for each in model.parameters())
                (F.cross_entropy(model(x), y) + sign * 0.1 * penalty).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in held:
                    F.cross_entropy(model(x), y)
    return doctor


def test_a_penalty_with_a_minus_outgrows_the_loss():
    (finding,) = found(penalised(-1), "loss-sign")
    assert finding.severity == "stop"
    assert finding.evidence[0].value < 0


def test_a_penalty_with_a_plus_is_no_sign():
    assert not found(penalised(0.01), "loss-sign")


def held_to(norm):
    def train_held(model, optimizer):
        def step(i, loss):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for each in model.parameters():
                    each.mul_(torch.clamp(norm / each.norm(), max=1.0))

        return train(model, optimizer, step=step, steps=320, every=8)

    model = mlp()
    return train_held(model, torch.optim.Adam(model.parameters(), lr=0.02))


def test_weights_that_are_held_too_small_after_each_step_are_over_regularised():
    (finding,) = found(held_to(0.05), "over-regularised")
    assert finding.evidence[1].value < -0.7
    assert finding.severity == "warn"


def test_a_wide_bound_on_the_weights_is_silent():
    assert not alarms(held_to(3.0))


def halved(scale, lr):
    """Gradients that are brought to half precision, of a loss that was made small before."""
    model = mlp()
    optimizer = sgd(model, lr)

    def step(i, loss):
        optimizer.zero_grad()
        (loss * scale).backward()
        for each in model.parameters():
            each.grad.copy_(each.grad.half().float() / scale)
        optimizer.step()

    return train(model, optimizer, step=step, steps=320, every=8)


def test_gradients_too_small_for_half_precision_are_lost():
    (finding,) = found(halved(2.0**-26, 0.1), "mixed-precision-trouble")
    assert finding.evidence[0].value > 0.5


def test_gradients_that_half_precision_bears_are_silent():
    assert not found(halved(1.0, 0.1), "mixed-precision-trouble")
