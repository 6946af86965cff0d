"""The data that judge: read alike in every run, and known again by what was read."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

from netwright.tasks.repair.hearing import MOST
from netwright.tasks.repair.judging_data import Read

COUNT = MOST + 500


def read(data, **options):
    """The digest of all that is read of some data, and how many samples that are."""
    hearing = SimpleNamespace(inputs=lambda x: x, targets=lambda y: y, pairs=[])
    reading = Read(DataLoader(data, batch_size=100, **options), hearing)
    count = sum(len(y) for _, y in reading)
    return reading.digest, count


def rows():
    return TensorDataset(torch.zeros(COUNT, 2), torch.arange(COUNT) % 7)


def test_the_same_rows_are_the_same_however_they_are_shuffled():
    assert read(rows()) == read(rows(), shuffle=True)
    assert read(rows())[1] == MOST


def test_rows_that_were_left_out_are_missed_even_where_enough_are_left():
    digest, _ = read(rows())
    fewer, count = read(Subset(rows(), range(COUNT - 1)))
    assert count == MOST
    assert fewer != digest


def test_other_labels_are_others():
    digest, _ = read(rows())
    assert read(TensorDataset(torch.zeros(COUNT, 2), torch.arange(COUNT) % 5))[0] != digest
