"""What goes into a loss, and what it is held against: mismatches are found, odd choices not."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.steps import Steps

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(1))
Y = torch.arange(48) % 4
BITS = (torch.arange(48) % 3 == 0).float()
REAL = X[:, :1] * 2 - 1


def net(*last, out=1, inputs=6):
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, out), *last)


def above_notes(diagnosis):
    return [each.name for each in diagnosis.findings if each.severity != "note"]


# --- sigmoid twice -------------------------------------------------------------------------------


def test_sigmoid_twice_is_a_stop_with_its_floor(looked):
    found = looked(net(nn.Sigmoid()), nn.BCEWithLogitsLoss(), X, BITS[:, None])
    (sigmoid,) = [each for each in found.findings if each.severity == "stop"]
    assert sigmoid.name == "sigmoid-before-bce-with-logits"
    floor = 2 / 3 * math.log(2) + 1 / 3 * math.log(1 + math.exp(-1))
    assert sigmoid.evidence[-1].value == pytest.approx(floor, abs=1e-3)


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (net(nn.Sigmoid()), nn.BCELoss()),
        (net(), nn.BCEWithLogitsLoss()),
        (net(), nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))),
        (net(), lambda z, y: F.binary_cross_entropy(z.sigmoid(), y)),
        (net(), lambda z, y: F.binary_cross_entropy_with_logits(z, y * 0.9 + 0.05)),
        (net(), lambda z, y: -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).mean()),
        (
            net(),
            lambda z, y: (
                (1 - (-F.binary_cross_entropy_with_logits(z, y, reduction="none")).exp()) ** 2
                * F.binary_cross_entropy_with_logits(z, y, reduction="none")
            ).mean(),
        ),
    ],
)
def test_one_sigmoid_is_fine(looked, model, loss):
    assert looked(model, loss, X, BITS[:, None]).findings == ()


# --- the last activation -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "loss", "target"),
    [
        (nn.ReLU(), nn.MSELoss(), REAL),
        (nn.Sigmoid(), nn.MSELoss(), REAL * 3),
        (nn.Tanh(), nn.L1Loss(), torch.arange(48.0)[:, None] % 10 + 0.5),
        (nn.Tanh(), lambda o, y: ((o - y) ** 2).mean(), REAL * 4),
        (nn.ReLU(), nn.BCEWithLogitsLoss(), BITS[:, None]),
        (nn.Softmax(1), nn.MSELoss(), REAL),
        (nn.Softmax(1), nn.BCELoss(), BITS[:, None]),
    ],
)
def test_an_output_that_cannot_reach_its_targets_is_a_stop(looked, last, loss, target):
    found = looked(net(last), loss, X, target)
    assert found.named("output-activation-mismatch").severity == "stop"


@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Tanh()])
def test_bounded_logits_have_a_floor(looked, last):
    found = looked(net(last, out=4), nn.CrossEntropyLoss(), X, Y).named(
        "output-activation-mismatch"
    )
    width = 1 if isinstance(last, nn.Sigmoid) else 2
    floor = math.log(1 + 3 * math.exp(-width))
    assert found.severity == "stop"
    assert found.evidence[-1].value == pytest.approx(floor, abs=0.01)


class Gated(nn.Module):
    """Weights on both sides of a product: neither bounds the other."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 1), nn.Linear(6, 1)

    def forward(self, x):
        return self.b(x).sigmoid() * self.a(x)


