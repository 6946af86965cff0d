"""Samples that do not keep to themselves, and models that look at several on purpose."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.patient import Source
from netwright.records.facts.mixing import Mixing

from .conftest import judged, probed

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = torch.arange(32) % 4
SEQ = torch.randn(32, 12, 6, generator=torch.Generator().manual_seed(2))


def net(*last, out=4):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, out), *last)


def source(batch):
    return Source(name="train", batches=lambda: iter(()), batch=batch)


def above_notes(diagnosis):
    return [each.name for each in diagnosis.findings if each.severity != "note"]


# --- the axis of the classes ---------------------------------------------------------------------


def test_a_log_softmax_over_the_batch_is_a_stop_with_its_floor(looked):
    found = looked(net(nn.LogSoftmax(0)), nn.NLLLoss(), X, Y).named("wrong-dimension")
    assert found.severity == "stop"
    assert found.evidence[-1].value == pytest.approx(math.log(8))  # eight samples of each class


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (net(nn.Softmax(0)), nn.CrossEntropyLoss()),
        (net(), lambda z, y: F.cross_entropy(F.softmax(z, dim=0), y)),
        (net(), lambda z, y: F.nll_loss(z.log_softmax(0), y)),
        (net(), lambda z, y: -torch.log_softmax(z, dim=0)[torch.arange(32), y].mean()),
    ],
)
def test_a_softmax_over_the_batch_is_the_root_of_the_story(looked, model, loss):
    found = looked(model, loss, X, Y)
    assert above_notes(found)[0] == "wrong-dimension"
    assert found.named("batch-mixing") is None


def test_classes_viewed_away_in_a_segmentation_are_a_stop(looked):
    model = nn.Conv2d(1, 4, 3, padding=1)
    images, masks = torch.randn(3, 1, 8, 8), torch.randint(0, 4, (3, 8, 8))

    def wrong(z, y):
        return F.cross_entropy(z.view(-1, 4), y.view(-1))

    def right(z, y):
        return F.cross_entropy(z.permute(0, 2, 3, 1).reshape(-1, 4), y.view(-1))

    assert looked(model, wrong, images, masks).named("wrong-dimension").severity == "stop"
    for loss in (right, F.cross_entropy):
        assert looked(model, loss, images, masks).findings == ()


def test_a_view_in_place_of_a_transposition_is_a_stop(looked):
    labels = torch.randint(0, 4, (32, 12))

    def wrong(z, y):
        return F.cross_entropy(z.reshape(32, 4, 12), y)

    def right(z, y):
        return F.cross_entropy(z.transpose(1, 2), y)

    assert looked(net(), wrong, SEQ, labels).named("wrong-dimension").severity == "stop"
    assert looked(net(), right, SEQ, labels).findings == ()


# --- inside the model ----------------------------------------------------------------------------


class Sliced(nn.Module):
    """A view that starts with the features."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 4)

    def forward(self, x):
        return self.out(x.reshape(6, -1).t())


class Read(nn.Module):
    def __init__(self, *, batch_first, last=True):
        super().__init__()
        self.rnn = nn.LSTM(6, 8, batch_first=batch_first)
        self.out, self.last = nn.Linear(8, 4), last

    def forward(self, x):
        h = self.rnn(x)[0]
        if self.last:
            h = h[:, -1]
        return self.out(h)


class Averaged(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x):
        return self.net(x - x.mean(0))


@pytest.mark.parametrize(
    ("model", "x"),
    [(Sliced(), X), (Read(batch_first=False), SEQ), (net(nn.Softmax(0)), X), (Averaged(), X)],
)
def test_samples_that_mix_inside_the_model_are_found(looked, model, x):
    found = looked(model, lambda z, y: F.mse_loss(z, F.one_hot(y, 4).float()), x, Y)
    assert above_notes(found)[0] in ("batch-mixing", "wrong-dimension")


