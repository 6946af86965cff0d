"""Training held against validation: preprocessing, leaks, shifts, and what only looks like it."""

import pytest
import torch

from netwright.doctor.data.comparing import kolmogorov_smirnov, smirnov_bound
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.splits import Splits

from .conftest import alarms, found_in, images, looked_at, tables


def both(train=600, val=300, **more):
    return images(train, **more), images(val, seed=1, **more)


# --- preprocessing -------------------------------------------------------------------------------


def test_two_halves_of_one_set_are_silent():
    (x, y), val = both()
    assert found_in(looked_at(x, y, val)) == {}


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (lambda x: x * 255, "are of 0 to 2"),
        (lambda x: (x - 0.2) / 0.2, "are of -1"),
        (lambda x: 1 - x, "the negative of training images"),
    ],
)
def test_another_transform_in_validation_is_named_with_its_counterfactual(way, said):
    (x, y), (vx, vy) = both()
    found = found_in(looked_at(x, y, (way(vx), vy)))["inconsistent-preprocessing"]
    assert said in str(found.what)
    # Bars are bars after a shift, to a simple model: then the run must show the harm.
    assert found.severity != "note" or said == "are of -1"


def test_inverted_images_cost_the_score_and_are_an_alarm():
    (x, y), (vx, vy) = both()
    record = looked_at(x, y, (1 - vx, vy))
    assert record.get(Splits).aligned_by == "inverted"
    assert record.get(Splits).score_aligned > record.get(Splits).score + 0.5
    assert alarms(record) == ["inconsistent-preprocessing"]


def test_channels_in_another_order_are_named():
    (x, y), (vx, vy) = both(channels=3)
    record = looked_at(x, y, (vx.flip(1), vy))
    assert record.get(Splits).channel_order == (2, 1, 0)
    found = found_in(record)["inconsistent-preprocessing"]
    assert found.treatments[0].code == "val_x = val_x[:, [2, 1, 0]]"


def test_tables_standardised_in_training_alone_are_found_and_the_run_tells_the_harm():
    (x, y), (vx, vy) = tables(600), tables(300, seed=1)
    record = looked_at(x, y, (vx * 30 + 100, vy))
    gap = Epochs(epochs=(EpochFact(epoch=1, step=19, train_score=0.95, val_score=0.5),))
    assert found_in(record.with_facts(gap))["inconsistent-preprocessing"].severity != "note"


def test_augmented_training_images_are_silent():
    (x, y), val = both()
    draws = torch.Generator().manual_seed(3)
    shift = torch.randint(-1, 2, (len(x),), generator=draws).tolist()
    x = torch.stack([each.roll(by, 1) for each, by in zip(x, shift, strict=True)])
    x = x * (0.8 + 0.4 * torch.rand((len(x), 1, 1, 1), generator=draws))  # brightness
    mixed = 0.8 * x + 0.2 * x[torch.randperm(len(x), generator=draws)]  # mixup
    assert alarms(looked_at(mixed, y, val)) == []


def test_some_features_that_moved_with_time_are_a_shift_and_no_preprocessing():
    (x, y), (vx, vy) = tables(600), tables(300, seed=1)
    vx[:, 9] += 6
    found = found_in(looked_at(x, y, (vx, vy)))
    assert "inconsistent-preprocessing" not in found
    assert found["distribution-shift"].severity == "note"
    assert found["distribution-shift"].evidence[0].value > 0.9


# --- leaks and copies ----------------------------------------------------------------------------


def test_validation_out_of_the_training_data_is_listed():
    draws = torch.Generator().manual_seed(0)
    x = torch.randn((800, 12), generator=draws)
    y = (x[:, 0] + 1.5 * torch.randn(800, generator=draws) > 0).long()  # hard for neighbours
    val = (torch.cat((x[100:150], x[600:])), torch.cat((y[100:150], y[600:])))
    found = found_in(looked_at(x[:600], y[:600], val))["split-leakage"]
    assert found.severity == "warn"
    assert "50 of 250" in str(found.what)
    assert "0:100, 1:101" in str(found.treatments[0].why)


