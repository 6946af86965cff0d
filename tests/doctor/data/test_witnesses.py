"""Causes of data that show in the whole of it alone, and the harm that proves them."""

import numpy as np
import pytest
import torch

from netwright.doctor.conditions._validation import late_start
from netwright.doctor.data.additive import additive, column_order, ordered
from netwright.doctor.probes.feed import eighths
from netwright.doctor.watching.evaluation import recall_of
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.labels import Labels
from netwright.records.facts.loop import Loop
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.facts.splits import Splits
from netwright.records.facts.steps import Steps
from netwright.records.record import Record

from .conftest import alarms, found_in, images, looked_at, network


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def priced(samples, seed=0):
    """Eight features, of which five tell a price, each in its way."""
    x = torch.randn((samples, 8), generator=draws(seed))
    y = (2 * x[:, 0]).sin() + x[:, 1] - x[:, 2] ** 2 + x[:, 3].abs() + (x[:, 4] > 0).float()
    return x, (y + 0.1 * torch.randn(samples, generator=draws(seed + 9)))[:, None]


def of_prices(train, val, **more):
    model = network(train[0], 1)
    loss = torch.nn.functional.mse_loss
    return looked_at(*train, val, model=model, loss=loss, **more)


def run(train, val, scores=(), *, losses=None, guess=1.0, **more):
    """Epochs of 100 steps, with losses of training and validation, and what else is known."""
    epochs = tuple(
        EpochFact(
            epoch=n + 1, step=100 * (n + 1), train_loss=a, val_loss=b, val_loss_error=0.01,
            val_samples=300, train_score=score[0], val_score=score[1], **more,
        )
        for n, (a, b, score) in enumerate(
            zip(train, val, scores or [(None, None)] * len(train), strict=True)
        )
    )  # fmt: skip
    losses = np.repeat(np.asarray(train, dtype=float), 100) if losses is None else losses
    steps = Steps(step=np.arange(1.0, len(losses) + 1), loss=losses, total=len(losses))
    objective = Objective(
        kind="mse_loss", constant=guess, losses=(float(losses[0]),), target_shape=(64, 1)
    )
    return Epochs(epochs=epochs), steps, objective, Setup(model="", params=1, trainable=1, batch=64)


# --- columns -------------------------------------------------------------------------------------


def test_columns_of_validation_in_another_order_are_put_back():
    (x, y), (vx, vy) = priced(600), priced(300, seed=1)
    order = [3, 1, 0, 2, 7, 5, 6, 4]
    found = found_in(of_prices((x, y), (vx[:, order], vy)))["inconsistent-preprocessing"]
    assert found.severity == "warn"
    assert "2->0" in str(found.what)  # what training has in column 0 stands in column 2


@pytest.mark.parametrize("change", [lambda v: v, lambda v: v + 0.4, lambda v: 1.3 * v])
def test_columns_that_stand_well_are_left_whatever_else_moved(change):
    vx, vy = priced(300, seed=1)
    assert alarms(of_prices(priced(600), (change(vx), vy))) == []


def test_an_order_is_found_by_what_each_column_tells():
    x, y = (each.double().numpy() for each in priced(600))
    moved = [4, 0, 1, 2, 3, 5, 6, 7]
    found = ordered(additive(x, y), x[:, moved], y)
    assert [moved[each] for each in found[:5]] == [0, 1, 2, 3, 4]


def test_targets_that_no_single_feature_tells_give_no_order_to_speak_of():
    x = np.random.default_rng(0).standard_normal((600, 8))
    y = (x[:, :1] * x[:, 1:2] > 0).astype(float)
    assert column_order(x[:400], y[:400], x[400:], y[400:])["additive_within"] < 0.05


# --- noise ---------------------------------------------------------------------------------------

SCORED = [(0.3, 0.7), (0.5, 0.9), (0.6, 0.95), (0.62, 0.95), (0.65, 0.95)]
"""Of a network that is better in validation than in training."""


def test_labels_drawn_anew_contradict_with_every_class_alike_and_validation_knows_better():
    x, y = images(800)
    which = torch.rand(800, generator=draws(3)) < 0.4
    noisy = torch.where(which, torch.randint(0, 4, (800,), generator=draws(4)), y)
    record = looked_at(x, noisy, images(300, seed=1))
    epochs = run([1.2, 1.1, 1.0, 0.9, 0.9], [0.5, 0.3, 0.2, 0.2, 0.2], SCORED, guess=1.39)[0]
    found = found_in(record.with_facts(epochs))["label-noise"]
    assert found.severity == "warn"
    assert "label-noise" not in found_in(record)  # four classes that all touch look no other


