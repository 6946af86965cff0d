"""Loops whose lines do something else than they seem to: scores, modes, steps, what is kept."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.testing.loops import batches, found, mlp, sgd, train


class Dropping(nn.Module):
    """Drops by the function, told the mode or not; or adds noise by hand."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, x):
        if self.way == "the function":
            return F.dropout(x, 0.8)
        if self.way == "the function, told the mode":
            return F.dropout(x, 0.8, self.training)
        if self.way == "noise" or (self.way == "noise, told the mode" and self.training):
            return x + 2 * torch.randn_like(x)
        return x


def judged(way, *, answers=1):
    """A loop that validates in evaluation mode, with so many answers to each batch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), Dropping(way), nn.Linear(32, 4))
    optimizer = sgd(model, lr=0.5)
    with watch(model, optimizer, checkup=False, every=1) as doctor:
        for _ in range(4):
            model.train()
            for x, y in batches(30):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in batches(3):
                    scores = sum(model(x) for _ in range(answers))
                    (scores.argmax(1) == y).sum()
    return found(doctor, "wrong-mode")


@pytest.mark.parametrize("way", ["the function", "noise"])
def test_what_is_random_in_evaluation_too_is_warned_of(way):
    (finding,) = judged(way)
    assert finding.severity == "warn"


@pytest.mark.parametrize("way", ["the function, told the mode", "noise, told the mode", "nothing"])
def test_what_is_random_in_training_alone_is_silent(way):
    assert judged(way) == []


@pytest.mark.parametrize("way", ["the function", "noise"])
def test_answers_drawn_several_times_on_purpose_are_silent(way):
    assert judged(way, answers=3) == []


@pytest.mark.parametrize(("still", "severities"), [(True, ["warn"]), (False, [])])
def test_norms_that_stand_in_evaluation_mode_while_the_rest_is_trained(still, severities):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    with torch.no_grad():
        model[0].weight *= 20

    def before(_):
        model.train()
        model[1].train(not still)

    doctor = train(model, sgd(model, lr=0.01), steps=60, before=before)
    assert [each.severity for each in found(doctor, "wrong-mode")] == severities


def two_classes(score):
    """A loop of one logit, (N, 1), that scores its validation by `score(logits, labels)`."""
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = sgd(model, lr=0.5)
    with watch(model, optimizer, checkup=False) as doctor:
        for _ in range(4):
            for x, y in batches(40, classes=2):
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(model(x), y[:, None].float()).backward()
                optimizer.step()
            with torch.no_grad():
                for x, y in batches(4, classes=2):
                    logits, labels = model(x), y[:, None].float()
                    F.binary_cross_entropy_with_logits(logits, labels)
                    score(logits, labels)
    return found(doctor, "metric-misread")


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (lambda z, y: ((z.squeeze(1) > 0).float() == y).float().mean(), "row"),
        (lambda z, y: (z.argmax(1, keepdim=True) == y).float().mean(), "one score"),
        (lambda z, y: (z.round() == y).float().mean(), "not that of the network"),
    ],
)
def test_scores_that_their_shapes_or_their_loss_disprove_are_warned_of(score, said):
    (finding,) = two_classes(score)
    assert said in str(finding.what)


@pytest.mark.parametrize(
    "score",
    [
        lambda z, y: ((z > 0).float() == y).float().mean(),
        lambda z, y: (z.sigmoid().round() == y).float().mean(),
        lambda z, y: ((z > 0).squeeze(1) == y.squeeze(1)).float().mean(),
    ],
)
def test_scores_of_one_logit_held_to_a_bound_are_silent(score):
    assert two_classes(score) == []


@pytest.mark.parametrize(("clears", "count"), [(False, 1), (True, 0)])
def test_a_closure_that_adds_its_gradient_to_one_that_is_there(clears, count):
    model = mlp()
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(40):

            def closure(x=x, y=y):
                if clears:
                    optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                return loss

            optimizer.zero_grad()
            if not clears:
                closure()
            optimizer.step(closure)
    assert len(found(doctor, "double-backward-or-step")) == count


@pytest.mark.parametrize(("kept", "count"), [("outputs", 1), ("numbers", 0), ("the last", 0)])
def test_outputs_that_a_hook_keeps_with_their_graph(kept, count):
    model = mlp()
    outputs = []

    def hook(_, __, output):
        if kept == "the last":
            outputs.clear()
        outputs.append(output.detach() if kept == "numbers" else output)

    model[0].register_forward_hook(hook)
    assert len(found(train(model, sgd(model), steps=150), "memory-growth")) == count


@pytest.mark.parametrize(("prefix", "severity"), [("module.", "warn"), ("", "note")])
def test_a_file_in_which_no_name_of_the_model_is_found(prefix, severity):
    """With the names that the model has the load is another run's, on purpose perhaps."""
    model = mlp()
    first = {prefix + name: each for name, each in copy.deepcopy(model.state_dict()).items()}

    def before(i):
        if i == 60:
            for each in model.parameters():
                each.data.normal_()
            model.load_state_dict(first, strict=False)

    doctor = train(model, sgd(model, lr=0.5), steps=100, before=before)
    (finding,) = found(doctor, "nondeterministic-restart")
    assert finding.severity == severity


@pytest.mark.parametrize(("alike", "count"), [(True, 1), (False, 0)])
def test_batches_that_hold_one_sample_in_all_places(alike, count):
    model = mlp()
    data = [(x[:1].expand_as(x) if alike else x, y) for x, y in batches(40)]
    assert len(found(train(model, sgd(model), data=data), "constant-input")) == count


def test_one_seed_in_all_places_without_labels_is_silent():
    model = mlp()
    data = [(torch.ones(32, 8), torch.randn(32, 4)) for _ in range(40)]
    doctor = train(model, sgd(model, lr=0.01), data=data, loss=F.mse_loss)
    assert not found(doctor, "constant-input")
