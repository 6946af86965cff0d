"""Labels that do not belong to their inputs, and problems that are merely hard."""

import pytest
import torch

from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.passing import Passing

from .conftest import alarms, batches, found_in, images, looked_at, tables


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def overlapping(samples, seed=0, apart=2.5):
    """Two clouds of which a tenth lies on the other's side."""
    y = torch.randint(0, 2, (samples,), generator=draws(seed))
    x = torch.randn((samples, 8), generator=draws(seed + 9))
    x[:, 0] += apart * y.float()
    return x, y


# --- mapping -------------------------------------------------------------------------------------


def test_classes_numbered_anew_in_validation_stop_the_run_and_the_mapping_is_printed():
    (x, y), (vx, vy) = images(600), images(300, seed=1)
    order = torch.tensor([2, 0, 1, 3])
    found = found_in(looked_at(x, y, (vx, order[vy])))["labels-inconsistent"]
    assert found.severity == "stop"
    assert "0->1, 1->2, 2->0" in str(found.what)
    assert found.treatments[0].code == "mapping = {0: 1, 1: 2, 2: 0}"


def test_labels_shuffled_against_their_inputs_are_warned_of_where_validation_knows_better():
    (x, y), val = images(600), images(300, seed=1)
    mixed = y[torch.randperm(600, generator=draws())]
    assert alarms(looked_at(x, mixed, val)) == ["labels-inconsistent"]


def test_labels_that_neighbours_cannot_see_are_a_note():
    x = torch.randn((600, 16), generator=draws())
    found = found_in(looked_at(x, (x > 0).sum(1) % 2))  # parity of the signs
    assert found["labels-inconsistent"].severity == "note"


def test_neighbours_that_always_disagree_tell_as_much_as_those_that_agree():
    x = torch.randint(0, 2, (600, 16), generator=draws()).float()
    record = looked_at(x, (x.sum(1) % 2).long())
    assert record.get(Neighbourhood).z < -10
    assert found_in(record) == {}


def test_a_hard_problem_is_silent():
    assert found_in(looked_at(*overlapping(800, apart=1.0))) == {}


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_an_unbalanced_set_is_silent(share):
    x, y = images(800, classes=2)
    kept = (y == 0) | (torch.rand(800, generator=draws()) < share)
    assert found_in(looked_at(x[kept], y[kept])) == {}


# --- noise ---------------------------------------------------------------------------------------


def noisy(samples=800, share=0.15):
    x, y = images(samples)
    wrong = torch.rand(samples, generator=draws()) < share
    return x, torch.where(wrong, (y + 1) % 4, y), wrong


def test_wrong_labels_are_listed_and_nearly_all_that_are_listed_are_wrong():
    x, y, wrong = noisy()
    found = found_in(looked_at(x, y))["label-noise"]
    assert found.severity == "note"
    assert found.evidence[0].value == pytest.approx(0.15, abs=0.04)
    suspects = looked_at(x, y).get(Neighbourhood).suspects
    assert sum(bool(wrong[n]) for n, *_ in suspects) >= 0.95 * len(suspects)


def test_a_few_samples_that_carry_the_loss_make_it_a_warning():
    x, y, wrong = noisy()
    away = wrong.double().numpy()
    passing = Passing(
        loss=0.05 + 4 * away, step=0 * away + 90, row=away, label=away, likeliest=0 * away,
        confidence=0 * away + 0.97,
    )  # fmt: skip
    found = found_in(looked_at(x, y).with_facts(passing))["label-noise"]
    assert found.severity == "warn"
    assert found.evidence[-1].value > 0.9


def test_classes_that_overlap_are_no_noise():
    record = looked_at(*overlapping(1500))
    assert record.get(Neighbourhood).noise < 0.03
    assert "label-noise" not in found_in(record)


# --- augmentation --------------------------------------------------------------------------------


def test_augmentation_that_hides_the_label_is_found_against_the_plain_samples():
    (x, y), val = images(600), images(300, seed=1)
    by = torch.randint(0, 12, (600,), generator=draws()).tolist()
    hidden = torch.stack([each.roll(n, 1) for each, n in zip(x, by, strict=True)])
    record = looked_at(hidden, y, val, plain=batches(x, y, 32))
    low = Epochs(
        epochs=tuple(EpochFact(epoch=n, step=n, val_score=0.3) for n in range(1, 5)),
    )
    assert found_in(record)["destructive-augmentation"].severity == "note"
    assert "destructive-augmentation" in alarms(record.with_facts(low))


def test_augmentation_that_leaves_the_label_is_silent():
    (x, y), val = images(600), images(300, seed=1)
    flipped = torch.where(torch.rand((600, 1, 1, 1), generator=draws()) < 0.5, x.flip(2), x)
    assert found_in(looked_at(flipped, y, val, plain=batches(x, y, 32))) == {}


# --- one feature ---------------------------------------------------------------------------------


def test_a_column_computed_from_the_answer_is_noted():
    x, y = overlapping(600)
    x[:, 6] = y.float() * 3 + 0.1 * torch.randn(600, generator=draws(5))
    x = torch.cat((x, torch.randn((600, 4), generator=draws(6))), 1)
    found = found_in(looked_at(x, y))["shortcut"]
    assert found.severity == "note"
    assert "Feature 6 alone" in str(found.what)


def test_an_easy_problem_of_many_features_is_silent():
    assert "shortcut" not in found_in(looked_at(*images(600)))
    assert "shortcut" not in found_in(looked_at(*tables(600)))


# --- targets that are no classes -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["regression", "several", "masks", "none"])
def test_targets_that_are_no_classes_are_left_alone(kind):
    x, _ = images(400)
    target = {
        "regression": torch.rand(400, 1, generator=draws()),
        "several": torch.randint(0, 2, (400, 5), generator=draws()).float(),
        "masks": (x[:, 0] > 0.4).long(),
        "none": x,
    }[kind]
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1))

    def loss(output, target):
        return (output.mean() - target.float().mean()) ** 2

    record = looked_at(x, target, (x[:200] + 0.01, target[:200]), model=model, loss=loss)
    assert record.get(Neighbourhood) is None
    assert [n for n in alarms(record) if n != "split-leakage"] == []
