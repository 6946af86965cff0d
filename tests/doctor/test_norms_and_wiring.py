"""Conditions on norms, and on what is stored or computed and not used."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.models import build


def head(*layers, width=8):
    return nn.Sequential(nn.Linear(20, width), *layers, nn.ReLU(), nn.Linear(width, 10))


# --- norms ---------------------------------------------------------------------------------------


def test_a_bias_before_batchnorm_is_dead_weight_and_a_note(diagnosed):
    (found,) = diagnosed(head(nn.BatchNorm1d(8)), (1, 20), of="bias-before-batchnorm")
    assert (found.severity, found.layers, found.evidence[0].value) == ("note", ("0",), 8)


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 8), nn.LayerNorm(8)])
def test_other_norms_leave_the_bias_something_to_do(diagnosed, norm):
    assert diagnosed(head(norm), (1, 20), of="bias-before-batchnorm") == []


def test_a_frozen_norm_does_not_subtract_the_mean(diagnosed):
    norm = nn.BatchNorm1d(8).requires_grad_(False)
    assert diagnosed(head(norm), (1, 20), of="bias-before-batchnorm") == []


def test_vgg_with_norms_has_thirteen_dead_biases(diagnosed):
    with torch.device("meta"):
        model = build("vgg16_bn", num_classes=1000, in_channels=3, input_size=(224, 224))
    (found,) = diagnosed(model, (1, 3, 224, 224), of="bias-before-batchnorm")
    assert found.evidence[0].value == 64 * 2 + 128 * 2 + 256 * 3 + 512 * 6


def test_batchnorm_on_the_output_is_seen_through_views(diagnosed):
    model = nn.Sequential(nn.Linear(20, 10), nn.BatchNorm1d(10), nn.Flatten())
    (found,) = diagnosed(model, (1, 20), of="batchnorm-on-output")
    assert found.layers == ("1",)
    assert diagnosed(head(nn.BatchNorm1d(8)), (1, 20), of="batchnorm-on-output") == []


def test_batchnorm_over_two_values_knows_only_signs(diagnosed):
    (found,) = diagnosed(
        head(nn.BatchNorm1d(8)), (2, 20), of="batchnorm-small-batch", training=True
    )
    assert (found.severity, found.evidence[0].value) == ("warn", 2)


def test_batchnorm_over_eight_values_is_noisy(diagnosed):
    (found,) = diagnosed(head(nn.BatchNorm1d(8)), (8, 20), of="batchnorm-small-batch")
    assert (found.severity, found.evidence[0].value) == ("note", 8)


@pytest.mark.parametrize("batch", [1, 16])
def test_one_sample_to_look_at_is_no_batch_to_train_with(diagnosed, batch):
    model = head(nn.BatchNorm1d(8))
    assert diagnosed(model, (batch, 20), of="batchnorm-small-batch") == []


def test_the_places_of_a_map_count_as_values(diagnosed):
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    assert diagnosed(model, (2, 3, 4, 4), of="batchnorm-small-batch", training=True) == []


@pytest.mark.parametrize("training", [False, True])
def test_dropout_before_batchnorm_is_found_through_layers(diagnosed, training):
    model = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(),
        nn.Linear(8, 10),
    )  # fmt: skip
    (found,) = diagnosed(model, (32, 20), of="dropout-before-batchnorm", training=training)
    assert (found.severity, found.layers) == ("note", ("2", "4"))
    assert found.evidence[1].value == 2  # 1 / (1 - 0.5)


@pytest.mark.parametrize("training", [False, True])
def test_a_dropout_that_leaves_nothing_out_is_none(diagnosed, training):
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.0), nn.BatchNorm1d(64))
    found = diagnosed(model, (32, 20), of="dropout-before-batchnorm", training=training)
    assert found == []


def test_dropout_behind_the_last_norm_is_fine(diagnosed):
    model = head(nn.BatchNorm1d(8), nn.Dropout())
    assert diagnosed(model, (1, 20), of="dropout-before-batchnorm") == []


# --- wiring --------------------------------------------------------------------------------------


class Forgotten(nn.Module):
    """A second branch is computed, and the first is returned."""

    def __init__(self, width=64):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(20, 64), nn.Linear(64, width), nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.a(x))
        F.relu(self.b(x))
        return self.c(x)


def test_a_branch_nobody_reads_is_warned_of(diagnosed):
    (found,) = diagnosed(Forgotten(), (1, 20), of="dead-branch")
    assert (found.severity, found.layers) == ("warn", ("b",))
    assert found.evidence[1].value == 64 * 64 + 64
    assert found.evidence[2].value == pytest.approx(4096 / (4096 + 1280 + 640))


def test_a_small_dead_branch_is_a_note(diagnosed):
    (found,) = diagnosed(Forgotten(width=2), (1, 20), of="dead-branch")
    assert found.severity == "note"


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(20, 10), nn.Linear(20, 10)

    def forward(self, x):
        return {"a": self.a(x), "b": [self.b(x), x]}


def test_every_output_counts_as_read(diagnosed):
    assert diagnosed(Several(), (1, 20), of="dead-branch") == []


class ThroughNumpy(nn.Module):
    """What the first layer makes leaves torch, and comes back as a tensor nobody knows."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(20, 10), nn.Linear(10, 10)

    def forward(self, x):
        return self.b(torch.from_numpy(2 * self.a(x).detach().numpy()))


