"""Inputs that are off the scale, constant, dead or not finite, and the healthy that look so."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.records.facts.first_layer import FirstLayer
from netwright.records.facts.inputs import Inputs

from .conftest import alarms, found_in, images, looked_at, network, tables

# --- scale ---------------------------------------------------------------------------------------


def test_images_of_0_to_255_are_warned_of_with_the_counterfactual():
    x, y = images(256)
    found = found_in(looked_at(x * 255, y))["unscaled-input"]
    assert found.severity in ("warn", "stop")
    assert found.evidence[0].value > 20
    assert "With the batch standardised" in str(found.counterfactual)
    assert found.treatments[0].grade == "safe"


def test_inputs_a_thousandth_of_their_size_are_warned_of():
    x, y = images(256)
    assert "unscaled-input" in alarms(looked_at(x / 1000, y, lr=0.01))


def test_one_feature_in_millions_is_warned_of_by_its_condition_number():
    x, y = tables(256)
    x[:, 7] = x[:, 7] * 1e6 + 3e6
    found = found_in(looked_at(x, y, size=64))["unscaled-input"]
    assert found.severity != "note"
    assert any("feature 7" in str(each.signal) for each in found.evidence)


@pytest.mark.parametrize("scale", [0.5, 1.0, 5.0])
def test_inputs_of_about_the_right_size_are_silent(scale):
    assert "unscaled-input" not in found_in(looked_at(*tables(256, spread=scale)))


class Divides(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x / 255)


@pytest.mark.parametrize("kind", ["divides", "norm first", "norm after", "loop divides"])
def test_images_of_0_to_255_that_somebody_scales_are_silent(kind):
    x, y = images(256)
    plain = network(x)
    model = {
        "divides": Divides(plain),
        "norm first": nn.Sequential(nn.BatchNorm2d(1), *plain),
        "norm after": nn.Sequential(plain[0], nn.BatchNorm2d(8), *plain[1:]),
        "loop divides": plain,
    }[kind]
    fed = (lambda x: x / 255) if kind == "loop divides" else (lambda x: x)
    assert "unscaled-input" not in found_in(looked_at(x * 255, y, model=model, fed=fed))


def test_one_hot_rows_of_a_thousand_columns_are_silent():
    draws = torch.Generator().manual_seed(0)
    words = torch.randint(0, 1000, (256,), generator=draws)
    x = F.one_hot(words, 1000).float()
    found = found_in(looked_at(x, words % 2, model=nn.Linear(1000, 2)))
    assert "unscaled-input" not in found
    assert "dead-feature" not in found


def test_an_embedding_has_no_scale_to_speak_of():
    x = torch.randint(0, 50, (256, 7), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Embedding(50, 4), nn.Flatten(), nn.Linear(28, 2))
    record = looked_at(x, x[:, 0] % 2, model=model)
    assert record.get(FirstLayer) is None
    assert found_in(record) == {}


def test_the_trial_leaves_no_trace():
    x, y = images(256)
    model = network(x)
    before = [each.clone() for each in model.state_dict().values()]
    state = torch.get_rng_state()
    record = looked_at(x * 255, y, model=model)
    assert record.get(FirstLayer).trial is not None
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert all(each.grad is None for each in model.parameters())


def test_the_design_value_is_what_white_noise_gives():
    x = torch.randn(4000, 12, generator=torch.Generator().manual_seed(0))
    first = looked_at(x, (x[:, 0] > 0).long(), size=4000).get(FirstLayer)
    assert first.ratio == pytest.approx(1, abs=0.03)


# --- constant, dead ------------------------------------------------------------------------------


def test_samples_that_are_all_the_same_stop_the_run():
    x, y = images(256)
    found = found_in(looked_at(x[:1].expand(256, -1, -1, -1), y))["constant-input"]
    assert found.severity == "stop"
    assert found.evidence[1].value == pytest.approx(1.386, abs=0.02)  # ln 4


def test_a_fixed_input_without_labels_is_no_alarm():
    x = torch.rand(1, 1, 12, 12).expand(16, -1, -1, -1).clone()
    y = torch.rand(16, 4)
    assert alarms(looked_at(x, y, model=network(x), loss=F.mse_loss)) == []


def test_a_column_dead_in_training_and_awake_in_validation_is_warned_of():
    (x, y), (vx, vy) = tables(400), tables(200, seed=1)
    x[:, 5] = 3.0
    found = found_in(looked_at(x, y, (vx, vy)))["dead-feature"]
    assert (found.severity, found.evidence[1].value) == ("warn", 1.0)
    assert "Features 5 have" in str(found.what)


def test_a_column_dead_everywhere_is_a_note():
    (x, y), (vx, vy) = tables(400), tables(200, seed=1)
    x[:, 5] = vx[:, 5] = 3.0
    assert found_in(looked_at(x, y, (vx, vy)))["dead-feature"].severity == "note"


def test_the_dark_border_of_images_is_silent():
    record = looked_at(*images(400), images(200, seed=1))
    assert record.get(Inputs).dead == 12
    assert found_in(record) == {}


# --- not finite ----------------------------------------------------------------------------------


def test_a_nan_in_the_first_batch_stops_the_run_and_names_the_sample():
    x, y = tables(256)
    x[17, 3] = torch.nan
    found = found_in(looked_at(x, y))["nonfinite-input"]
    assert found.severity == "stop"
    assert "samples 17 hold" in str(found.what)


def test_a_nan_far_down_in_the_data_is_tried_on_the_network():
    x, y = tables(2000)
    x[1789, 3] = torch.inf
    found = found_in(looked_at(x, y))["nonfinite-input"]
    assert (found.severity, found.evidence[-1].witness) == ("warn", "harm")
    assert "samples 1789 hold" in str(found.what)


class Fills(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.nan_to_num(0))


def test_missing_values_that_the_network_fills_are_a_note():
    x, y = tables(2000)
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.1] = torch.nan
    assert alarms(looked_at(x, y, model=Fills(network(x, 2)))) == []


def test_targets_that_are_missing_are_a_note_where_the_loss_masks_them():
    x, _ = tables(256)
    y = x[:, :1].clone()
    y[40] = torch.nan

    def masked(output, target):
        there = target.isfinite()
        return F.mse_loss(output[there], target[there])

    record = looked_at(x, y, model=nn.Linear(12, 1), loss=masked)
    assert found_in(record)["nonfinite-input"].severity == "note"
