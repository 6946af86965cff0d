"""What a loss asks for, where its outputs are free: floors, no least value, and penalties."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.records.facts.steps import Steps
from netwright.records.facts.wanted import Wanted

from .conftest import judged, probed

X = torch.randn((48, 6), generator=torch.Generator().manual_seed(0))
Y = (X[:, :1] + X[:, 1:2] > 0).float()
REAL = X[:, :1] - X[:, 2:3] ** 2
CLASSES = X[:, :4].argmax(1)


def net(out=1, *after):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, out), *after)


def stable(z, y):
    return (z.clamp(min=0) - z * y + (-z.abs()).exp().log1p()).mean()


def written_out(p, y):
    p = p.clamp(1e-6, 1 - 1e-6)
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


def test_a_sigmoid_before_a_formula_for_logits_is_proved_by_its_floor(looked):
    found = looked(net(1, nn.Sigmoid()), stable, X, Y).named("sigmoid-before-bce-with-logits")
    assert found.severity == "stop"
    assert found.evidence[1].value > 0.4  # (ln 2 + ln(1 + 1/e)) / 2 for as many yes as no: 0.503


@pytest.mark.parametrize(("after", "loss"), [((), stable), ((nn.Sigmoid(),), written_out)])
def test_logits_for_logits_and_probabilities_for_probabilities_are_right(looked, after, loss):
    said = looked(net(1, *after), loss, X, Y)
    assert said.named("sigmoid-before-bce-with-logits") is None
    assert said.named("output-activation-mismatch") is None


def test_a_softmax_before_a_loss_by_hand_of_classes_is_told_and_logits_are_not(looked):
    def surprise(output, target):
        own = output.gather(1, target[:, None])[:, 0]
        return (output.exp().sum(1).log() - own).mean()

    found = looked(net(4, nn.Softmax(1)), surprise, X, CLASSES)
    finding = found.named("softmax-before-cross-entropy")
    assert finding.severity == "stop"
    assert "by hand" in str(finding.what)
    assert finding.evidence[1].value == pytest.approx(math.log(1 + 3 / math.e), abs=0.1)
    assert looked(net(4), surprise, X, CLASSES).named("softmax-before-cross-entropy") is None


def test_a_relu_before_a_loss_by_hand_of_targets_below_zero_is_told(looked):
    def quantiles(output, target):
        return torch.maximum(0.5 * (target - output), 0.5 * (output - target)).mean()

    found = looked(net(1, nn.ReLU()), quantiles, X, REAL).named("output-activation-mismatch")
    assert found.severity == "stop"
    assert looked(net(), quantiles, X, REAL).named("output-activation-mismatch") is None


def test_a_loss_for_counts_falls_for_ever_on_targets_below_zero(looked):
    found = looked(net(), nn.PoissonNLLLoss(), X, REAL).named("loss-mismatch")
    assert found.severity == "stop"
    counts = (3 * X[:, :1].abs()).round()
    assert looked(net(), nn.PoissonNLLLoss(), X, counts).named("loss-mismatch") is None


def sure(weight):
    def loss(output, target):
        logs = output.log_softmax(1)
        return F.nll_loss(logs, target) + weight * (logs.exp() * logs).sum(1).mean()

    return loss


def test_a_penalty_on_sureness_that_outweighs_the_loss_is_noted_and_a_usual_one_is_not():
    heavy = probed(net(4), sure(2.0), X, CLASSES)
    assert heavy.get(Wanted).term_left > 0.4
    assert judged(heavy).named("over-regularised").severity == "note"
    standing = Steps(step=np.arange(1.0, 401), loss=np.full(400, 1.386), total=400)
    assert judged(heavy.with_facts(standing)).named("over-regularised").severity == "warn"
    usual = probed(net(4), sure(0.1), X, CLASSES)
    assert usual.get(Wanted).term_left < 0.1
    assert judged(usual).named("over-regularised") is None


def test_labels_smoothed_to_nothing_are_told_and_a_tenth_is_usual(looked):
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.95)
    assert looked(net(4), smoothed, X, CLASSES).named("over-regularised").severity == "warn"
    usual = nn.CrossEntropyLoss(label_smoothing=0.1)
    assert looked(net(4), usual, X, CLASSES).named("over-regularised") is None


def test_the_losses_of_torch_are_not_asked():
    assert probed(net(), nn.MSELoss(), X, REAL).get(Wanted) is None
    assert probed(net(4), nn.CrossEntropyLoss(), X, CLASSES).get(Wanted) is None


class Cosines(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(4, 16)), scale

    def forward(self, x):
        return self.scale * F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1))


def test_cosines_before_a_softmax_are_told_unless_they_are_scaled(looked):
    def cosines(scale):
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), Cosines(scale))

    found = looked(cosines(1.0), F.cross_entropy, X, CLASSES).named("output-activation-mismatch")
    assert found.severity == "stop"
    said = looked(cosines(20.0), F.cross_entropy, X, CLASSES)
    assert said.named("output-activation-mismatch") is None


def test_a_softmax_before_a_squared_loss_of_any_numbers_is_told(looked):
    targets = torch.cat([REAL, -REAL, X[:, 3:4]], 1)
    found = looked(net(3, nn.Softmax(1)), F.mse_loss, X, targets)
    assert found.named("output-activation-mismatch").severity == "stop"
    rows = F.one_hot(CLASSES, 4).float()
    said = looked(net(4, nn.Softmax(1)), F.mse_loss, X, rows)
    assert said.named("output-activation-mismatch") is None
