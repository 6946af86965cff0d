"""Where the boxes of a directed graph go: layer below layer, few crossings, straight main lines.

The method of Sugiyama, Tagawa & Toda 1981: ranks by the longest path; an edge over several ranks
passes each by a waypoint; boxes of a rank are ordered by the mean place of their neighbours; then
each is moved to where its neighbours are, as far as the order and the room between allow.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

_SWEEPS = 12
_STRAIGHT = 40.0  # how much more an edge between two boxes holds than one to a waypoint


@dataclass(frozen=True)
class Layout:
    """`centres` of the boxes, (x, y); for each edge the points it passes, ends included."""

    centres: tuple[tuple[float, float], ...]
    routes: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float


def laid_out(
    count: int,
    edges: Sequence[tuple[int, int]],
    *,
    box: tuple[float, float],
    gap: tuple[float, float] = (26.0, 26.0),
) -> Layout:
    """Places for `count` boxes of one size (width, height); edges lead from lower numbers to
    higher ones."""
    if not count:
        return Layout((), (), 0.0, 0.0)
    rank = _ranks(count, edges)
    chains, ranks, links = _waypoints(count, edges, rank)
    order = _ordered(ranks, links)
    wide = [box[0] if each < count else 2.0 for each in range(len(ranks))]
    x = _placed(order, links, wide, gap[0], count)
    low = min(x[k] - wide[k] / 2 for k in range(len(x)))
    step = box[1] + gap[1]
    y = [box[1] / 2 + ranks[k] * step for k in range(len(x))]
    centres = [(x[k] - low, y[k]) for k in range(len(x))]
    width = max(x[k] + wide[k] / 2 for k in range(len(x))) - low
    routes = []
    for chain in chains:
        begin, end = centres[chain[0]], centres[chain[-1]]
        inner = [centres[k] for k in chain[1:-1]]
        routes.append(((begin[0], begin[1] + box[1] / 2), *inner, (end[0], end[1] - box[1] / 2)))
    return Layout(
        centres=tuple(centres[:count]),
        routes=tuple(routes),
        width=width,
        height=box[1] + max(ranks) * step,
    )


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    rank = [0] * count
    for source, target in sorted(edges, key=lambda each: each[1]):
        rank[target] = max(rank[target], rank[source] + 1)
    # A source (a second input) stands right above what reads it, not at the top.
    fed = {target for _, target in edges}
    for node in range(count):
        readers = [rank[target] for source, target in edges if source == node]
        if node not in fed and readers:
            rank[node] = min(readers) - 1
    return rank


def _waypoints(
    count: int, edges: Sequence[tuple[int, int]], rank: Sequence[int]
) -> tuple[list[list[int]], list[int], list[tuple[int, int]]]:
    """Each edge as a chain of boxes and waypoints, the rank of all of them, and their links."""
    ranks = list(rank)
    chains: list[list[int]] = []
    links: list[tuple[int, int]] = []
    for source, target in edges:
        chain = [source]
        for between in range(rank[source] + 1, rank[target]):
            ranks.append(between)
            chain.append(len(ranks) - 1)
        chain.append(target)
        chains.append(chain)
        links += itertools.pairwise(chain)
    return chains, ranks, links


def _ordered(ranks: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for source, target in links:
        above.setdefault(target, []).append(source)
        below.setdefault(source, []).append(target)
    order: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for item, rank in enumerate(ranks):
        order[rank].append(item)
    place = {item: k for row in order for k, item in enumerate(row)}
    best, fewest = [list(row) for row in order], _crossings(order, below)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in order if down else reversed(order):
            near = above if down else below
            row.sort(key=lambda item: (_mean([place[k] for k in near.get(item, [item])]), item))
            for k, item in enumerate(row):
                place[item] = k
        crossings = _crossings(order, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in order], crossings
    return best


def _crossings(order: Sequence[Sequence[int]], below: dict[int, list[int]]) -> int:
    place = {item: k for row in order for k, item in enumerate(row)}
    total = 0
    for row in order:
        ends = [place[target] for item in row for target in sorted(below.get(item, ()))]
        total += sum(a > b for k, a in enumerate(ends) for b in ends[k + 1 :])
    return total


def _placed(
    order: Sequence[Sequence[int]],
    links: Sequence[tuple[int, int]],
    wide: Sequence[float],
    gap: float,
    count: int,
) -> list[float]:
    above: list[list[tuple[int, float]]] = [[] for _ in wide]
    below: list[list[tuple[int, float]]] = [[] for _ in wide]
    for source, target in links:
        strength = _STRAIGHT if source < count and target < count else 1.0
        if source >= count and target >= count:
            strength = _STRAIGHT / 4  # waypoints of one edge keep it straight
        below[source].append((target, strength))
        above[target].append((source, strength))
    x = [0.0] * len(wide)
    for row in order:
        at = 0.0
        for item in row:
            x[item] = at + wide[item] / 2
            at += wide[item] + gap
        middle = (at - gap) / 2
        for item in row:
            x[item] -= middle
    for sweep in range(2 * _SWEEPS):
        down, settled = sweep % 2 == 0, sweep >= _SWEEPS
        for row in order if down else reversed(order):
            wanted, weight = [], []
            for item in row:
                near = above[item] + below[item] if settled else (above if down else below)[item]
                pull = sum(strength for _, strength in near)
                wanted.append(sum(x[k] * s for k, s in near) / pull if pull else x[item])
                weight.append(pull or 1.0)
            if len(row) == 1:  # what every path passes stands on one line
                continue
            for item, place in zip(row, _apart(wanted, weight, row, wide, gap), strict=True):
                x[item] = place
    return x


def _apart(
    wanted: Sequence[float],
    weight: Sequence[float],
    row: Sequence[int],
    wide: Sequence[float],
    gap: float,
) -> list[float]:
    """The places nearest to those wanted that keep the order and the room between neighbours:
    least squares under order, by pooling neighbours that would overlap."""
    shift, shifts = 0.0, []
    for k, item in enumerate(row):
        if k:
            shift += (wide[row[k - 1]] + wide[item]) / 2 + gap
        shifts.append(shift)
    pools: list[tuple[float, float, int]] = []  # (mean, weight, how many)
    for k in range(len(row)):
        mean, held, size = wanted[k] - shifts[k], weight[k], 1
        while pools and pools[-1][0] > mean:
            other, more, count = pools.pop()
            mean = (mean * held + other * more) / (held + more)
            held, size = held + more, size + count
        pools.append((mean, held, size))
    flat = [mean for mean, _, size in pools for _ in range(size)]
    return [place + shift for place, shift in zip(flat, shifts, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
