"""Softmax twice is found in every guise, and softmax once never."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

NAME = "softmax-before-cross-entropy"
X, Y = torch.randn(32, 6), torch.arange(32) % 4


def net(*last, classes=4):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, classes), *last)


class Squared(nn.Module):
    """A softmax of one's own making."""

    def forward(self, z):
        e = (z - z.amax(1, keepdim=True)).exp()
        return e / e.sum(1, keepdim=True)


def pick(logp, y):
    return -logp[torch.arange(len(y)), y].mean()


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (net(nn.Softmax(1)), nn.CrossEntropyLoss()),
        (net(nn.Softmax(dim=-1)), lambda p, y: F.cross_entropy(p, y, reduction="sum")),
        (net(nn.Softmax(1)), lambda p, y: nn.CrossEntropyLoss()(p, y) / 4),
        (net(), lambda z, y: F.cross_entropy(z.softmax(1), y)),
        (net(Squared()), nn.CrossEntropyLoss()),
        (net(nn.Softmax(1)), nn.CrossEntropyLoss(label_smoothing=0.1)),
        (net(nn.Softmax(1)), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3, 4]))),
        (net(nn.Softmax(1)), lambda p, y: F.nll_loss(F.log_softmax(p, 1), y)),
        (net(nn.Softmax(1)), lambda p, y: pick(p.log_softmax(1), y)),
        (net(nn.Softmax(1), nn.LogSoftmax(1)), F.nll_loss),
    ],
)
def test_softmax_twice_is_a_stop_with_its_floor(looked, model, loss):
    found = looked(model, loss, X, Y).named(NAME)
    assert found.severity == "stop"
    (floor,) = [each.value for each in found.evidence if each.witness == "harm"]
    smoothed = 0.1 * 3 / 4 if getattr(loss, "label_smoothing", 0) else 0
    assert floor == pytest.approx(math.log(1 + 3 / math.e) + smoothed, abs=0.01)


def test_the_floor_is_never_undercut_by_training():
    """The arithmetic held against a slow second way: 300 steps on the probabilities themselves."""
    z = torch.zeros(8, 4, requires_grad=True)
    y = torch.arange(8) % 4
    optimizer = torch.optim.Adam([z], lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        loss = F.cross_entropy(z.softmax(1), y)
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(math.log(1 + 3 / math.e), abs=2e-3)
    assert loss.item() >= math.log(1 + 3 / math.e)


def test_two_classes_have_it_too(looked):
    found = looked(net(nn.Softmax(1), classes=2), nn.CrossEntropyLoss(), X, Y % 2).named(NAME)
    assert found.evidence[-1].value == pytest.approx(math.log(1 + 1 / math.e))


def test_a_segmentation_network_has_it(looked):
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Softmax2d()
    )
    y = torch.randint(0, 4, (2, 8, 8))
    y[0, :4] = 255
    loss = nn.CrossEntropyLoss(ignore_index=255)
    assert looked(model, loss, torch.randn(2, 1, 8, 8), y).named(NAME).severity == "stop"


def test_soft_targets_and_half_precision_have_it(looked):
    soft = F.one_hot(Y, 4).float() * 0.9 + 0.025

    def loss(p, y):
        return F.cross_entropy(p.float(), y)

    assert looked(net(nn.Softmax(1)), loss, X, soft).named(NAME).severity == "stop"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = looked(net(nn.Softmax(1)), nn.CrossEntropyLoss(), X, Y)
    assert found.named(NAME).severity == "stop"


def test_a_loss_inside_the_model_is_read_as_well(looked):
    class Whole(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.net = net(*last)

        def forward(self, x, labels):
            return {"loss": F.cross_entropy(self.net(x), labels)}

    def loss(out, _):
        return out["loss"]

    assert looked(Whole([nn.Softmax(1)]), loss, (X, Y), None).named(NAME).severity == "stop"
    assert looked(Whole([]), loss, (X, Y), None).findings == ()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.v, self.out = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x):
        scores = self.q(x) @ self.q(x).T
        return self.out(scores.softmax(1) @ self.v(x))


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (net(), nn.CrossEntropyLoss()),
        (net(), nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.ones(4))),
        (net(nn.LogSoftmax(1)), nn.NLLLoss()),
        (net(nn.LogSoftmax(1)), nn.CrossEntropyLoss()),
        (net(nn.Softmax(1)), lambda p, y: F.nll_loss(p.log(), y)),
        (net(nn.Softmax(1)), lambda p, y: F.nll_loss((p + 1e-8).log(), y)),
        (net(nn.Softmax(1)), lambda p, y: pick(p.log(), y)),
        (net(nn.Softmax(1)), lambda p, y: -p.gather(1, y[:, None]).log().mean()),
        (net(), lambda z, y: F.cross_entropy(z / 0.07, y)),
        (net(), lambda z, y: F.cross_entropy(20 * F.normalize(z), y)),
        (net(), lambda z, y: F.cross_entropy(z, y) + 0 * z.softmax(1).max(1).values.sum()),
        (Attention(), nn.CrossEntropyLoss()),
        (net(), lambda z, y: F.cross_entropy(z, F.one_hot(y, 4) * 0.7 + 0.075)),
        (net(), lambda z, y: F.cross_entropy(z @ z.T / 0.1, torch.arange(len(z)))),
        (
            net(),
            lambda z, y: F.kl_div(
                z.log_softmax(1), F.one_hot(y, 4) * 0.8 + 0.05, reduction="batchmean"
            ),
        ),
    ],
)
def test_softmax_once_in_its_place_is_fine(looked, model, loss):
    assert looked(model, loss, X, Y).named(NAME) is None


def test_nothing_of_the_model_is_changed_by_looking(looked):
    model = net(nn.BatchNorm1d(4), nn.Dropout(), nn.Softmax(1))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    from netwright.doctor.patient import Patient, noted
    from netwright.doctor.probes.objective import told
    from netwright.doctor.setup_facts import setup_of

    sample = noted(model, nn.CrossEntropyLoss(), (X,), Y)
    counted = {name: each.clone() for name, each in model.state_dict().items()}
    state = torch.get_rng_state()
    told(Patient(model=model, optimizers=(), setup=setup_of(model, ())), sample)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(counted[name], each) for name, each in model.state_dict().items())
    assert before.keys() == counted.keys()