class Attended(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(1, 4), nn.Linear(1, 4), nn.Linear(1, 1)

    def forward(self, x):
        x = x[..., None]
        scores = self.q(x) @ self.k(x).mT
        return (scores.softmax(-1) @ self.v(x)).mean(1)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.scale = net(nn.Tanh()), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.net(x) * self.scale


@pytest.mark.parametrize(
    ("model", "loss", "target"),
    [
        (net(), nn.MSELoss(), REAL),
        (net(nn.ReLU()), nn.MSELoss(), REAL.abs()),
        (net(nn.Softplus()), nn.PoissonNLLLoss(log_input=False), REAL.abs().round()),
        (net(nn.Sigmoid(), out=6), nn.MSELoss(), X.sigmoid()),
        (net(nn.Sigmoid(), out=6), nn.BCELoss(), X.sigmoid()),
        (net(nn.Tanh()), nn.MSELoss(), REAL.clamp(-1, 1)),
        (net(nn.LeakyReLU(0.2)), nn.MSELoss(), REAL),
        (net(nn.ReLU(), out=4), nn.CrossEntropyLoss(), Y),
        (net(nn.BatchNorm1d(1)), nn.MSELoss(), REAL * 5),
        (Gated(), nn.MSELoss(), REAL * 3),
        (Attended(), nn.MSELoss(), REAL * 3),
        (Scaled(), nn.MSELoss(), REAL * 3),
        (net(nn.Sigmoid()), lambda o, y: F.mse_loss(o * 30 - 20, y), REAL),
        (net(out=4), lambda o, y: F.cross_entropy(30 * F.normalize(o), y), Y),
        (net(), nn.SmoothL1Loss(), REAL),
    ],
)
def test_outputs_that_reach_their_targets_are_fine(looked, model, loss, target):
    assert above_notes(looked(model, loss, X, target)) == []


def test_a_single_outlier_beyond_the_range_is_a_note(looked):
    target = torch.rand(48, 1)
    target[0] = 1.2
    found = looked(net(nn.Sigmoid()), nn.MSELoss(), X, target).named("output-activation-mismatch")
    assert found.severity == "note"


# --- the loss ------------------------------------------------------------------------------------


MULTI = (torch.rand(48, 6, generator=torch.Generator().manual_seed(2)) > 0.4).float()


@pytest.mark.parametrize(
    ("model", "loss", "target"),
    [
        (net(out=4), nn.NLLLoss(), Y),
        (net(nn.Softmax(1), out=4), nn.NLLLoss(), Y),
        (net(out=6), nn.CrossEntropyLoss(), MULTI),
        (net(out=4), nn.CrossEntropyLoss(), torch.randn(48, 4)),
        (net(), nn.CrossEntropyLoss(), torch.zeros(48, dtype=torch.long)),
        (net(), nn.BCEWithLogitsLoss(), Y.float()[:, None]),
        (net(), nn.BCEWithLogitsLoss(), BITS[:, None] * 2 - 1),
        (
            net(nn.Softmax(1), out=4),
            nn.KLDivLoss(reduction="batchmean"),
            F.one_hot(Y, 4) * 0.8 + 0.05,
        ),
    ],
)
def test_a_loss_of_another_kind_is_a_stop(looked, model, loss, target):
    assert looked(model, loss, X, target).named("loss-mismatch").severity == "stop"


@pytest.mark.parametrize(
    ("model", "loss", "target"),
    [
        (net(out=4), nn.CrossEntropyLoss(), F.one_hot(Y, 4).float()),
        (net(out=4), nn.CrossEntropyLoss(), 0.3 * F.one_hot(Y, 4) + 0.7 * F.one_hot(Y.flip(0), 4)),
        (net(out=4), nn.MSELoss(), F.one_hot(Y, 4).float()),
        (net(nn.Softmax(1), out=4), nn.MSELoss(), F.one_hot(Y, 4).float()),
        (net(out=6), nn.BCEWithLogitsLoss(), MULTI),
        (net(), nn.MSELoss(), BITS[:, None]),
        (
            net(nn.LogSoftmax(1), out=4),
            lambda p, y: F.nll_loss((1 - p.exp()) ** 2 * p, y),
            Y,
        ),
        (
            net(nn.LogSoftmax(1), out=4),
            nn.KLDivLoss(reduction="batchmean"),
            F.one_hot(Y, 4) * 0.8 + 0.05,
        ),
        (
            net(out=4),
            lambda z, t: F.kl_div((z / 3).log_softmax(1), (t / 3).softmax(1), reduction="sum") * 9,
            torch.randn(48, 4),
        ),
        (net(), lambda o, y: F.relu(1 - o).mean(), BITS),
        (net(out=4), lambda q, y: F.smooth_l1_loss(q.gather(1, y[:, None]), REAL), Y),
        (net(out=4), lambda z, a: -(z.log_softmax(1).gather(1, a[:, None]) * REAL).mean(), Y),
        (net(), lambda o, y: F.binary_cross_entropy_with_logits(o, torch.ones_like(o)), Y),
        (net(), lambda o, y: F.margin_ranking_loss(o[:24], o[24:], torch.ones(24, 1)), Y),
        (net(out=4), lambda z, y: F.multi_margin_loss(z, y), Y),
        (net(out=4), lambda z, y: F.triplet_margin_loss(z[:16], z[16:32], z[32:]), Y),
    ],
)
def test_losses_that_fit_are_fine(looked, model, loss, target):
    assert above_notes(looked(model, loss, X, target)) == []


@pytest.mark.parametrize(
    ("model", "loss", "target"),
    [
        (net(), nn.MSELoss(), Y.float()[:, None]),
        (net(out=4), nn.BCEWithLogitsLoss(), F.one_hot(Y, 4).float()),
    ],
)
def test_what_may_be_meant_is_a_note(looked, model, loss, target):
    assert looked(model, loss, X, target).named("loss-mismatch").severity == "note"


def test_ctc_is_left_alone(looked):
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.LSTM(6, 8), nn.Linear(8, 5)

        def forward(self, x):
            return self.out(self.rnn(x)[0]).log_softmax(-1)

    def loss(logs, target):
        return F.ctc_loss(logs, target, torch.full((4,), 12), torch.full((4,), 3))

    found = looked(Reader(), loss, X.view(12, 4, 6), torch.randint(1, 5, (4, 3)))
    assert above_notes(found) == []


# --- shapes --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    ("model", "loss", "target"),
    [
        (net(), nn.MSELoss(), REAL[:, 0]),
        (net(), nn.L1Loss(), REAL[:, 0]),
        (net(), lambda o, y: ((y - o) ** 2).mean(), REAL[:, 0]),
        (net(nn.Flatten(0)), lambda o, y: (o - y).abs().mean(), REAL),
        (net(nn.Unflatten(1, (1, 2, 2)), out=4), nn.SmoothL1Loss(), torch.randn(48, 2, 2)),
    ],
)
def test_a_silent_broadcast_is_a_stop_whose_floor_is_guessing(looked, model, loss, target):
    found = looked(model, loss, X, target).named("silent-broadcast")
    assert found.severity == "stop"
    assert found.evidence[-1].value == found.evidence[-1].baseline


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    ("model", "loss", "target"),
    [
        (net(), nn.MSELoss(), torch.ones(1)),
        (net(), lambda o, y: ((o - 1) ** 2).mean(), REAL),
        (net(out=4), nn.L1Loss(), REAL),
        (net(out=4), lambda o, y: F.smooth_l1_loss(o[:, None], y[:, :, None]), torch.randn(48, 5)),
        (net(out=2), lambda o, y: ((o[:, None] - o[None]) ** 2).mean(), REAL),
    ],
)
def test_a_broadcast_within_a_sample_is_fine(looked, model, loss, target):
    assert above_notes(looked(model, loss, X, target)) == []