def test_time_taken_for_the_batch_is_found_where_the_batch_is_known(looked):
    labels = torch.randint(0, 4, (32, 12))
    loss = lambda z, y: F.cross_entropy(z.transpose(1, 2), y)  # noqa: E731
    model = Read(batch_first=False, last=False)
    assert looked(model, loss, SEQ, labels, train=source(32)).named("batch-mixing") is not None
    assert looked(model, loss, SEQ, labels).named("batch-mixing") is None
    assert looked(model, loss, SEQ, labels, train=source(12)).named("batch-mixing") is None


def test_rows_that_no_longer_match_their_labels_are_told_from_the_failed_step(crashed):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Unflatten(1, (2, 2)), nn.Flatten(2))

    class Slipped(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 4)

        def forward(self, x):
            return self.out(self.conv(x).view(-1, 64))

    (found,) = crashed(Slipped(), nn.CrossEntropyLoss(), torch.randn(8, 1, 8, 8), Y[:8]).findings
    assert (found.name, found.severity, found.evidence[0].value) == ("batch-mixing", "stop", 32)
    assert model is not None


class Graph(nn.Module):
    """Nodes that look at their neighbours."""

    def __init__(self):
        super().__init__()
        self.register_buffer("adjacency", (torch.rand(32, 32) > 0.8).float())
        self.lin = nn.Linear(6, 4)

    def forward(self, x):
        return self.lin(self.adjacency @ x)


class Encoder(nn.Module):
    def __init__(self, **options):
        super().__init__()
        layer = nn.TransformerEncoderLayer(6, 2, 12, **options)
        self.body, self.out = (
            nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
            nn.Linear(6, 4),
        )

    def forward(self, x):
        return self.out(self.body(x))


def contrast(z, y):
    z = F.normalize(z)
    return F.cross_entropy(z @ z.T / 0.1, torch.arange(len(z)))


@pytest.mark.parametrize(
    ("model", "loss", "x"),
    [
        (net(), F.cross_entropy, X),
        (net(nn.BatchNorm1d(4)), F.cross_entropy, X),
        (net(nn.BatchNorm1d(4, track_running_stats=False)), F.cross_entropy, X),
        (net(nn.Dropout()), F.cross_entropy, X),
        (net(), contrast, X),
        (net(), lambda z, y: -(z @ z.T).log_softmax(0).diagonal().mean(), X),
        (Graph(), F.cross_entropy, X),
        (Read(batch_first=True), F.cross_entropy, SEQ),
        (Encoder(batch_first=True), lambda z, y: F.cross_entropy(z[:, 0], y), SEQ),
        (
            Encoder(batch_first=False),
            lambda z, y: F.cross_entropy(z.mean(0), y[:12]),
            SEQ,
        ),
        (net(), lambda z, y: F.cross_entropy(z, y) - z.softmax(1).mean(0).var(), X),
    ],
)
def test_samples_that_keep_to_themselves_or_meet_on_purpose_are_fine(looked, model, loss, x):
    found = looked(model, loss, x, Y)
    assert found.named("batch-mixing") is None
    assert found.named("wrong-dimension") is None


def test_embeddings_of_whole_numbers_are_looked_at_too(looked):
    model = nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(40, 4))
    words = torch.randint(0, 50, (32, 5))
    assert looked(model, F.cross_entropy, words, Y).findings == ()
    mixed = nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(40, 4), nn.Softmax(0))
    assert looked(mixed, F.cross_entropy, words, Y).findings[0].name == "wrong-dimension"


def test_looking_leaves_modes_and_statistics_alone(looked):
    model = net(nn.BatchNorm1d(4), nn.Dropout())
    model[0].eval()
    looked(model, F.cross_entropy, X, Y)
    assert [each.training for each in model] == [False, True, True, True, True]
    assert model[3].num_batches_tracked == 1


