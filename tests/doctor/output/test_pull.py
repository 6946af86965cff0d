"""Losses of one's own, judged by whither they pull the outputs."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.records.facts.pull import Pull
from netwright.records.facts.steps import Steps

from .conftest import judged, probed

X = torch.randn((32, 6), generator=torch.Generator().manual_seed(0))
Y = X[:, :1] + X[:, 1:2] ** 2


def net(out=1):
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, out))


def r_squared(output, target):
    return 1 - (target - output).square().sum() / (target - target.mean(0)).square().sum()


def fell(first, last):
    return Steps(step=np.arange(1.0, 61), loss=np.linspace(first, last, 60), total=60)


def test_a_score_that_is_made_small_is_told_once_it_has_fallen():
    record = probed(net(), r_squared, X, Y)
    assert record.get(Pull).cosine == pytest.approx(-1, abs=1e-3)
    assert judged(record).named("loss-sign").severity == "note"
    found = judged(record.with_facts(fell(0.0, -50.0))).named("loss-sign")
    assert found.severity == "stop"


def test_the_same_score_taken_from_one_pulls_the_right_way():
    record = probed(net(), lambda output, target: 1 - r_squared(output, target), X, Y)
    assert record.get(Pull).away < 0.01
    assert judged(record.with_facts(fell(1.0, -50.0))).named("loss-sign") is None


def test_rewards_that_are_all_negative_push_away_on_purpose():
    actions, rewards = torch.randint(0, 4, (32,)), -torch.rand(32)

    def policy(output, target):
        logs = F.log_softmax(output, 1).gather(1, target[:, None])[:, 0]
        return -(logs * rewards).mean()

    record = probed(net(4), policy, X, actions)
    assert not record.get(Pull).alone
    assert judged(record.with_facts(fell(0.0, -50.0))).named("loss-sign") is None


def log_cosh(off):
    return (off + F.softplus(-2 * off)).mean()


def test_a_broadcast_in_a_loss_of_ones_own_is_proved_by_dealing_out_the_targets(looked):
    found = looked(net(), lambda o, t: log_cosh(o - t), X, Y[:, 0]).named("silent-broadcast")
    assert found.severity == "stop"
    assert found.evidence[1].value < 1e-4


def test_a_loss_of_ones_own_whose_shapes_agree_is_none(looked):
    assert looked(net(), lambda o, t: log_cosh(o - t), X, Y).named("silent-broadcast") is None
    assert looked(net(), lambda o, t: log_cosh(o[:, 0] - t), X, Y[:, 0]).findings == ()


def test_units_that_are_all_drawn_to_the_number_of_the_class(looked):
    target = torch.arange(32) % 4

    def spread(output, target):
        return F.mse_loss(output, target[:, None].float().expand_as(output))

    assert looked(net(4), spread, X, target).named("loss-mismatch").severity == "stop"


def test_an_ensemble_that_foretells_one_number_is_none(looked):
    target = (torch.arange(32) % 4).float()
    ensemble = looked(net(5), lambda o, t: F.mse_loss(o, t[:, None].expand_as(o)), X, target)
    assert ensemble.named("loss-mismatch") is None


@pytest.mark.parametrize("twice", [True, False])
def test_without_a_check_up_a_softmax_too_many_is_read_off_the_loss_of_the_loop(twice):
    model = nn.Sequential(net(4), nn.Softmax(1)) if twice else net(4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    target = torch.arange(32) % 4
    with watch(model, optimizer, checkup=False) as doctor:
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(model(X), target).backward()
            optimizer.step()
    names = [each.name for each in doctor.findings if each.severity == "stop"]
    assert names == (["softmax-before-cross-entropy"] if twice else [])
