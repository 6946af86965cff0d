"""Whether samples meet in the loop the labels that the data give them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.doctor.data.assignment import best_assignment
from netwright.doctor.data.reading import split_of
from netwright.doctor.data.split import Indices, Split
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.records.facts.fed_labels import FedLabels

FEWEST = 16
"""Samples of a batch that must be found in the data."""

DEALT = 20
MOST = 200
"""Classes above which no mapping is looked for."""


@PROBES.register("fed-labels", order=22, needs=("sample", "train"), cost="0F")
def fed_labels(patient: Patient) -> Iterator[FedLabels]:
    """The samples of the first batch are looked up in the training data, and the targets that the
    loss is given are held against those that stand there."""
    sample, split = patient.sample, split_of(patient, "train")
    if sample is None or split is None or patient.train is None or not sample.inputs:
        return
    target = sample.target if sample.target is not None else patient.workings.get("judged by")
    if target is None or not target.ndim or len(target) != sample.size:
        return
    _, kept = next(iter(patient.train.batches()), (None, None))
    if kept is None or kept.shape[1:] != target.shape[1:] or kept.dtype != target.dtype:
        return  # something that the loop made of them
    batch = Split("fed")
    batch.add(sample.inputs[0], target)
    where = _places(split)
    pairs = [(row, where[each]) for row, each in enumerate(batch.fingerprints) if each in where]
    if len(pairs) < FEWEST or batch.shape != split.shape:
        return
    rows, places = (np.array(each) for each in zip(*pairs, strict=True))
    if batch.labels is not None and split.labels is not None:
        yield from _classes(batch.labels[rows], split.labels[places])
    elif batch.numbers is not None and split.numbers is not None:
        yield from _numbers(batch.numbers[rows], split.numbers[places])


def _places(split: Split) -> dict[int, int]:
    """Where each sample stands that is there once."""
    where: dict[int, int] = {}
    twice: set[int] = set()
    for place, each in enumerate(split.fingerprints):
        if each in where:
            twice.add(each)
        where[each] = place
    return {each: place for each, place in where.items() if each not in twice}


def _classes(fed: Indices, known: Indices) -> Iterator[FedLabels]:
    distinct = np.unique(np.concatenate((fed, known)))
    if not 2 <= len(distinct) <= MOST or len(np.unique(known)) < 2:
        return
    codes = np.searchsorted(distinct, fed)
    draws = np.random.default_rng(0)
    chance = np.mean([_agreed(draws.permutation(codes), known, distinct) for _ in range(DEALT)])
    yield FedLabels(
        samples=len(fed), agreement=_agreed(codes, known, distinct), chance=float(chance)
    )


def _agreed(codes: Indices, known: Indices, distinct: Indices) -> float:
    table = np.zeros((len(distinct), len(distinct)))
    np.add.at(table, (codes, np.searchsorted(distinct, known)), 1)
    order = best_assignment(table)
    return float(table[np.arange(len(distinct)), list(order)].sum() / len(codes))


def _numbers(
    fed: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    known: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> Iterator[FedLabels]:
    if fed.shape != known.shape:
        return
    found = []
    for ours, theirs in zip(fed.T, known.T, strict=True):
        if ours.std() > 0 and theirs.std() > 0:
            # By their ranks: a logarithm is no other target.
            ranks = [each.argsort().argsort() for each in (ours, theirs)]
            found.append(abs(float(np.corrcoef(*ranks)[0, 1])))
    if found:
        yield FedLabels(samples=len(fed), numbers=True, agreement=float(np.mean(found)))
