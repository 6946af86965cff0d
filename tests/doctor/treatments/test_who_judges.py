"""The judge reads outputs as they are meant, whatever loss stands beside them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.trials.judge import Judge, judge_for, pulls_one_way

SIGNS = torch.tensor([[0.0], [1.0], [1.0], [0.0]])


@pytest.mark.parametrize(
    ("loss", "logits"),
    [
        (nn.BCEWithLogitsLoss(), True),
        (lambda o, t: (1 - (2 * t - 1) * o).clamp(min=0).mean(), True),
        (lambda o, t: -F.binary_cross_entropy_with_logits(o, t), True),
        (nn.BCELoss(), False),
        (nn.MSELoss(), False),
        (nn.L1Loss(), False),
        (lambda o, t: -(t * o.log() + (1 - t) * (1 - o).log()).mean(), False),
    ],
)
def test_a_loss_of_logits_pulls_one_way_a_distance_and_a_probability_do_not(loss, logits):
    assert pulls_one_way(loss, SIGNS) is logits


def test_probabilities_are_read_at_a_half_though_the_loss_wants_logits():
    judge = judge_for(torch.rand(4, 1), [SIGNS], loss="binary_cross_entropy_with_logits")
    assert judge == Judge(kind="accuracy of labels", threshold=0.5)


def test_logits_are_read_at_0():
    judge = judge_for(torch.randn(4, 1) * 9, [SIGNS], loss="", logits=True)
    assert judge == Judge(kind="accuracy of labels", threshold=0.0)


@pytest.mark.parametrize(
    "target", [torch.tensor([0.0, 1, 2, 1]), torch.eye(3).long()[[0, 1, 2, 1]]]
)
def test_labels_of_the_wrong_type_are_judged_as_classes(target):
    assert judge_for(torch.randn(4, 3), [target], loss="").kind == "accuracy"


def test_targets_of_255_say_yes_above_their_middle():
    judge = judge_for(3 * torch.randn(4, 1), [255 * SIGNS], loss="binary_cross_entropy_with_logits")
    said = torch.tensor([[-1.0], [1.0], [1.0], [-1.0]])
    assert judge.score([judge.reduced(said, 255 * SIGNS)]) == 1.0


def test_a_few_targets_count_alike_whatever_their_units():
    truth = torch.randn(50, 2) * torch.tensor([1.0, 1000.0])
    said = truth.clone()
    said[:, 0] = truth[:, 0].mean()
    judge = Judge(kind="R2")
    assert judge.score([judge.reduced(said, truth)]) == pytest.approx(0.5, abs=1e-6)