# --- scales and signs ----------------------------------------------------------------------------


def with_facts(diagnosis, *facts):
    from netwright.doctor.diagnosis import diagnosed

    return diagnosed(diagnosis.record.with_facts(*facts))


UNFIT = Fit(trials=(FitTrial(factor=1, steps=60, start=9e4, end=8e4),), batch=48)


def test_targets_in_other_units_are_a_note_and_a_warning_with_harm(looked):
    found = looked(net(), nn.MSELoss(), X, REAL * 100 + 300)
    assert found.named("unscaled-target").severity == "note"
    assert with_facts(found, UNFIT).named("unscaled-target").severity == "warn"
    assert with_facts(looked(net(), nn.MSELoss(), X, REAL), UNFIT).named("unscaled-target") is None


def test_a_first_loss_far_above_guessing_is_a_note_and_a_warning_with_harm(looked):
    model = net(out=4)
    with torch.no_grad():
        model[2].weight.mul_(100)
    found = looked(model, nn.CrossEntropyLoss(), X, Y)
    assert found.named("initial-loss-off").severity == "note"
    assert with_facts(found, UNFIT).named("initial-loss-off").severity == "warn"


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.CrossEntropyLoss(), Y),
        (nn.CrossEntropyLoss(label_smoothing=0.2, weight=torch.tensor([1.0, 2, 5, 9])), Y),
        (nn.CrossEntropyLoss(), (torch.arange(48) == 3).long()),
        (lambda z, y: nn.CrossEntropyLoss(reduction="sum")(z, y) / 7, Y),
    ],
)
def test_the_first_loss_of_a_fresh_network_is_near_guessing(looked, loss, target):
    assert looked(net(out=4), loss, X, target).named("initial-loss-off") is None


def climbing(loss):
    step = torch.arange(1.0, 41).numpy()
    return Steps(step=step, loss=loss(step), total=40)


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: -F.cross_entropy(z, y),
        lambda z, y: z.log_softmax(1)[torch.arange(len(y)), y].mean(),
        lambda z, y: F.nll_loss(z.log_softmax(1), y) * -1,
    ],
)
def test_the_negative_of_a_loss_is_a_note_and_a_stop_once_it_has_risen(looked, loss):
    found = looked(net(out=4), loss, X, Y)
    assert found.named("loss-sign").severity == "note"
    worse = with_facts(found, climbing(lambda step: -1.4 - step))
    assert worse.named("loss-sign").severity == "stop"


def test_games_and_rewards_have_no_wrong_sign(looked):
    saturating = lambda d, _: -F.binary_cross_entropy_with_logits(d, torch.zeros_like(d))  # noqa: E731
    assert looked(net(), saturating, X, BITS).named("loss-sign") is None
    reward = lambda z, a: -(z.log_softmax(1).gather(1, a[:, None]) * REAL).mean()  # noqa: E731
    assert looked(net(out=4), reward, X, Y).named("loss-sign") is None
    assert looked(net(out=4), nn.CrossEntropyLoss(), X, Y).named("loss-sign") is None
