"""Treatments of data and losses that look further: pairs of columns, moved images, scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.data.additive import column_order
from netwright.doctor.data.telling import telling
from netwright.doctor.treatments._foretelling import foretells_less, foretold
from netwright.doctor.treatments._guards import GuardedLoss
from netwright.doctor.treatments._layers import Kept
from netwright.doctor.treatments._rows import sample
from netwright.doctor.treatments._transforms import Moved, moved

TRANSFORM = ("one-transform", "inconsistent-preprocessing")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# Columns


def test_columns_that_tell_only_by_two_are_brought_into_order():
    draws = np.random.default_rng(0)
    x, val = draws.standard_normal((900, 6)), draws.standard_normal((300, 6))
    order = [3, 5, 0, 1, 4, 2]  # val[:, order] is what is met

    def told(rows):
        return np.stack((rows[:, 0] + rows[:, 1] * np.sign(rows[:, 2]), rows[:, 3] ** 2), 1)

    found = column_order(x, told(x), val[:, order], told(val))
    # The place of each column of training; 4 and 5 tell nothing and may stand anyhow.
    assert found["feature_order"][:4] == tuple(order.index(place) for place in range(4))


def test_columns_of_noise_are_set_to_0_and_those_that_tell_by_two_are_kept(begun, treated):
    x = torch.randn(600, 40)
    y = (x[:, :1] * x[:, 1:2] + x[:, 2:3] > 0).float()
    course = begun(nn.Sequential(nn.Linear(40, 1)), nn.BCEWithLogitsLoss(), x, y)
    after = treated(course, "select-features", "too-much-capacity")
    first = after.model[0]
    assert isinstance(first, Kept)
    assert first.kept.nonzero().flatten().tolist() == [0, 1, 2]


def test_where_nothing_tells_or_all_do_no_column_is_chosen(begun, plans):
    x = torch.randn(800, 12)
    net = nn.Sequential(nn.Linear(12, 1))
    for y in (torch.randn(800, 1), x.sum(1, keepdim=True)):
        assert plans(begun(net, nn.MSELoss(), x, y), "select-features", "overfitting") == []


def test_of_noise_hardly_any_column_is_taken_to_tell():
    draws = np.random.default_rng(1)
    kept = [
        telling(draws.standard_normal((200, 50)), draws.standard_normal((200, 1))).sum()
        for _ in range(20)
    ]
    assert sum(kept) <= 2


# Images


def test_a_move_is_found_by_the_mean_images_and_brings_them_together(begun, treated):
    shape = torch.zeros(1, 1, 12, 12)
    shape[..., 3:7, 4:8] = torch.rand(4, 4)
    x, val = (shape + 0.1 * torch.rand(120, 1, 12, 12) for _ in range(2))
    met = 0.5 * torch.roll(val, (2, 1), (2, 3)) + 0.2
    assert (found := moved(x, met)) is not None
    assert (found.down, found.right) == (2, 1)
    y = torch.randint(0, 2, (120,))
    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    after = treated(begun(net, nn.CrossEntropyLoss(), x, y, (met, y)), *TRANSFORM)
    assert (sample(after.train)[0].mean(0) - met.mean(0)).abs().max() < 0.05


def test_images_that_stand_well_are_not_moved():
    x = torch.rand(1, 1, 8, 8) + 0.1 * torch.rand(60, 1, 8, 8)
    assert moved(x, x.flip(0)) is None
    assert Moved(1, 0).of(torch.arange(4.0).reshape(1, 1, 4, 1)).flatten().tolist() == [0, 0, 1, 2]
    assert Moved(1, 0, wraps=True).of(torch.arange(4.0).reshape(1, 1, 4, 1))[0, 0, 0, 0] == 3


def test_a_part_of_the_world_is_not_stretched_over_the_whole(begun, plans):
    whole = torch.randn(800, 3)

    def told(x):
        return torch.sin(3 * x[:, :1]) + 0.1 * x[:, 1:2]

    part, val = whole[:500][whole[:500, 0] < 0], whole[500:]
    net = nn.Sequential(nn.Linear(3, 1))
    course = begun(net, nn.MSELoss(), part, told(part), (val, told(val)))
    assert plans(course, "one-transform", "distribution-shift") == []


def test_neighbours_foretell_what_is_alike():
    x, y = torch.randn(300, 2), torch.randint(0, 3, (300,))
    apart, val = x + 9 * torch.eye(3)[y, :2], torch.randn(90, 2)
    truth = torch.randint(0, 3, (90,))
    known = foretold((apart, y), (val + 9 * torch.eye(3)[truth, :2], truth))
    mixed = foretold((x, y), (val, truth))
    assert known is not None
    assert mixed is not None
    assert known.mean() > 0.95
    assert mixed.mean() < 0.6
    assert foretells_less(mixed, known)
    assert not foretells_less(known, known)


# Batches


def test_what_was_left_out_of_each_epoch_is_fed(begun, plans, treated):
    net = nn.Sequential(nn.Linear(2, 1))
    x = torch.randn(100, 2)
    course = begun(net, nn.MSELoss(), x, x[:, :1])
    assert plans(course, "keep-the-rest", "stuck-data-feed") == []
    course.train = course.train.of_batch(60)
    course.train.__dict__["drop_last"] = True
    assert course.train.steps == 1
    assert treated(course, "keep-the-rest", "stuck-data-feed", 1).train.steps == 2
    smaller = treated(course, "keep-the-rest", "stuck-data-feed").train
    assert (smaller.batch, smaller.drop_last, smaller.steps) == (25, False, 4)


# Losses and targets


def test_a_score_blind_to_size_gives_way_to_the_loss_of_the_targets(begun, plans):
    def correlation(output, target):
        a, b = output - output.mean(0), target - target.mean(0)
        return (a * b).mean() / (a.std() * b.std() + 1e-6)

    x = torch.randn(64, 3)
    net = nn.Sequential(nn.Linear(3, 1))
    said = [
        str(e.says) for e in plans(begun(net, correlation, x, x[:, :1]), "flip-sign", "loss-sign")
    ]
    assert said == ["the loss with the other sign", "loss: the squared loss"]

    def turned(output, target):
        return -F.mse_loss(output, target)

    assert len(plans(begun(net, turned, x, x[:, :1]), "flip-sign", "loss-sign")) == 1


def test_many_targets_have_means_of_their_own_and_one_spread(begun, treated):
    x = torch.randn(64, 3)
    y = torch.arange(20.0) * 10 + torch.randn(64, 20)
    net = nn.Sequential(nn.Linear(3, 20))
    after = treated(begun(net, nn.MSELoss(), x, y), "standardise-target", "unscaled-target")
    assert torch.allclose(after.model(x), net(x) * y.std() + y.mean(0), rtol=1e-4)
    assert float(after.loss(y + y.std(), y)) == pytest.approx(1, rel=1e-4)


def test_a_broken_power_below_0_is_that_of_the_size_with_its_sign():
    guarded = GuardedLoss(lambda output, target: (output**0.5 - target).sum(), "quotient")
    x = torch.tensor([4.0, -9.0], requires_grad=True)
    assert float(guarded(x, torch.zeros(2)).detach()) == pytest.approx(2 - 3)
    whole = GuardedLoss(lambda output, target: (output**2.0 - target).sum(), "quotient")
    assert float(whole(x, torch.zeros(2)).detach()) == pytest.approx(16 + 81)


# Who judges


def test_the_judge_reads_the_answers_and_not_what_the_loss_makes_of_them(begun):
    x, y = torch.randn(64, 4), torch.arange(64) % 3

    def by_mean(output, target):
        return F.mse_loss(output.mean(1), target.float())

    assert begun(nn.Sequential(nn.Linear(4, 3)), by_mean, x, y).judge.kind == "accuracy"