def test_near_copies_are_found_by_their_distance():
    draws = torch.Generator().manual_seed(0)
    x = torch.randn((600, 12), generator=draws)
    y = (x[:, 0] + 1.5 * torch.randn(600, generator=draws) > 0).long()
    val = (x[:300] + 1e-3 * torch.randn((300, 12), generator=draws), y[:300])
    assert found_in(looked_at(x, y, val))["split-leakage"].severity == "warn"


def test_overlapping_windows_of_a_series_split_at_random_are_silent():
    t = torch.arange(1300.0)
    wave = (t / 9).sin() + 0.3 * (t / 2.3).sin() + 0.05 * torch.randn(1300)
    windows = wave.unfold(0, 24, 1)
    y = (windows[:, -1] > 0).long()
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))
    windows, y = windows[order], y[order]
    record = looked_at(windows[:900], y[:900], (windows[900:], y[900:]))
    assert "split-leakage" not in found_in(record)
    assert alarms(record) == []


def test_tables_of_few_values_share_rows_by_nature():
    draws = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (900, 4), generator=draws).float()
    y = (x.sum(1) > 4).long()
    found = found_in(looked_at(x[:600], y[:600], (x[600:], y[600:])))
    assert "split-leakage" not in found
    assert "duplicate-samples" not in found


def test_copies_within_training_are_a_note_with_their_pairs():
    x, y = images(400)
    x[300:], y[300:] = x[:100], y[:100]
    found = found_in(looked_at(x, y))["duplicate-samples"]
    assert (found.severity, found.evidence[0].value) == ("note", 0.25)
    assert "0=300" in str(found.treatments[0].why)


# --- shifts --------------------------------------------------------------------------------------


def test_classes_that_training_lacks_are_warned_of():
    (x, y), val = both()
    there = y != 3
    found = found_in(looked_at(x[there], y[there], val))["distribution-shift"]
    assert found.severity == "warn"
    assert "Classes 3 are" in str(found.what)


def test_a_balanced_test_of_an_unbalanced_set_is_a_note_at_most():
    (x, y), val = both(train=1200)
    kept = (y == 0) | (torch.rand(1200, generator=torch.Generator().manual_seed(0)) < 0.2)
    assert alarms(looked_at(x[kept], y[kept], val)) == []


def test_the_distance_of_distributions_is_that_of_a_slow_count():
    draws = torch.Generator().manual_seed(0)
    a, b = torch.randn((50, 2), generator=draws), torch.randn((40, 2), generator=draws) + 0.5
    slow = [
        max(
            abs(float((a[:, k] <= v).double().mean()) - float((b[:, k] <= v).double().mean()))
            for v in torch.cat((a[:, k], b[:, k]))
        )
        for k in range(2)
    ]
    assert kolmogorov_smirnov(a.numpy(), b.numpy()) == pytest.approx(slow)
    assert smirnov_bound(1000, 1000, 1) == pytest.approx(0.0872, abs=1e-3)


# --- size ----------------------------------------------------------------------------------------


def test_fifty_validation_samples_tell_little():
    (x, y), (vx, vy) = both()
    found = found_in(looked_at(x, y, (vx[:50], vy[:50])))["validation-too-small"]
    assert found.evidence[0].value == pytest.approx(0.139, abs=0.001)  # 1.96 sqrt(1 / (4 x 50))


@pytest.mark.parametrize(("last", "said"), [(0.62, True), (0.9, False)])
def test_epochs_that_differ_by_less_than_the_interval_are_told(last, said):
    scores = (0.6, 0.61, 0.62, 0.6, 0.61, 0.61) if last < 0.7 else (0.3, 0.5, 0.6, 0.6, 0.6, last)
    epochs = Epochs(
        epochs=tuple(
            EpochFact(epoch=n, step=n * 10, val_score=each, val_samples=200)
            for n, each in enumerate(scores)
        )
    )
    x, y = images(200)
    found = found_in(looked_at(x, y).with_facts(epochs))
    assert ("validation-too-small" in found) == said
