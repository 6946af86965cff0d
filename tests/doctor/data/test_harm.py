"""What validation and the whole run say of harm, and the faults of data that it is held against."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._validation import (
    far_behind,
    guessing,
    late_start,
    little_learned,
    worse_than_guessing,
)
from netwright.doctor.watch import watch
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.labels import Labels
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.record import Record
from netwright.testing.contracts import check_finding

from .conftest import images, network, tables


def record_of(train, val, *, losses=None, guess=1.0, error=0.01, special=""):
    """A run of as many epochs as `train` has, of 50 steps each unless `losses` are given."""
    epochs = tuple(
        EpochFact(epoch=n + 1, step=50 * n, train_loss=a, val_loss=b, val_loss_error=error)
        for n, (a, b) in enumerate(zip(train, val, strict=True))
    )
    losses = np.repeat(np.asarray(train, dtype=float), 50) if losses is None else losses
    steps = Steps(step=np.arange(1.0, len(losses) + 1), loss=losses, total=len(losses))
    objective = Objective(
        kind="mse_loss", constant=guess, losses=(float(losses[0]),), target_shape=(64, 1)
    )
    setup = Setup(model="", params=1, trainable=1, batch=64, special=special)
    return Record([Epochs(epochs=epochs), steps, objective, setup])


# --- the witnesses -------------------------------------------------------------------------------


def test_validation_far_behind_training_is_a_part_of_what_guessing_costs():
    found = far_behind(record_of([1.0, 0.2, 0.01, 0.0], [1.0, 0.5, 0.5, 0.5]))
    assert found.value == pytest.approx(0.495)


@pytest.mark.parametrize(
    ("train", "val", "error"),
    [
        ([0.9, 0.2, 0.1, 0.05], [0.9, 0.3, 0.2, 0.17], 0.01),  # a small gap
        ([0.9, 0.6, 0.5, 0.45], [0.9, 0.9, 0.85, 0.85], 0.01),  # a hard task, both are high
        ([0.9, 0.1, 0.0, 0.0], [0.9, 0.4, 0.4, 0.4], 0.2),  # within its error
        ([0.5, 0.0], [0.9, 0.9], 0.01),  # at the beginning
    ],
)
def test_gaps_of_healthy_runs_are_no_harm(train, val, error):
    assert far_behind(record_of(train, val, error=error)) is None


def test_a_game_has_no_gap():
    assert far_behind(record_of([0.0] * 4, [0.9] * 4, special="adversarial")) is None


def test_worse_than_guessing_needs_a_training_that_has_learned():
    assert worse_than_guessing(record_of([1.0, 0.2, 0.1], [1.5, 1.6, 1.7])) is not None
    assert worse_than_guessing(record_of([1.0, 0.9, 0.9], [1.5, 1.6, 1.7])) is None


def test_little_learned_is_at_rest():
    flat = np.concatenate((np.linspace(1, 0.7, 100), np.full(300, 0.7)))
    falling = np.linspace(1, 0.55, 400)
    assert little_learned(record_of([0.7] * 4, [0.7] * 4, losses=flat)).value == 0.7
    assert little_learned(record_of([0.7] * 4, [0.7] * 4, losses=falling)) is None


def test_a_start_far_above_guessing_is_late_only_where_it_takes_long():
    slow = np.concatenate((np.linspace(40, 1.1, 150), np.full(250, 0.3)))
    quick = np.concatenate((np.linspace(40, 1.1, 10), np.full(390, 0.3)))
    assert late_start(record_of([1.0] * 4, [1.0] * 4, losses=slow)).value == pytest.approx(0.4, 0.2)
    assert late_start(record_of([1.0] * 4, [1.0] * 4, losses=quick)) is None


def test_guessing_is_over_all_labels_where_they_were_read():
    record = record_of([2.0] * 4, [2.0] * 4, guess=0.0)
    labels = Labels(source="train", values=(0, 1), counts=(50, 50), complete=True)
    objective = Objective(kind="cross_entropy", constant=0.0, losses=(2.0,), target_shape=(64,))
    assert guessing(record.with_facts(labels, objective)) == pytest.approx(np.log(2))


# --- real loops ----------------------------------------------------------------------------------


def trained(x, y, val, *, model=None, epochs=6, batch=16, shuffle=True, lr=0.05, **more):
    """A tutorial's loop with its validation, watched."""
    loss_fn, right = more.get("loss", F.cross_entropy), more.get("right", hits)
    torch.manual_seed(0)
    model = network(x, int(y.max()) + 1) if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    drop = more.get("drop_last", False)
    loader = DataLoader(TensorDataset(x, y), batch, shuffle=shuffle, drop_last=drop)
    judge = DataLoader(TensorDataset(*val), more.get("judged", 32))
    with watch(model, optimizer, every=5) as doctor:
        for _ in range(epochs):
            model.train()
            for a, b in loader:
                a = more["augment"](a) if "augment" in more else a
                if more.get("first"):
                    a, b = x[:batch], y[:batch]
                optimizer.zero_grad()
                loss_fn(model(a), b).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for a, b in judge:
                    output = model(a)
                    loss_fn(output, b).item()
                    right(output, b).item()
    assert doctor.watcher.fault == ""
    return doctor.diagnosis()


