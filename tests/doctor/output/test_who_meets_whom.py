"""Answers that meet other targets than their own, or a loss that does not move with them."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from netwright.doctor.watch import watch

X = torch.randn((320, 6), generator=torch.Generator().manual_seed(0))
CLASSES = X[:, :4].argmax(1)
NUMBERS = torch.cat([X[:, :1] + X[:, 1:2], X[:, 2:3] ** 2], 1)


def net(out=4, *after):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, out), *after)


def run(model, loss_of, targets, epochs=4, rate=0.05, schedule=None):
    """A loop over a loader, watched to its end."""
    optimizer = SGD(model.parameters(), lr=rate)
    plan = None if schedule is None else torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    torch.manual_seed(1)
    loader = DataLoader(TensorDataset(X, targets), batch_size=32, shuffle=True)
    with watch(model, optimizer) as doctor:
        for _ in range(epochs):
            for x, y in loader:
                optimizer.zero_grad()
                loss_of(model, x, y).backward()
                optimizer.step()
                if plan is not None:
                    plan.step()
    return doctor.diagnosis()


def plainly(model, x, y):
    return F.cross_entropy(model(x), y)


def test_labels_rolled_in_the_loop_are_held_against_those_of_the_data():
    said = run(net(), lambda model, x, y: F.cross_entropy(model(x), y.roll(1, 0)), CLASSES)
    assert said.named("labels-inconsistent").severity == "stop"


def test_numbers_sorted_apart_from_their_inputs_are_told_too():
    def loss(model, x, y):
        return F.mse_loss(model(x[x[:, 5].argsort()]), y)

    assert run(net(2), loss, NUMBERS).named("labels-inconsistent").severity == "stop"


def test_labels_as_they_are_and_labels_numbered_anew_are_none():
    assert run(net(), plainly, CLASSES).named("labels-inconsistent") is None
    said = run(net(), lambda model, x, y: F.cross_entropy(model(x), 3 - y), CLASSES)
    assert said.named("labels-inconsistent") is None


def test_a_mean_over_the_samples_before_they_meet_is_told():
    def means(model, x, y):
        return F.mse_loss(model(x).mean(0), y.mean(0))

    assert run(net(2), means, NUMBERS).named("wrong-dimension").severity == "stop"


def test_each_against_its_own_is_no_wrong_axis():
    said = run(net(2), lambda model, x, y: F.mse_loss(model(x), y), NUMBERS)
    assert said.named("wrong-dimension") is None


def test_a_match_of_two_sets_from_noise_is_a_note_at_the_most():
    """A generator: its inputs are drawn in the loop, and belong to no target."""

    def moments(model, x, y):
        made = model(torch.randn(len(x), 5))
        return F.mse_loss(made.mean(0), y.mean(0)) + F.mse_loss(made.std(0), y.std(0))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
    found = run(model, moments, NUMBERS).named("wrong-dimension")
    assert found is None or found.severity == "note"


def test_an_answer_laid_across_its_targets_is_a_broadcast():
    def across(model, x, y):
        return (model(x) - y.T).square().mean()

    assert run(net(1), across, NUMBERS[:, :1]).named("silent-broadcast").severity == "stop"


def test_accuracy_for_a_loss_does_not_move_with_the_outputs():
    def accuracy(model, x, y):
        output = model(x)
        return 1 - (output.argmax(1) == y).float().mean() + 0.0 * output.sum()

    found = run(net(), accuracy, CLASSES).named("loss-ignores-parameters")
    assert found.severity == "stop"
    assert run(net(), plainly, CLASSES).named("loss-ignores-parameters") is None


def test_a_penalty_that_is_left_of_a_loss_made_a_number_is_cut_off():
    def numbered(model, x, y):
        weights = sum(each.square().sum() for each in model.parameters())
        return plainly(model, x, y).item() + 1e-3 * weights

    assert run(net(), numbered, CLASSES).named("detached-graph").severity == "stop"


def test_a_penalty_beside_a_loss_that_was_printed_is_none():
    def printed(model, x, y):
        loss = plainly(model, x, y)
        assert loss.item() > 0
        return loss + 1e-3 * sum(each.square().sum() for each in model.parameters())

    assert run(net(), printed, CLASSES).named("detached-graph") is None


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context, x, sign):
        context.sign = sign
        return x.view_as(x)

    @staticmethod
    def backward(context, slope):
        return context.sign * slope, None


class Layer(nn.Module):
    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, x):
        return Reversed.apply(x, self.sign)


def test_a_backward_pass_of_the_wrong_sign_is_proved_by_a_tiny_step():
    found = run(net(4, Layer(-1.0)), plainly, CLASSES).named("loss-sign")
    assert found.severity == "stop"
    assert abs(found.evidence[0].value + 1) < 0.1
    assert run(net(4, Layer(1.0)), plainly, CLASSES).named("loss-sign") is None


def test_a_rate_that_a_schedule_turns_round_goes_uphill():
    said = run(net(), plainly, CLASSES, schedule=lambda _: -1.0)
    assert said.named("loss-sign").severity == "stop"
    assert run(net(), plainly, CLASSES, schedule=lambda _: 1.0).named("loss-sign") is None