def test_a_log_softmax_along_the_places_of_a_sample_is_told_by_the_rows_the_loss_gets(looked):
    model = nn.Linear(6, 3)
    inputs, target = torch.randn(16, 9, 6), torch.arange(16 * 9).reshape(16, 9) % 3

    def loss(axis):
        return lambda o, t: F.nll_loss(o.log_softmax(axis).transpose(1, 2), t)

    found = looked(model, loss(1), inputs, target).named("wrong-dimension")
    assert found is not None
    assert found.severity == "stop"
    assert "9 places" in str(found.what)
    assert looked(model, loss(2), inputs, target).named("wrong-dimension") is None


class Scaled(nn.Module):
    """Each feature over the largest of its batch."""

    def forward(self, x):
        return x / x.abs().amax(0, keepdim=True)


def test_a_network_that_answers_otherwise_in_a_batch_of_one_is_told():
    record = probed(nn.Sequential(Scaled(), nn.Linear(6, 4)), F.cross_entropy, X, Y)
    assert record.get(Mixing).change_alone > 0.05
    assert judged(record).named("batch-mixing").severity == "warn"
    plain = probed(nn.Sequential(nn.Linear(6, 4)), F.cross_entropy, X, Y)
    assert plain.get(Mixing).change_alone < 1e-5


class Pairs(nn.Module):
    """How much two samples have in common, of each pair."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 4)

    def forward(self, x):
        z = F.normalize(self.body(x))
        return z @ z.T


class Own(nn.Module):
    """Attention that takes the batch for a sequence: its output is one row for each sample."""

    def __init__(self):
        super().__init__()
        self.body, self.out = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.out((self.body(x) @ x.T).softmax(1) @ x)


def test_an_output_with_a_column_for_each_sample_compares_them_by_design(looked):
    loss = lambda z, y: F.cross_entropy(z / 0.1, torch.arange(len(z)))  # noqa: E731
    assert looked(Pairs(), loss, X, Y).named("batch-mixing") is None
    assert "batch-mixing" in above_notes(looked(Own(), F.cross_entropy, X, Y))


class Rounded(nn.Module):
    """Signals in a few levels of the largest of the batch, which is held constant or not."""

    def __init__(self, *, constant):
        super().__init__()
        self.constant = constant

    def forward(self, x):
        step = x.abs().amax(0, keepdim=True) / 3
        step = step.detach() if self.constant else step
        return x + ((x / step).round() * step - x).detach() if self.constant else x / step


def test_a_measure_of_the_batch_that_is_held_constant_mistakes_no_axis():
    def found(constant):
        model = nn.Sequential(Rounded(constant=constant), nn.Linear(6, 4))
        return probed(model, F.cross_entropy, X, Y)

    assert found(True).get(Mixing).change > 0.05
    assert found(True).get(Mixing).graded is False
    assert judged(found(True)).named("batch-mixing").severity == "note"
    assert found(False).get(Mixing).graded is True
    assert judged(found(False)).named("batch-mixing").severity == "warn"


def test_asking_for_that_gradient_leaves_those_of_the_loop_alone(looked):
    model = Own()
    for each in model.parameters():
        each.grad = torch.ones_like(each)
    looked(model, F.cross_entropy, X, Y)
    assert all(bool((each.grad == 1).all()) for each in model.parameters())


def test_an_attention_over_the_batch_is_seen_by_a_batch_of_one(looked):
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.head = nn.Linear(4, 1), nn.Linear(4, 3)

        def forward(self, x):
            return self.head((x * self.gate(x).softmax(0)).sum(1))

    x, y = torch.randn(64, 5, 4), torch.randint(0, 3, (64,))
    assert looked(Pooled(), nn.CrossEntropyLoss(), x, y).named("batch-mixing").severity != "note"


def test_a_model_that_draws_numbers_gives_others_for_a_batch_of_one(looked):
    class Noisy(nn.Sequential):
        def forward(self, x):
            return super().forward(x + torch.randn_like(x))

    x, y = torch.randn(64, 20), torch.randint(0, 3, (64,))
    assert (
        looked(Noisy(nn.Linear(20, 3)), nn.CrossEntropyLoss(), x, y).named("batch-mixing") is None
    )