def hits(output, target):
    return (output.argmax(1) == target).sum()


def warned(diagnosis):
    for each in diagnosis.findings:
        check_finding(CONDITIONS.get(each.name), each)
    return [each.name for each in diagnosis.at_least("warn")]


def noisy(samples, seed):
    x, y = images(samples, seed=seed)
    draws = torch.Generator().manual_seed(100 + seed)
    return x + 1.5 * torch.randn(x.shape, generator=draws), y


def test_a_healthy_loop_with_its_validation_is_silent():
    assert warned(trained(*images(320), images(160, seed=1))) == []


def test_a_loop_that_always_takes_the_first_batch_is_warned_of():
    found = trained(*noisy(640, 0), noisy(160, 1), first=True, epochs=8)
    assert warned(found)[0] == "stuck-data-feed"


def test_a_set_of_copies_that_is_learned_by_heart_is_warned_of():
    x, y = noisy(20, 0)
    found = trained(x.repeat(16, 1, 1, 1), y.repeat(16), noisy(160, 1), epochs=8)
    assert warned(found)[0] == "duplicate-samples"


def test_copies_that_cost_nothing_are_a_note():
    x, y = images(80)
    found = trained(x.repeat(4, 1, 1, 1), y.repeat(4), images(160, seed=1))
    assert found.named("duplicate-samples").severity == "note"
    assert warned(found) == []


def test_a_wide_network_that_knows_few_samples_by_heart_is_warned_of():
    x, y = noisy(40, 0)
    found = trained(x, y, noisy(160, 1), epochs=60)
    assert "too-much-capacity" in warned(found) or "overfitting" in warned(found)


def test_a_loader_without_a_batch_is_told_though_no_step_was_taken():
    found = trained(*images(12), images(64, seed=1), drop_last=True, epochs=2)
    assert found.named("stuck-data-feed").severity == "stop"


def test_a_class_a_batch_in_order_is_found_where_nothing_is_learned():
    x, y = noisy(640, 0)
    order = y.argsort(stable=True)
    found = trained(x[order], y[order], noisy(160, 1), batch=64, shuffle=False, epochs=5)
    assert "unshuffled-data" in warned(found)


def test_an_argmax_along_the_batch_is_proved_by_the_loss_of_the_same_samples():
    found = trained(
        *images(320), images(160, seed=1), judged=4, right=lambda o, y: (o.argmax(0) == y).sum()
    )
    assert warned(found) == ["metric-misread"]
    assert "axis 0" in str(found.named("metric-misread").what)