def test_a_tenth_of_labels_drawn_anew_is_borne():
    x, y = images(800)
    which = torch.rand(800, generator=draws(3)) < 0.13
    noisy = torch.where(which, torch.randint(0, 4, (800,), generator=draws(4)), y)
    record = looked_at(x, noisy, images(300, seed=1))
    scores = [(0.5, 0.8), (0.8, 0.95), (0.88, 0.98), (0.88, 0.98), (0.88, 0.98)]
    epochs = run([1.2, 0.8, 0.5, 0.4, 0.4], [0.5, 0.3, 0.1, 0.1, 0.1], scores, guess=1.39)[0]
    assert found_in(record.with_facts(epochs))["label-noise"].severity == "note"


def test_classes_that_border_on_one_another_are_no_noise():
    """Six classes in a row, of which each overlaps with the next."""
    y = torch.randint(0, 6, (900,), generator=draws())
    x = torch.randn((900, 8), generator=draws(1))
    x[:, 0] += 1.2 * y.float()
    x[:, 1] += 1.2 * y.float()
    record = looked_at(x, y, model=network(x, 6))
    noise = record.get(Neighbourhood)
    assert noise.noise_spread > 2 * noise.noise_spread_bound
    epochs = run([1.2, 1.1, 1.0, 0.9, 0.9], [0.5, 0.3, 0.2, 0.2, 0.2], SCORED, guess=1.79)[0]
    assert "label-noise" not in found_in(record.with_facts(epochs))


def test_labels_that_nobody_can_tell_are_warned_of_once_the_network_cannot_either():
    x, y = images(600)
    vx, vy = images(300, seed=1)
    mixed, other = (each[torch.randperm(len(each), generator=draws(5))] for each in (y, vy))
    record = looked_at(x, mixed, (vx, other))
    assert found_in(record)["labels-inconsistent"].severity == "note"
    failed = run([1.39] * 4, [1.5] * 4, guess=1.39)
    assert found_in(record.with_facts(*failed))["labels-inconsistent"].severity == "warn"
    learned = run([1.39, 0.5, 0.1, 0.1], [1.4, 0.6, 0.2, 0.2], guess=1.39)
    assert found_in(record.with_facts(*learned))["labels-inconsistent"].severity == "note"


# --- classes -------------------------------------------------------------------------------------


def imbalanced(hits):
    labels = Labels(
        source="train", values=(0, 1, 2), counts=(500, 480, 12), classes=3, batch=64, complete=True
    )
    facts = run([1.0] * 4, [1.0] * 4, val_labels=(150, 140, 8), val_hits=hits)
    return Record([labels, *facts])


def severity(record, name):
    from netwright.doctor.diagnosing import diagnose

    return {each.name: each.severity for each in diagnose(record)}.get(name)


def test_rare_classes_that_validation_seldom_recognises_are_warned_of():
    assert severity(imbalanced((148, 139, 1)), "class-imbalance") == "warn"


def test_rare_classes_that_are_recognised_like_the_others_are_a_note():
    assert severity(imbalanced((148, 139, 7)), "class-imbalance") == "note"


def test_rare_grades_between_others_that_overlap_are_a_note():
    """Where the frequent classes are not told apart either, the best answer is a frequent one."""
    assert severity(imbalanced((110, 95, 1)), "class-imbalance") == "note"
    assert severity(imbalanced((130, 119, 0)), "class-imbalance") == "warn"
    apart = Neighbourhood(classes=3, samples=900, agreement=0.97)
    assert severity(imbalanced((110, 95, 0)).with_facts(apart), "class-imbalance") == "warn"


def test_a_class_that_the_set_does_not_have_is_not_a_rare_one():
    labels = Labels(
        source="train", values=(0, 1), counts=(500, 480), classes=3, batch=64, complete=True
    )
    assert severity(Record([labels]), "class-imbalance") is None


def test_the_recall_of_each_class_is_counted_from_what_a_loss_is_given():
    scores = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    found = recall_of("cross_entropy", (scores, torch.tensor([0, 1, 1])), {})
    assert found.tolist() == [[1, 2], [1, 1]]
    one = recall_of(
        "binary_cross_entropy_with_logits", (scores[:, :1] - 1, torch.tensor([[1.0], [1], [0]])), {}
    )
    assert one.tolist() == [[1, 2], [0, 1]]
    assert recall_of("mse_loss", (scores, scores), {}) is None


# --- the order of a regression -------------------------------------------------------------------