class Gated(nn.Module):
    """The value of the first layer chooses, and nothing else reads it."""

    def __init__(self):
        super().__init__()
        self.gate, self.b = nn.Linear(20, 1), nn.Linear(20, 10)

    def forward(self, x):
        return self.b(x) if self.gate(x).sum().item() > 0 else self.b(-x)


@pytest.mark.parametrize("model", [ThroughNumpy(), Gated()], ids=["numpy", "gate"])
def test_what_python_code_reads_is_not_dead(diagnosed, model):
    assert diagnosed(model, (1, 20), of="dead-branch") == []


def test_heads_that_only_training_uses_are_noted_in_evaluation_and_not_in_training(diagnosed):
    """Their results are kept on an attribute: dead to the graph, so a note and never an alarm."""
    model = build("googlenet", num_classes=10, in_channels=3, input_size=(224, 224),
                  options={"aux": True})  # fmt: skip
    still = [each for each in diagnosed(model, (2, 3, 224, 224)) if each.group == "wiring"]
    assert [(each.name, each.severity) for each in still] == [("unused-parameters", "note")]
    busy = diagnosed(model, (2, 3, 224, 224), training=True)
    assert [e.severity for e in busy if e.name in ("unused-parameters", "dead-branch")] == ["note"]


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.idle = nn.Linear(20, 10), nn.Linear(20, 7)

    def forward(self, x):
        return self.a(x)


def test_a_layer_that_never_runs_is_noted(diagnosed):
    (found,) = diagnosed(Idle(), (1, 20), of="unused-parameters")
    assert (found.severity, found.layers, found.evidence[0].value) == ("note", ("idle",), 147)
    assert diagnosed(head(), (1, 20), of="unused-parameters") == []


def frozen(*indices):
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(),
                          nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))  # fmt: skip
    for index in indices:
        model[index].requires_grad_(False)
    return model


def test_a_layer_frozen_in_the_middle_is_noted(diagnosed):
    (found,) = diagnosed(frozen(2), (1, 20), of="frozen-parameters")
    assert (found.severity, found.layers) == ("note", ("2",))


@pytest.mark.parametrize("indices", [(), (0,), (0, 2), (0, 2, 4), (0, 2, 4, 6), (2, 4, 6)])
def test_a_frozen_front_and_a_network_mostly_frozen_are_on_purpose(diagnosed, indices):
    assert diagnosed(frozen(*indices), (1, 20), of="frozen-parameters") == []


def test_frozen_norms_are_on_purpose(diagnosed):
    model = head(nn.BatchNorm1d(8).requires_grad_(False))
    assert diagnosed(model, (1, 20), of="frozen-parameters") == []


def test_operations_without_a_rule_are_named(diagnosed):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvalsh(x @ x.T)

    (found,) = diagnosed(Odd(), (4, 4), of="unruled-operations")
    assert "eig" in str(found.what)
    assert found.severity == "note"