def test_scores_of_a_part_of_the_samples_are_not_compared_with_the_loss_of_all():
    def of_class_0(output, target):
        return (output.argmax(1)[target == 0] == 1).sum()

    assert "metric-misread" not in warned(
        trained(*images(320), images(160, seed=1), right=of_class_0)
    )


@pytest.mark.parametrize("harmful", [True, False])
def test_augmentation_in_the_loop_is_held_against_the_data_and_the_validation(harmful):
    def hidden(x):
        by = torch.randint(0, 12, (len(x),)).tolist() if harmful else [0] * len(x)
        return torch.stack([each.roll((n, 1), (1, 2)) for each, n in zip(x, by, strict=True)])

    found = trained(*images(640), images(160, seed=1), augment=hidden, batch=32)
    assert ("destructive-augmentation" in warned(found)) is harmful


def test_a_run_that_is_over_before_it_went_anywhere_is_warned_of():
    found = trained(*images(640), images(160, seed=1), lr=2e-5, epochs=2)
    names = warned(found)
    assert {"slow-convergence", "learning-rate-too-low"} & set(names)


def test_a_norm_without_gamma_on_the_logits_has_a_floor():
    x, y = tables(320)
    layers = [nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 2), nn.BatchNorm1d(2, affine=False)]
    found = trained(x, y, tables(160, seed=1), model=nn.Sequential(*layers))
    assert found.named("batchnorm-on-output").severity == "warn"
    layers[-1] = nn.BatchNorm1d(2)
    again = trained(x, y, tables(160, seed=1), model=nn.Sequential(*layers))
    assert "batchnorm-on-output" not in warned(again)


def test_one_column_that_the_network_goes_by_alone_is_warned_of():
    def marked(samples, seed):
        x, y = tables(samples, seed=seed)
        x[:, 11] = 12 * y - 6.0
        return x, y

    found = trained(*marked(600, 0), marked(160, 1), lr=0.1, batch=64)
    assert warned(found) == ["shortcut"]


def test_a_dozen_samples_to_judge_by_are_warned_of_once_they_were_used():
    (x, y), (vx, vy) = tables(640), tables(12, seed=1)
    vy = torch.where(torch.arange(12) < 3, 1 - vy, vy)  # a score that is not all right
    assert "validation-too-small" in warned(trained(x, y, (vx, vy)))


# --- regressions ---------------------------------------------------------------------------------


def numbers(samples, seed, columns=2):
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn((samples, 6), generator=draws)
    return x, torch.stack([x[:, n] + x[:, n + 1].abs() for n in range(columns)], 1)


def regressed(change, *, inputs=lambda x: x):
    def part(samples, seed):
        x, y = numbers(samples, seed)
        return inputs(x), change(y)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    (x, y), val = part(640, 0), part(160, 1)
    loader = DataLoader(TensorDataset(x, y), 32, shuffle=True)
    with watch(model, optimizer, every=5) as doctor:
        for _ in range(16):
            for a, b in loader:
                optimizer.zero_grad()
                F.mse_loss(model(a), b).backward()
                optimizer.step()
            with torch.no_grad():
                F.mse_loss(model(val[0]), val[1]).item()
    return doctor.diagnosis()


@pytest.mark.parametrize(
    "change", [lambda y: 2000 * y + 5000, lambda y: y * torch.tensor([1e3, 1])]
)
def test_targets_in_other_units_are_tried_standardised(change):
    found = regressed(change).named("unscaled-target")
    assert found.severity == "warn"
    assert "against standardised targets" in "".join(str(e.sentence) for e in found.evidence)


def test_targets_of_the_size_of_the_outputs_are_silent():
    assert warned(regressed(lambda y: y)) == []


def test_columns_that_a_join_left_empty_are_warned_of_where_the_loss_rests_high():
    def emptied(x):
        x = x.clone()
        x[:, :3] = 0
        return x

    assert "dead-feature" in warned(regressed(lambda y: y, inputs=emptied))
