"""The splits that a training is judged on: looked at by one rank or several, in batches that fit
into memory.

Several ranks share the images of a split, and find together what one of them would find alone, to
the last digit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch

from netwright.data.feed import Feed
from netwright.tasks.evaluation import Examination, Network, Rows, examine, score
from netwright.tasks.passes import Passes
from netwright.train.ranks import Ranks


class Splits:
    """The feeds of the splits, by name, and how a network is held against one."""

    def __init__(
        self,
        feeds: Mapping[str, Feed],
        passes: Passes,
        *,
        num_classes: int,
        shape: tuple[int, int, int],
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        """`shape` is that of an image as the network sees it."""
        self._feeds = feeds
        self._passes = passes
        self._num_classes = num_classes
        self._shape, self._device = shape, device
        self._ranks = ranks

    def score(self, network: Network, split: str, *, cut: bool = False) -> dict[str, float]:
        """`evaluation.score` over all images; `cut`: each rank has a part of the network only."""
        feed = self._feeds[split]
        if self._ranks.several:
            return self._score(
                network, feed, functools.partial(self._together, network, feed, cut=cut)
            )
        return self._passes.evaluated(split, feed, functools.partial(self._score, network, feed))

    def examine(self, network: Network, split: str) -> Examination:
        """`evaluation.examine` over all images, by this rank alone."""
        feed = self._feeds[split]

        def look() -> Examination:
            return examine(network, feed.of_all().once(), num_classes=self._num_classes)

        return self._passes.evaluated(split, feed, look)

    def _score(
        self, network: Network, feed: Feed, together: Callable[[Rows], Rows] | None = None
    ) -> dict[str, float]:
        return score(network, feed.once(), num_classes=self._num_classes, together=together)

    def _together(self, network: Network, feed: Feed, rows: Rows, *, cut: bool) -> Rows:
        """The rows of all batches in their order: sums over them are those of one process."""
        ranks = self._ranks
        if cut:  # each pass is one of all ranks: who has fewer goes along
            blank = torch.zeros(1, *self._shape, device=self._device)
            for _ in range(len(rows), -(-feed.num_parts // ranks.size)):
                network(blank)
        table = torch.zeros(feed.num_parts, 4, dtype=torch.float64)
        if rows:
            table[ranks.rank :: ranks.size] = torch.tensor(rows, dtype=torch.float64)
        summed: Rows = ranks.total(table).tolist()
        return summed