def test_a_table_sorted_by_its_target_and_fed_so_is_warned_of():
    x, y = priced(800)
    order = y[:, 0].argsort()
    found = found_in(of_prices((x[order], y[order]), None))["unshuffled-data"]
    assert found.severity == "warn"
    assert "order of their targets" in str(found.what)


def test_a_series_whose_target_drifts_to_and_fro_is_none():
    time = torch.arange(800)
    x = torch.randn((800, 8), generator=draws())
    y = (time / 40).sin()[:, None] + 0.1 * x[:, :1]
    assert "unshuffled-data" not in found_in(of_prices((x, y), None))
    assert "unshuffled-data" not in found_in(of_prices(priced(800), None))


def test_eighths_are_of_equal_counts():
    assert np.bincount(eighths(np.random.default_rng(0).standard_normal(800))).tolist() == [100] * 8


# --- beyond --------------------------------------------------------------------------------------


def test_validation_beyond_all_of_training_is_warned_of_where_the_network_is_far_behind():
    x, y = priced(900)
    kept = x[:, 0] < 0
    facts = run([1.0, 0.2, 0.02, 0.02], [1.0, 0.8, 0.7, 0.7])
    half = of_prices((x[kept], y[kept]), priced(300, seed=1)).with_facts(*facts)
    assert found_in(half)["distribution-shift"].severity == "warn"
    whole = of_prices((x, y), priced(300, seed=1)).with_facts(*facts)
    assert whole.get(Splits).beyond_share < 0.02
    assert "distribution-shift" not in found_in(whole)


def test_the_same_few_sentences_over_and_over_are_told_and_short_ones_are_not():
    from netwright.records.facts.inputs import Inputs

    def of(repeats):
        facts = run([1.0, 0.1, 0.01, 0.01], [1.0, 0.9, 0.9, 0.9])
        told = Inputs(
            kind="tokens", shape=(12,), dtype="int64", samples=1000, total=1000, numbers=12,
            distinct=1000 - repeats, repeats=repeats,
        )  # fmt: skip
        return severity(Record([told, *facts]), "duplicate-samples")

    assert of(900) == "warn"
    assert of(200) is None


# --- augmentation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "warned"),
    [
        ([0.5, 0.7, 0.75, 0.76, 0.76, 0.76, 0.77, 0.77], True),  # came to rest under neighbours
        ([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9], False),  # still rising
        ([0.5, 0.7, 0.9, 0.95, 0.96, 0.97, 0.97, 0.97], False),  # as good as neighbours
    ],
)
def test_an_augmentation_that_hides_much_does_harm_where_neighbours_answer_better(scores, warned):
    labels = Neighbourhood(
        classes=4, samples=1000, agreement=0.95, chance=0.25, z=80.0, fed_samples=64,
        fed_score=0.5, read_score=0.97,
    )  # fmt: skip
    epochs = run([1.0] * 8, [1.0] * 8, [(0.5, each) for each in scores])[0]
    found = severity(Record([labels, epochs]), "destructive-augmentation")
    assert found == ("warn" if warned else None)


# --- the start -----------------------------------------------------------------------------------


def test_a_run_that_was_short_and_is_over_may_have_started_late_as_well():
    losses = np.linspace(9.0, 1.5, 36)
    _, steps, objective, setup = run([9.0], [9.0], losses=losses, guess=2.3)
    facts = [steps, objective, setup]
    assert late_start(Record([*facts, Loop(steps=36)])) is None
    assert late_start(Record([*facts, Loop(steps=36, ended=True)])) is not None


# --- flips and turns -----------------------------------------------------------------------------


def test_validation_images_with_width_before_height_are_told_by_name():
    vx, vy = images(300, seed=1)
    found = found_in(looked_at(*images(600), (vx.transpose(-1, -2), vy)))
    assert found["inconsistent-preprocessing"].severity in ("warn", "stop")
    assert "rows and columns exchanged" in str(found["inconsistent-preprocessing"].what)


def test_validation_images_that_lie_as_those_of_training_are_left():
    assert looked_at(*images(600), images(300, seed=1)).get(Splits).turned == ""


def test_an_order_of_columns_that_is_a_little_better_is_chance_and_one_that_misleads_is_none():
    def order(stands, aligned):
        splits = Splits(
            source="data", auc=0.5, feature_order=(1, 2, 0), additive_within=0.15,
            additive_score=stands, additive_aligned=aligned,
        )  # fmt: skip
        return severity(Record([splits]), "inconsistent-preprocessing")

    assert order(-0.02, 0.11) is None
    assert order(-0.14, 0.14) == "warn"
