"""What single features of a table tell of the targets, and in which order the columns of another
table tell the same."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from netwright.doctor.data.assignment import best_assignment
from netwright.doctor.data.shrinking import Matrix

BINS = 6
WIDEST = 32
"""Features above which the columns of a table are not brought into order."""

WIDEST_PAIRED, PAIRS = 16, 6
"""The same for what features tell by two, and how many pairs are followed."""

ROUNDS = 12
"""Exchanges of two columns at the most."""

FEWEST = 100
"""Rows of a table below which nothing is told of it."""


@dataclass(frozen=True, eq=False)
class Additive:
    """Targets foretold by a sum of functions of one feature each, steps over six bins of equal
    counts; fitted by least squares with a little ridge."""

    edges: Matrix
    weights: Matrix
    mean: Matrix

    def of(self, rows: Matrix) -> Matrix:
        return binned(rows, self.edges) @ self.weights + self.mean

    def explained(self, rows: Matrix, targets: Matrix) -> float:
        """Share of the variance of the targets, at most 1, at the least -1."""
        there = np.square(targets - targets.mean(0)).sum()
        left = np.square(targets - self.of(rows)).sum()
        return float(max(-1.0, 1 - left / there)) if there > 0 else 0.0


def binned(rows: Matrix, edges: Matrix) -> Matrix:
    """(N, D x BINS) of 0 and 1: the bin that each feature is in; `edges` are (D, BINS - 1)."""
    places = np.stack(
        [
            np.searchsorted(edge, column, side="right")
            for edge, column in zip(edges, rows.T, strict=True)
        ],
        1,
    )
    return np.eye(BINS)[places].reshape(len(rows), -1)


def additive(rows: Matrix, targets: Matrix, *, ridge: float = 5.0) -> Additive:
    edges = _edges(rows)
    design, mean = binned(rows, edges), targets.mean(0)
    within = design.T @ design + ridge * np.eye(design.shape[1])
    return Additive(edges, np.linalg.solve(within, design.T @ (targets - mean)), mean)


def parts(model: Additive, rows: Matrix) -> Matrix:
    """(D, D, N, K): what the function of feature d says of column c of `rows`."""
    weights = model.weights.reshape(len(model.edges), BINS, -1)
    found = []
    for edge, weight in zip(model.edges, weights, strict=True):
        found.append(weight[np.searchsorted(edge, rows, side="right")].transpose(1, 0, 2))
    return np.stack(found)


def ordered(model: Additive, rows: Matrix, targets: Matrix) -> list[int]:
    """By feature of the model the column of `rows` that does its work best: each for itself first,
    then by exchanges of two as long as the targets are foretold better."""
    said, wanted = parts(model, rows), targets - model.mean
    gain = np.einsum("dcnk,nk->dc", said, wanted) - 0.5 * np.square(said).sum((2, 3))
    # Features that tell nothing are left in order of their own values.
    alike = np.abs(model.edges[:, None] - _edges(rows)[None]).sum(-1)
    order = [int(each) for each in best_assignment(gain - gain.min() - 1e-6 * alike)]
    places = np.arange(len(order))
    left = wanted - said[places, order].sum(0)
    for _ in range(ROUNDS):
        best, least = None, float(np.square(left).sum()) - 1e-9
        for one, other in itertools.combinations(range(len(order)), 2):
            change = (
                said[one, order[one]] + said[other, order[other]]
                - said[one, order[other]] - said[other, order[one]]
            )  # fmt: skip
            size = float(np.square(left + change).sum())
            if size < least:
                best, least = (one, other, left + change), size
        if best is None:
            break
        one, other, left = best
        order[one], order[other] = order[other], order[one]
    return order


def _edges(rows: Matrix) -> Matrix:
    return np.quantile(rows, np.linspace(0, 1, BINS + 1)[1:-1], axis=0).T


@dataclass(frozen=True, eq=False)
class Paired:
    """The sum of functions of one feature each, and `weights` (K, D, 2 D) of the products of one
    feature with another and with the sign of another: what is told by two together has no part in
    the sum."""

    alone: Additive
    weights: Matrix

    def left(self, said: Matrix, scores: Matrix, wanted: Matrix, order: list[int]) -> float:
        """The squared error in that order of the columns; `said` are the `parts` of the sum."""
        rows = scores[:, order]
        products = ((rows @ self.weights) * _signed(rows)).sum(-1).T
        return float(np.square(wanted - said[np.arange(len(order)), order].sum(0) - products).sum())


def paired(alone: Additive, rows: Matrix, targets: Matrix, *, ridge: float = 20.0) -> Paired:
    """What the sum leaves, by least squares on the products of two features in normal scores."""
    scores, wide = normal_scores(rows), rows.shape[1]
    kept = np.concatenate((np.triu(np.ones((wide, wide)), 1), 1 - np.eye(wide)), 1)
    one, other = np.nonzero(kept)
    design = scores[:, one] * _signed(scores)[:, other]
    within = design.T @ design + ridge * np.eye(len(one))
    found = np.linalg.solve(within, design.T @ (targets - alone.of(rows)))
    weights = np.zeros((targets.shape[1], wide, 2 * wide))
    weights[:, one, other] = found.T
    return Paired(alone, weights)


def _signed(scores: Matrix) -> Matrix:
    return np.concatenate((scores, np.sign(scores)), 1)


def refined(model: Paired, rows: Matrix, targets: Matrix, order: list[int]) -> list[int]:
    """The order made better by what pairs of features tell: two columns are exchanged, or brought
    together to the places of one of the strongest pairs, as long as that foretells more."""
    said, scores = parts(model.alone, rows), normal_scores(rows)
    wanted = targets - model.alone.mean
    sizes = np.square(model.weights).sum(0).reshape(len(order), 2, -1).sum(1)
    strongest = np.argsort(-sizes, axis=None)[: min(PAIRS, len(order))]
    pairs = [divmod(int(each), len(order)) for each in strongest]
    least = model.left(said, scores, wanted, order)
    for _ in range(ROUNDS):
        tried = [
            *(_exchanged(order, (swap,)) for swap in itertools.combinations(range(len(order)), 2)),
            *(
                _exchanged(order, ((one, first), (other, second)))
                for one, other in pairs
                for first, second in itertools.permutations(range(len(order)), 2)
            ),
        ]
        errors = [model.left(said, scores, wanted, each) for each in tried]
        best = int(np.argmin(errors))
        if errors[best] >= least - 1e-9:
            break
        order, least = tried[best], errors[best]
    return order


def _exchanged(order: list[int], swaps: tuple[tuple[int, int], ...]) -> list[int]:
    made = list(order)
    for one, other in swaps:
        made[one], made[other] = made[other], made[one]
    return made


def normal_scores(rows: Matrix) -> Matrix:
    """Each column by its ranks, as a normal variable has them: no far value outweighs the rest."""
    ranks = rows.argsort(0).argsort(0)
    shares = (torch.arange(len(rows), dtype=torch.double) + 0.5) / len(rows)
    return torch.special.ndtri(shares).numpy()[ranks]


def column_order(rows: Matrix, targets: Matrix, others: Matrix, truth: Matrix) -> dict[str, Any]:
    """How well the targets of one table are foretold from another, as its columns stand and in the
    order that fits best; the order is found on one half of it and judged on the other. Nothing for
    tables that are too small or too wide, or that tell nothing by single features."""
    wide = rows.shape[1]
    if not 3 <= wide <= WIDEST or wide != others.shape[1] or min(len(rows), len(others)) < FEWEST:
        return {}
    if targets.shape[1] != truth.shape[1] or not np.isfinite(targets).all():
        return {}
    within = additive(rows[::2], targets[::2]).explained(rows[1::2], targets[1::2])
    model = additive(rows, targets)
    half, held = slice(0, None, 2), slice(1, None, 2)
    order = ordered(model, others[half], truth[half])
    stands = model.explained(others[held], truth[held])
    aligned = model.explained(others[held][:, order], truth[held])
    if wide <= WIDEST_PAIRED and aligned > stands:
        order = refined(paired(model, rows, targets), others, truth, order)
    moved = sum(place != each for place, each in enumerate(order))
    return {
        "additive_within": within,
        "additive_score": stands,
        "additive_aligned": aligned,
        "feature_order": tuple(order) if moved else (),
    }
