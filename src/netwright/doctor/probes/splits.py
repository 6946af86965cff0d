"""Training held against validation: preprocessing, leaks, shifts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.doctor.data.additive import column_order
from netwright.doctor.data.comparing import (
    BACK,
    TURNS,
    Pair,
    aligned,
    backwards,
    channel_order,
    kolmogorov_smirnov,
    mean_image_correlation,
    pair_of,
    smirnov_bound,
    telling,
    turned,
)
from netwright.doctor.data.components import principal
from netwright.doctor.data.neighbours import nearest, votes
from netwright.doctor.data.reading import first_batch, split_of
from netwright.doctor.data.separation import linear_score
from netwright.doctor.data.shrinking import Matrix
from netwright.doctor.data.split import Indices, Split
from netwright.doctor.part import light
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.quiet import hushed
from netwright.doctor.twin import _bare
from netwright.doctor.unfolding import faithful
from netwright.records.facts.splits import Splits

VOTERS = 5
PAIRS = 12
"""Leaked samples that are named."""

BLUR = 0.02
"""Noise, of the spread of all values, under which two alignments are compared: brought together, a
pixel that never changes is off by a ten-thousandth, and tells the two apart without fail."""

WORSE = 0.15
"""Below the score within training: then it is tried whether validation images lie otherwise."""

CLASSES = 20
"""Classes up to which it is asked what single features tell of them."""

TELLING = 0.75
"""An area under the curve from which on it is tried what would bring the splits together."""


@PROBES.register("splits", order=20, needs=("train", "val"), cost="0F")
def splits(patient: Patient) -> Iterator[Splits]:
    """Both splits as they are fed, read within a bound of time."""
    train, val = split_of(patient, "train"), split_of(patient, "val")
    if train is not None and val is not None and train.seen and val.seen:
        found = patient.of_data("splits", lambda: compared(train, val))
        yield dataclasses.replace(found, output_ratio=_output_ratio(patient))


def compared(train: Split, val: Split, *, source: str = "data") -> Splits:
    """The facts of two splits."""
    found: dict[str, Any] = {
        "source": source,
        "kind": train.kind,
        "train_samples": train.seen,
        "val_samples": val.seen,
        "train_total": train.total or (train.seen if train.complete else None),
        "complete": train.complete and val.complete,
        "val_total": val.total or (val.seen if val.complete else None),
        "train_range": (train.low, train.high) if np.isfinite(train.low) else (0.0, 0.0),
        "val_range": (val.low, val.high) if np.isfinite(val.low) else (0.0, 0.0),
        "train_dtype": train.dtype,
        "val_dtype": val.dtype,
        **_leaks(train, val),
        **_label_shift(train, val),
    }
    pair = pair_of(train, val)
    if pair is not None:
        found |= _alike(pair, train, val)
    return Splits(**found)


def _output_ratio(patient: Patient) -> float | None:
    """How much louder the network is on validation than on training, from the start."""
    sample, train, val = patient.sample, patient.train, patient.val
    if sample is None or train is None or val is None or not faithful(patient):
        return None
    call = sample.objective.modules[0]
    if len(call.args) != 1 or not isinstance(call.args[0], Tensor):
        return None
    given = call.args[0]
    sizes: list[float] = []
    deadline, kept = patient.deadline, max(1, light(patient).size)
    kept = kept if kept < sample.size else 1_000_000
    for source in (train, val):
        inputs = first_batch(source)
        if inputs is None or inputs.shape[1:] != given.shape[1:]:
            return None
        inputs = inputs[: kept * (len(inputs) // kept or 1) : len(inputs) // kept or 1]
        if not deadline.affords(deadline.passes(2 * len(inputs) / max(1, sample.size))):
            deadline.leave_out("passes", len(sizes), 2)
            return None
        surroundings = sample.surroundings.again()
        with hushed(patient.model), surroundings, torch.no_grad():
            patient.model.eval()
            output = _bare(call.run)(inputs.to(given), **call.kwargs)
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return None
        sizes.append(float(output.float().square().mean().sqrt()))
    return sizes[1] / sizes[0] if sizes[0] > 0 and np.isfinite(sizes[1]) else None


def _alike(pair: Pair, train: Split, val: Split) -> dict[str, Any]:
    auc = telling(pair.train, pair.val)
    order, gain = channel_order(pair)
    found: dict[str, Any] = {
        "auc": auc,
        "mean_gaps": tuple(float(each) for each in pair.gaps),
        "spread_ratios": tuple(float(each) for each in pair.ratios),
        "channel_order": order,
        "order_gain": gain,
        **_shift(pair),
        **_nearness(pair),
    }
    if train.kind == "features":
        found |= _beyond(pair) | _columns(train, val)
    if pair.channels:
        found["mean_correlation"] = mean_image_correlation(pair.train, pair.val)
        found["halves_correlation"] = mean_image_correlation(pair.train[::2], pair.train[1::2])
    labels, others = _kept_labels(train), _kept_labels(val)
    known = labels is not None and others is not None
    if known:
        assert labels is not None
        assert others is not None
        within = _score(pair.train, labels, pair.train, labels, itself=True)
        found |= {
            "score": _score(pair.train, labels, pair.val, others),
            "linear_score": linear_score(pair.train, labels, pair.val, others),
            "score_within": within,
            "score_error": float(np.sqrt(max(within * (1 - within), 0.01) / len(pair.val))),
        }
        if found["score"] < within - WORSE:
            shape = train.shape if train.kind == "series" else ()
            found |= _turned(pair, labels, others, found["score"], shape)
    elif train.kind == "features":
        found |= _foretold(pair, train, val)
    if auc < TELLING and not order:
        return found
    ways = (
        ["scale"] + (["inverted"] if pair.channels else []) + (["channel order"] if order else [])
    )
    tried = {way: aligned(pair, way, order) for way in ways}
    told = {way: telling(_blurred(pair.train, 0), _blurred(tried[way], 1)) for way in ways}
    best = min(told, key=lambda way: told[way])
    found |= {"aligned_by": best, "aligned_auc": told[best]}
    if known:
        assert labels is not None
        assert others is not None
        found["score_aligned"] = _score(pair.train, labels, tried[best], others)
        found["linear_aligned"] = linear_score(pair.train, labels, tried[best], others)
    if best != "channel order":
        scale = float(
            np.median(pair.train_spread / np.where(pair.val_spread > 0, pair.val_spread, 1))
        )
        scale = -scale if best == "inverted" else scale
        found |= {
            "scale": scale,
            "offset": float(np.mean(pair.train_mean - scale * pair.val_mean)),
        }
    return found


def _foretold(pair: Pair, train: Split, val: Split) -> dict[str, Any]:
    """How much of the variance of numbers the nearest training sample foretells: in validation,
    and within training."""
    if train.numbers is None or val.numbers is None:
        return {}
    told, asked = train.numbers[train.kept], val.numbers[val.kept]
    if told.shape[1:] != asked.shape[1:] or not np.isfinite(told).all():
        return {}
    scale = np.where(pair.train.std(0) > 0, pair.train.std(0), 1.0)
    rows, others = pair.train / scale, pair.val / scale
    return {
        "near_score": _explained(told[nearest(others, rows).index[:, 0]], asked),
        "near_within": _explained(told[nearest(rows, rows, itself=True).index[:, 0]], told),
    }


def _explained(said: Matrix, truth: Matrix) -> float:
    spread = float(np.square(truth - truth.mean(0)).sum())
    return 1 - float(np.square(truth - said).sum()) / spread if spread > 0 else 0.0


def _turned(
    pair: Pair, labels: Indices, others: Indices, score: float, shape: tuple[int, ...]
) -> dict[str, Any]:
    """The flip or turn that brings validation images nearest to training ones of their class, or
    series of this shape."""
    best, name = score, ""
    for how in BACK if shape else TURNS:
        rows = backwards(pair, how, shape) if shape else turned(pair, how)
        if rows is None:
            return {}
        found = _score(pair.train, labels, rows, others)
        if found > best:
            best, name = found, how
    return {"turned": name, "score_turned": best} if name else {}


def _beyond(pair: Pair) -> dict[str, Any]:
    """Validation samples that training has nothing of the like of, by a single feature."""
    outside = (pair.val < pair.train.min(0)) | (pair.val > pair.train.max(0))
    shares = outside.mean(0)
    return {"beyond_feature": int(shares.argmax()), "beyond_share": float(shares.max(initial=0.0))}


def _columns(train: Split, val: Split) -> dict[str, Any]:
    """Whether features tell of the targets in validation what they tell in training."""
    told: list[Matrix] = []
    for split in (train, val):
        labels, numbers = split.labels, split.numbers
        if labels is not None and labels.max(initial=0) < CLASSES:
            told.append(np.eye(CLASSES)[np.maximum(labels[split.kept], 0)])
        elif numbers is not None:
            told.append(numbers[split.kept])
    if len(told) < 2:
        return {}
    return column_order(train.features, told[0], val.features, told[1])


def _blurred(rows: Matrix, seed: int) -> Matrix:
    noise = np.random.default_rng(seed).standard_normal(rows.shape)
    return rows + BLUR * float(rows.std()) * noise


def _kept_labels(split: Split) -> Indices | None:
    labels = split.labels
    return None if labels is None else labels[split.kept]


def _score(
    rows: Matrix, labels: Indices, queries: Matrix, truth: Indices, *, itself: bool = False
) -> float:
    """The share of `queries` whose label most of their nearest rows have, on 32 components of
    `rows`, every feature at equal weight as far as it is one of many scales."""
    space = principal(rows, 32)
    found = nearest(space.of(queries), space.of(rows), VOTERS, itself=itself)
    distinct, codes = np.unique(np.concatenate((labels, truth)), return_inverse=True)
    ballots = votes(codes[: len(labels)], found.index, len(distinct))
    return float((ballots.argmax(1) == codes[len(labels) :]).mean())


def _shift(pair: Pair) -> dict[str, Any]:
    """By feature of tables, by the first components of anything else."""
    rows, others = pair.train, pair.val
    if pair.channels or rows.shape[1] > 64:
        space = principal(rows, 16)
        rows, others = space.of(rows), space.of(others)
    gaps = kolmogorov_smirnov(rows, others)
    bound = smirnov_bound(len(rows), len(others), len(gaps))
    return {
        "compared": len(gaps),
        "shifted": int((gaps > bound).sum()),
        "worst_feature": int(gaps.argmax()),
        "worst_distance": float(gaps.max()),
        "distance_bound": bound,
    }


def _nearness(pair: Pair) -> dict[str, Any]:
    """How near validation samples are to training ones, against training ones to one another."""
    scale = pair.train.std(0)
    scale = np.where(scale > 0, scale, 1.0) if not pair.channels else np.ones_like(scale)
    rows, others = pair.train / scale, pair.val / scale
    across = float(np.median(nearest(others, rows).distance))
    inside = float(np.median(nearest(rows, rows, itself=True).distance))
    return {"neighbour_ratio": across / inside} if inside > 0 else {}


def _leaks(train: Split, val: Split) -> dict[str, Any]:
    """Samples of validation that are in training, bit for bit, and what they do to a score."""
    where: dict[int, int] = {}
    for sample, each in enumerate(train.fingerprints):
        where.setdefault(each, sample)
    if len(train.fingerprints) != train.seen or train.shape != val.shape:
        return {}
    pairs = [(n, where[each]) for n, each in enumerate(val.fingerprints) if each in where]
    found: dict[str, Any] = {
        "leaked": len(pairs),
        "leaked_pairs": tuple(pairs[:PAIRS]),
        "repeats_within": 1 - len(where) / max(1, len(train.fingerprints)),
    }
    labels, truth = train.labels, val.labels
    if not pairs or labels is None or truth is None:
        return found
    found["leaked_score"] = float(np.mean([labels[other] == truth[n] for n, other in pairs]))
    fresh = np.flatnonzero(~np.isin(val.kept, [n for n, _ in pairs]))
    if (
        len(fresh) >= 20
        and len(train.features)
        and val.features.shape[1:] == train.features.shape[1:]
    ):
        found["fresh_score"] = _score(
            train.features, labels[train.kept], val.features[fresh], truth[val.kept][fresh]
        )
    return found


def _label_shift(train: Split, val: Split) -> dict[str, Any]:
    labels, others = train.labels, val.labels
    if labels is None or others is None or min(len(labels), len(others)) < 40:
        return {}
    distinct, codes = np.unique(np.concatenate((labels, others)), return_inverse=True)
    counts = [np.bincount(part, minlength=len(distinct)) for part in np.split(codes, [len(labels)])]
    shares = [each / each.sum() for each in counts]
    common = (counts[0] + counts[1]) / (len(labels) + len(others))
    spread = np.sqrt(common * (1 - common) * (1 / len(labels) + 1 / len(others)))
    unseen = np.flatnonzero((counts[0] == 0) & (counts[1] > 0))
    return {
        "label_distance": float(np.abs(shares[0] - shares[1]).sum() / 2),
        # Each difference of shares is about normal: E|x| = spread x sqrt(2 / pi).
        "label_bound": float(3 * np.sqrt(2 / np.pi) * spread.sum() / 2),
        "unseen_classes": tuple(int(distinct[each]) for each in unseen[:PAIRS]),
        "unseen_share": float(shares[1][unseen].sum()),
    }
