"""A record of data that was saved says the same when it is read back."""

import torch

from netwright.doctor.diagnosing import diagnose
from netwright.records.record import Record

from .conftest import OURS, images, looked_at
from .test_feed import by_class, train


def told(record):
    return [each.to_json() for each in diagnose(record) if each.name in OURS]


def test_a_saved_record_is_diagnosed_as_the_live_one(tmp_path):
    (x, y), (vx, vy) = images(400), images(200, seed=1)
    x[7, 0, 0, 0] = torch.nan
    record = looked_at(x * 255, y, (1 - vx, (vy + 1) % 4))
    record.save(tmp_path)
    assert told(Record.load(tmp_path)) == told(record)
    assert len(told(record)) >= 2


def test_so_is_one_of_what_passed_by(tmp_path):
    x, y = by_class(320)
    record = train(x, y, torch.arange(320), steps=20, val=x * 255)
    record.save(tmp_path)
    assert told(Record.load(tmp_path)) == told(record)
    assert {each["name"] for each in told(record)} >= {
        "unshuffled-data",
        "inconsistent-preprocessing",
    }
