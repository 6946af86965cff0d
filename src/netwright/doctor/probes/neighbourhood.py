"""What the labels have to do with the inputs, told by neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from netwright.doctor.data.assignment import best_assignment
from netwright.doctor.data.components import principal
from netwright.doctor.data.neighbours import against_chance, nearest, votes
from netwright.doctor.data.reading import read, split_of
from netwright.doctor.data.shrinking import Matrix
from netwright.doctor.data.split import Indices, Split
from netwright.doctor.data.stumps import OVERALL, alone, overall
from netwright.doctor.patient import Patient, Source
from netwright.doctor.probes import PROBES
from netwright.records.facts.neighbourhood import Neighbourhood

FED = 24
"""Samples of a batch from which on its neighbours are counted."""

SOLE = 0.9
"""Share of the labels that a feature names alone, from which on the others are asked without it."""

ALIKE = 0.5
"""Share of a batch that is in the data set bit for bit: then nothing was done to it."""

FEWEST = 60
"""Samples below which neighbours say little."""

NEIGHBOURS = 5
SURROUNDINGS = 20
"""Neighbours of a sample that tell what class its surroundings are of."""

PLAIN = 0.4
"""Seconds of reading the data without augmentation."""

CONTRADICTED = 40
"""Labels that contradict their surroundings, below which their spread says little."""

DEALT = 20
"""How often labels are dealt out anew."""

SUSPECTS = 50
"""Suspects that are listed."""


@PROBES.register("neighbourhood", order=21, needs=("train",), cost="0F")
def neighbourhood(patient: Patient) -> Iterator[Neighbourhood]:
    """Nearest neighbours on principal components of the samples that were read."""
    split = split_of(patient, "train")
    if split is None:
        return
    known = _labelled(split)
    if known is None:
        return
    rows, given = known
    if len(np.unique(given)) < 2:
        return
    facts = patient.of_data("neighbourhood", lambda: _around(patient, split, rows, given))
    yield Neighbourhood(**(facts | _as_fed(patient, split, rows, given)))


def _around(patient: Patient, split: Split, rows: Matrix, given: Indices) -> dict[str, Any]:
    """What the data alone tell."""
    scale = scale_of(rows, split)
    space = principal(rows / scale)
    placed = space.of(rows / scale)
    around = nearest(placed, placed, SURROUNDINGS, itself=True).index
    found, chance, z = against_chance(given, around[:, :NEIGHBOURS])
    facts: dict[str, Any] = {
        "classes": len(np.unique(given)),
        "samples": len(rows),
        "neighbours": NEIGHBOURS,
        "agreement": found,
        "chance": chance,
        "z": z,
        "majority": float(np.bincount(np.unique(given, return_inverse=True)[1]).max() / len(given)),
        **_noise(given, around, split.kept[given_places(split)]),
        "tokens": split.kind == "tokens",
        **(alone(rows, given) if split.kind != "tokens" else {}),
        "single_z": _single(rows, given),
    }
    if facts.get("alone_score", 0.0) >= SOLE:
        facts["rest_score"] = _without(rows, given, split, facts["alone"])
    elif split.kind != "tokens":
        facts |= _overall(rows, given, split)
    val = split_of(patient, "val")
    other = None if val is None else _labelled(val)
    if other is not None and other[0].shape[1] == rows.shape[1]:
        facts |= _across(placed, given, space.of(other[0] / scale), other[1])
    facts |= _plain(patient.train, min(PLAIN, patient.deadline.left))
    return facts


def _labelled(split: Split) -> tuple[Matrix, Indices] | None:
    """The kept samples that have a class, and their classes."""
    labels, rows = split.labels, split.counts if split.kind == "tokens" else split.features
    if labels is None or len(rows) < FEWEST:
        return None
    there = given_places(split)
    return rows[there], labels[split.kept][there]


def given_places(split: Split) -> Any:
    """Which of the kept samples have a label that is not negative (negative ones are ignored)."""
    labels = split.labels
    assert labels is not None
    return labels[split.kept] >= 0


def scale_of(rows: Matrix, split: Split) -> Matrix:
    """Features of tables are each taken at their own spread; pixels at one for all."""
    spread = rows.std(0)
    if split.kind == "features":
        return np.where(spread > 0, spread, 1.0)
    return np.full_like(spread, max(float(spread.mean()), 1e-12))


def _noise(labels: Indices, around: Indices, samples: Indices) -> dict[str, Any]:
    """How many labels contradict their surroundings where these are of one class.

    Which samples have pure surroundings is decided by their neighbours' labels, never by their
    own: where classes merely overlap, the purest part is hardly ever contradicted; wrong labels are
    everywhere.
    """
    distinct, codes = np.unique(labels, return_inverse=True)
    ballots = votes(codes, around, len(distinct))
    top, share = ballots.argmax(1), ballots.max(1) / around.shape[1]
    # Ties are broken by the place, so that the part is not chosen by the class.
    purest = np.argsort(-share, kind="stable")[: len(labels) // 4]
    against = purest[codes[purest] != top[purest]]
    rate, count = len(against) / len(purest), len(purest)
    return {
        **_spread(codes, top, len(distinct)),
        "noise": rate,
        "noise_least": _wilson_low(rate, count),
        "noise_samples": count,
        "purity": float(share[purest].mean()),
        "suspects": tuple(
            (int(samples[n]), int(labels[n]), int(distinct[top[n]]))
            for n in sorted(against.tolist())[:SUSPECTS]
        ),
    }


def _spread(codes: Indices, top: Indices, classes: int) -> dict[str, float]:
    """Where a class borders on another, contradictions are of these two; labels drawn at random
    contradict with every class alike."""
    against = codes != top
    total = int(against.sum())
    if classes < 4 or total < CONTRADICTED:
        return {}
    table = np.zeros((classes, classes))
    np.add.at(table, (top[against], codes[against]), 1)
    # Of those that contradict, by what other classes take part in contradictions as a whole.
    shares = np.bincount(codes, minlength=classes) / len(codes)
    chances = np.tile(shares, (classes, 1))
    np.fill_diagonal(chances, 0.0)
    sums = chances.sum(1, keepdims=True)
    expected = table.sum(1, keepdims=True) * chances / np.where(sums > 0, sums, 1.0)
    used = expected > 0
    freedom = int(used.sum()) - int((table.sum(1) > 0).sum())
    if freedom < 6:
        return {}
    chi = float((np.square(table - expected)[used] / expected[used]).sum())
    return {
        "noise_spread": chi / freedom,
        # Variance 2 / freedom, more where cells are expected to hold less than one.
        "noise_spread_bound": 1 + 4 * float(np.sqrt((2 + 1 / expected[used].mean()) / freedom)),
    }


def _wilson_low(rate: float, count: int, z: float = 1.96) -> float:
    """The lower end of Wilson's interval for a share.

    >>> round(_wilson_low(0.5, 100), 3)
    0.404
    """
    middle = rate + z * z / (2 * count)
    half = z * np.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count))
    return float((middle - half) / (1 + z * z / count))


def _single(rows: Matrix, labels: Indices) -> float | None:
    """How far the feature that differs most between the classes does so beyond chance: the largest
    share of a feature's variance that lies between classes, against the same with the labels dealt
    out anew. Among hundreds of columns of noise neighbours see nothing of one that tells."""
    spread = rows.std(0)
    there = spread > 0
    if not there.any():
        return None
    values = (rows[:, there] - rows[:, there].mean(0)) / spread[there]
    _, codes = np.unique(labels, return_inverse=True)
    counts = np.bincount(codes).astype(float)
    kinds = np.zeros((len(counts), len(codes)))

    def most(order: Indices) -> float:
        kinds[:] = 0.0
        kinds[order, np.arange(len(order))] = 1.0
        means = (kinds @ values) / counts[:, None]
        return float((counts[:, None] * np.square(means)).sum(0).max() / len(order))

    draws = np.random.default_rng(0)
    chance = np.array([most(draws.permutation(codes)) for _ in range(DEALT)])
    return float((most(codes) - chance.mean()) / max(float(chance.std()), 1e-12))


def _across(rows: Matrix, labels: Indices, queries: Matrix, truth: Indices) -> dict[str, Any]:
    """Validation named by training neighbours, as the labels stand and under the best mapping."""
    distinct, codes = np.unique(np.concatenate((labels, truth)), return_inverse=True)
    own, other = codes[: len(labels)], codes[len(labels) :]
    ballots = votes(own, nearest(queries, rows, NEIGHBOURS).index, len(distinct)).argmax(1)
    table = np.zeros((len(distinct), len(distinct)))
    np.add.at(table, (other, ballots), 1)
    order = best_assignment(table + 1e-6 * np.eye(len(distinct)))
    inside = nearest(queries, queries, NEIGHBOURS, itself=True).index
    agreement, _, z = against_chance(other, inside)
    present = np.unique(other)
    return {
        "val_samples": len(truth),
        "val_score": float(np.trace(table) / len(truth)),
        "val_assigned": float(table[np.arange(len(distinct)), list(order)].sum() / len(truth)),
        "val_chance": float(np.bincount(other).max() / len(truth)),
        "val_agreement": agreement,
        "val_z": z,
        "mapping": tuple(
            (int(distinct[row]), int(distinct[order[row]])) for row in present if order[row] != row
        ),
    }


def _without(rows: Matrix, given: Indices, split: Split, feature: int) -> float:
    """What neighbours tell without one feature."""
    others = np.delete(rows, feature, axis=1)
    others = others / scale_of(others, split)
    placed = principal(others).of(others)
    return _named(given, nearest(placed, placed, NEIGHBOURS, itself=True).index, given)


def _overall(rows: Matrix, given: Indices, split: Split) -> dict[str, Any]:
    """A number of the whole sample that explains nearly all labels, as its brightness, and what
    neighbours tell once every sample has the same."""
    found = overall(rows, given)
    if found.get("overall_score", 0.0) < SOLE:
        return {}
    sizes = OVERALL[found["overall"]](rows)
    if (sizes <= 0).any():
        return {}
    alike = rows / sizes[:, None]
    alike = alike / scale_of(alike, split)
    placed = principal(alike).of(alike)
    named = _named(given, nearest(placed, placed, NEIGHBOURS, itself=True).index, given)
    return {**found, "rest_score": named}


def _as_fed(patient: Patient, split: Split, rows: Matrix, given: Indices) -> dict[str, Any]:
    """The first batch as the model got it, named by the samples as they were read, itself among
    them: what an augmentation between the two leaves of what the labels are told by."""
    sample = patient.sample
    if sample is None or patient.train is None or not sample.inputs:
        return {}
    batch = Split("fed")
    batch.add(sample.inputs[0], sample.target)
    if batch.shape != split.shape or batch.kind != split.kind or batch.seen < FED:
        return {}
    if len(set(batch.fingerprints) & set(split.fingerprints)) > ALIKE * batch.seen:
        return {}
    fed, labels = batch.features, batch.labels
    if labels is None or fed.shape[1:] != rows.shape[1:] or not np.isfinite(fed).all():
        return {}
    labels = labels[batch.kept]
    fed = fed[labels >= 0]
    # Another scale alone is no augmentation: by channel of images, by feature of tables.
    before, after = _standardised(rows, split), _standardised(fed, split)
    space = principal(before)
    placed = space.of(before)
    around = nearest(space.of(after), placed, NEIGHBOURS).index
    inside = nearest(placed, placed, NEIGHBOURS, itself=True).index
    return {
        "fed_samples": len(fed),
        "fed_score": _named(given, around, labels[labels >= 0]),
        "read_score": _named(given, inside, given),
    }


def _standardised(rows: Matrix, split: Split) -> Matrix:
    mean, spread = rows.mean(0), rows.std(0)
    if split.kind != "features":
        mean, spread = np.full_like(mean, rows.mean()), np.full_like(spread, rows.std())
    return (rows - mean) / np.where(spread > 0, spread, 1.0)


def _named(labels: Indices, around: Indices, truth: Indices) -> float:
    """The share whose own label is the one that most of their neighbours have."""
    distinct, codes = np.unique(np.concatenate((labels, truth)), return_inverse=True)
    ballots = votes(codes[: len(labels)], around, len(distinct)).argmax(1)
    return float((ballots == codes[len(labels) :]).mean())


def _plain(source: Source | None, seconds: float) -> dict[str, Any]:
    """The same agreement without random augmentation, where the source knows how to do without."""
    if source is None or source.plain is None:
        return {}
    split = read(Source(name="plain", batches=source.plain), "plain", seconds)
    known = _labelled(split)
    if known is None or len(np.unique(known[1])) < 2:
        return {}
    rows, given = known
    rows = rows / scale_of(rows, split)
    placed = principal(rows).of(rows)
    found, _, z = against_chance(given, nearest(placed, placed, NEIGHBOURS, itself=True).index)
    return {"plain_agreement": found, "plain_z": z}
