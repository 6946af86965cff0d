"""Splits that lie apart, and feeds in an order: more witnesses, each with what it must leave."""

import dataclasses

import pytest
import torch

from netwright.doctor.conditions.distribution_shift import distribution_shift
from netwright.doctor.conditions.inconsistent_preprocessing import inconsistent_preprocessing
from netwright.doctor.conditions.stuck_data_feed import stuck_data_feed
from netwright.doctor.conditions.unshuffled_data import unshuffled_data
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.feed import Feed
from netwright.records.facts.passing import Passing
from netwright.records.facts.splits import Splits
from netwright.records.record import Record

from .conftest import found_in, images, looked_at
from .test_harm import record_of

BEHIND = record_of([1.0, 0.2, 0.01, 0.0], [1.0, 0.8, 0.8, 0.9])
"""A run that is far behind in validation."""

WELL = record_of([1.0, 0.2, 0.1, 0.1], [1.0, 0.3, 0.15, 0.12])


def waves(samples, seed):
    """Two channels that turn left or right, slowly or fast."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (samples,), generator=draws)
    speed = torch.tensor([0.4, -0.8])[y]
    angle = 6.28 * torch.rand(samples, generator=draws)[:, None] + speed[:, None] * torch.arange(16)
    x = torch.stack([angle.cos(), angle.sin()], 2)
    return x + 0.2 * torch.randn(x.shape, generator=draws), y


class Last(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.GRU(2, 8, batch_first=True)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


def test_series_that_are_read_backwards_in_validation_are_told_by_name():
    draws = torch.Generator().manual_seed(0)
    y = torch.randint(0, 2, (600,), generator=draws)
    at = torch.where(y == 1, 3, 9)[:, None] + torch.randint(0, 2, (600, 1), generator=draws)
    bump = torch.exp(-((torch.arange(16) - at) ** 2) / 4.0)
    x = torch.stack([bump, 0.2 * torch.randn((600, 16), generator=draws)], 2)
    record = looked_at(x[:400], y[:400], (x[400:].flip(1), y[400:]), model=Last())
    finding = found_in(record)["inconsistent-preprocessing"]
    assert finding.severity == "warn"
    assert "from last to first" in str(finding.what)


def test_series_that_are_read_alike_are_left():
    record = looked_at(*waves(400, 0), waves(200, 1), model=Last())
    assert "inconsistent-preprocessing" not in found_in(record)


def shifted(**more):
    facts = {"kind": "features", "train_samples": 500, "val_samples": 200, "complete": True,
             "auc": 0.5, "compared": 10, "shifted": 8, "worst_distance": 0.2,
             "distance_bound": 0.15, "neighbour_ratio": 2.6, **more}  # fmt: skip
    return Splits(**facts)


def test_noise_of_another_sensor_is_a_shift_where_validation_is_far_behind():
    (finding,) = distribution_shift(BEHIND.with_facts(shifted()))
    assert finding.severity == "warn"


@pytest.mark.parametrize(
    "more", [{"neighbour_ratio": 1.4}, {"shifted": 3}, {"repeats_within": 0.5}]
)
def test_a_gap_without_samples_that_lie_apart_is_no_shift(more):
    assert list(distribution_shift(BEHIND.with_facts(shifted(**more)))) == []


def test_samples_that_lie_apart_and_cost_nothing_are_a_note():
    (finding,) = distribution_shift(WELL.with_facts(shifted()))
    assert finding.severity == "note"


def test_near_copies_of_rows_with_numbers_are_found_by_what_they_foretell():
    draws = torch.Generator().manual_seed(0)
    x = torch.randn((500, 8), generator=draws)
    y = x[:, :1] * x[:, 1:2] + 0.3 * torch.randn((500, 1), generator=draws)
    near = x[:200] + 1e-3 * torch.randn((200, 8), generator=draws)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    loss = torch.nn.functional.mse_loss
    record = looked_at(x, y, (near, y[:200]), model=model, loss=loss)
    assert found_in(record)["split-leakage"].severity == "warn"
    record = looked_at(x[:300], y[:300], (x[300:], y[300:]), model=model, loss=loss)
    assert "split-leakage" not in found_in(record)


def at_door(gap):
    """What came to the model, where the loop does something to one of the two; as read all is
    well."""
    door = Splits(source="passing", kind="image", train_samples=256, val_samples=256,
                  auc=0.97, mean_gaps=(gap,), spread_ratios=(1.0,))  # fmt: skip
    read = dataclasses.replace(door, source="data", auc=0.5, mean_gaps=(0.0,))
    return [read, Passing(splits=door)]


def test_a_transform_in_the_loop_of_training_alone_is_seen_at_the_door():
    (finding,) = inconsistent_preprocessing(BEHIND.with_facts(*at_door(1.4)))
    assert finding.severity == "warn"


@pytest.mark.parametrize(("run", "gap"), [(WELL, 1.4), (BEHIND, 0.3)])
def test_an_augmentation_in_the_loop_is_left(run, gap):
    assert list(inconsistent_preprocessing(run.with_facts(*at_door(gap)))) == []


def in_turns(hits, *, within):
    """Evaluations of four classes with these right answers of 50, and batches of so little in
    them."""
    told = tuple(
        EpochFact(epoch=n + 1, step=20 * n, val_labels=(50,) * 4, val_hits=each)
        for n, each in enumerate(hits)
    )
    feed = Feed(batches=20, compared=20, classes=4, within_entropy=within, expected_entropy=1.37)
    return Record([Epochs(epochs=told), Passing(feed=feed)])


LOST = [(50, 0, 0, 0), (0, 50, 0, 1), (0, 0, 50, 0), (0, 2, 0, 50), (50, 0, 0, 0)]


@pytest.mark.parametrize(
    ("hits", "within", "count"),
    [
        (LOST, 0.3, 1),
        (LOST, 1.0, 1),  # two of the classes at a time
        (LOST, 1.36, 0),  # well mixed: something else is wrong
        ([(40, 35, 44, 41)] * 5, 0.3, 0),  # few classes a batch, and all are learned
    ],
)
def test_classes_that_are_fed_in_turns_and_never_answered(hits, within, count):
    assert len(list(unshuffled_data(in_turns(hits, within=within)))) == count


@pytest.mark.parametrize(
    ("again", "run", "severity"),
    [(150, BEHIND, "warn"), (150, WELL, "note"), (90, BEHIND, None)],
)
def test_batches_that_come_again_at_once(again, run, severity):
    passing = Passing(batches=180, told=180, distinct=180 - again, at_once=again, batch=32)
    found = [each.severity for each in stuck_data_feed(run.with_facts(passing))]
    assert found == ([severity] if severity else [])


def test_one_row_a_thousand_times_makes_no_table_of_few_values():
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn((600, 8), generator=draws), torch.randint(0, 2, (600,), generator=draws)
    x[50:], y[50:] = x[0], y[0]
    assert "duplicate-samples" in found_in(looked_at(x, y))
    few = torch.randint(0, 2, (600, 8), generator=draws).float()
    assert "duplicate-samples" not in found_in(looked_at(few, y))


def test_images_of_which_nearly_nothing_is_left_are_warned_of():
    x, y = images(400)
    bare = torch.zeros_like(x)
    bare[:, :, 0, 0] = (x[:, :, 0, 0] > 0.15).float()
    assert found_in(looked_at(bare, y))["constant-input"].severity == "warn"
    bare[:, :, 1, :] = x[:, :, 1, :]  # as little, and no two are equal
    assert "constant-input" not in found_in(looked_at(bare, y))
