"""Several processes that train one model: what they add up, agree on and tell each other.

Each is a *rank*, started by torchrun or anything that sets its variables. All hold the same
weights; each computes the gradients of its share of every batch, and these are added up once a
step. Rank 0 is the *first*: it alone writes and speaks. `Alone` is the only rank of one; nothing
it is asked to do costs or changes anything.

Everything here but `Group.failed` is collective: all ranks call it, in the same order, at points
that depend on the step and never on a clock or a signal.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import Store  # torch.distributed has it, but does not say so

from netwright.core.errors import InterruptedRunError, NetwrightError, RankLostError
from netwright.core.languages import Series
from netwright.data.batches import Share
from netwright.train.failures_told import read_failure, write_failure

_BUCKET = 1 << 23
"""Numbers added up in one go: 32 MB of float32, so that the copy of the gradients stays small."""
_PIECE = 1 << 28
"""Bytes told in one go: they pass through the memory of a GPU, which may hold no more."""
_PATIENCE = 5.0  # seconds for the others to say that they live, once a rank is missed


_LEFT = (RuntimeError, ValueError, AssertionError)
"""What torch raises when a store or a group is gone."""


class Alone:
    """The only rank of one."""

    rank, size, local_rank, local_size = 0, 1, 0, 1
    first, several = True, False
    share = Share()

    def add_gradients(self, parameters: Sequence[Tensor], numbers: Sequence[float]) -> list[float]:
        return list(numbers)

    def total(self, table: Tensor) -> Tensor:
        return table

    def most(self, numbers: Sequence[int]) -> list[int]:
        return list(numbers)

    def told(self, value: Any) -> Any:
        return value

    def told_bytes(self, data: bytes) -> bytes:
        return data

    def gathered(self, value: Any) -> list[Any]:
        return [value]

    def equalise(self, tensors: Sequence[Tensor]) -> None:
        pass

    @contextlib.contextmanager
    def in_turn(self, what: str) -> Iterator[None]:
        yield


class Group:
    """One of several ranks. A rank that fails, ends or falls silent is a `RankLostError` for all
    the others, or the very error that it failed with."""

    several = True

    def __init__(
        self,
        *,
        rank: int,
        size: int,
        local_rank: int,
        local_size: int,
        store: Store,
        device: torch.device,
        timeout: float,
    ) -> None:
        """`store` is what the ranks found each other by; `device` is where numbers must lie to
        be added up: the GPU under NCCL."""
        self.rank, self.size = rank, size
        self.local_rank, self.local_size = local_rank, local_size
        self.first = rank == 0
        self.share = Share(rank, size)
        self._store = store
        self._device = device
        self._timeout = timeout

    def add_gradients(self, parameters: Sequence[Tensor], numbers: Sequence[float]) -> list[float]:
        """Replace the gradients of `parameters` by their sums over all ranks, and return those
        of `numbers`. A gradient that some ranks lack counts as zero there; one that all lack
        stays None.

        The layout is fixed, so that sums are formed in the same order in each step of each run.
        """
        has = [each.grad is not None for each in parameters]
        head = torch.tensor([*numbers, *map(float, has)], dtype=torch.float64)
        sums = self.total(head).tolist()
        used = [p for p, n in zip(parameters, sums[len(numbers) :], strict=True) if n > 0]
        for each in used:
            if each.grad is None:
                each.grad = torch.zeros_like(each)
        with self._explained():
            under_way = []
            for bucket in _buckets([each.grad for each in used if each.grad is not None]):
                flat = torch.cat([each.reshape(-1) for each in bucket])
                under_way.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
            for bucket, flat, work in under_way:
                assert work is not None
                work.wait()
                parts = flat.split([each.numel() for each in bucket])
                views = [part.view(each.shape) for part, each in zip(parts, bucket, strict=True)]
                torch._foreach_copy_(bucket, views)
        return sums[: len(numbers)]

    def total(self, table: Tensor) -> Tensor:
        """The sum of `table` over all ranks, where `table` lies."""
        return self._reduced(table, dist.ReduceOp.SUM)

    def most(self, numbers: Sequence[int]) -> list[int]:
        """The largest of each number over all ranks."""
        table = torch.tensor(list(numbers), dtype=torch.int64)
        return [int(each) for each in self._reduced(table, dist.ReduceOp.MAX).tolist()]

    def told(self, value: Any) -> Any:
        """What the first rank gives for `value`, which JSON must be able to say."""
        return json.loads(self.told_bytes(json.dumps(value).encode() if self.first else b""))

    def told_bytes(self, data: bytes) -> bytes:
        """The bytes of the first rank."""
        (size,) = self.most([len(data) if self.first else 0])
        held = bytearray(data if self.first else size)
        for at in range(0, size, _PIECE):
            count = min(_PIECE, size - at)
            piece = torch.frombuffer(held, dtype=torch.uint8, offset=at, count=count)
            moved = piece.to(self._device)
            with self._explained():
                dist.broadcast(moved, 0)
            if not self.first:
                piece.copy_(moved)
        return bytes(held)

    def gathered(self, value: Any) -> list[Any]:
        """What each rank gives for `value`, by its number; JSON must be able to say it."""
        data = json.dumps(value).encode()
        (size,) = self.most([len(data)])
        mine = torch.frombuffer(bytearray(data.ljust(size)), dtype=torch.uint8).to(self._device)
        all_of_them = [torch.empty_like(mine) for _ in range(self.size)]
        with self._explained():
            dist.all_gather(all_of_them, mine)
        return [json.loads(each.cpu().numpy().tobytes()) for each in all_of_them]

    def equalise(self, tensors: Sequence[Tensor]) -> None:
        """Give every rank the tensors of the first."""
        with self._explained(), torch.no_grad():
            for each in tensors:
                whole = each.detach().contiguous().to(self._device)
                dist.broadcast(whole, 0)
                if not self.first:
                    each.copy_(whole)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """A block in which torch talks to other ranks by itself: an error that comes of missing one
        names it."""
        try:
            yield
        except NetwrightError:
            raise
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and not _LINK.search(str(error)):
                raise
            raise self._missing(error) from error

    @contextlib.contextmanager
    def in_turn(self, what: str) -> Iterator[None]:
        """The first rank enters the block alone, the others when it is through: it may download
        what they then find. They wait as long as it takes."""
        if not self.first:
            with self._explained():
                while not self._passed(f"through/{what}"):
                    pass
        yield
        if self.first:
            self._store.set(f"through/{what}", "")

    def failed(self, error: BaseException) -> bool:
        """Leave word of this rank's `error` for the others, before it ends. True when the first
        rank tells the user of it, and this one need not."""
        lost = error.values["ranks"] if isinstance(error, RankLostError) else []
        if isinstance(error, InterruptedRunError) or 0 in lost:
            return not self.first and not lost
        with contextlib.suppress(*_LEFT):
            self._store.set_timeout(timedelta(seconds=_PATIENCE))
            self._store.set(f"failed/{self.rank}", write_failure(error))
        with contextlib.suppress(*_LEFT):
            dist.destroy_process_group()  # whoever waits for us learns of it by that
        with contextlib.suppress(*_LEFT):
            if self.first:  # which holds the store, perhaps: it leaves last
                for other in {*range(1, self.size)} - {*lost}:
                    comes(self._store, f"left/{other}", seconds=_PATIENCE)
                return False
            heard = comes(self._store, "failed/0", seconds=_PATIENCE)
            self._store.set(f"left/{self.rank}", "")
            return heard
        return not self.first

    def _reduced(self, table: Tensor, how: Any) -> Tensor:
        moved = table.clone() if table.device == self._device else table.to(self._device)
        with self._explained():
            dist.all_reduce(moved, op=how)
        return moved.to(table.device)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What torch says when a rank is missed, as an error that names it."""
        try:
            yield
        except NetwrightError:
            raise
        except RuntimeError as error:
            raise self._missing(error) from error

    def _missing(self, error: RuntimeError) -> NetwrightError:
        """Who failed, ended or is silent. Our own connections are closed first: who still waits
        for us learns of it by that, and says that it lives."""
        with contextlib.suppress(*_LEFT):
            dist.destroy_process_group()
        lost: list[int] = []
        # A closed connection is noticed by all at once, a silent rank by each in its own time.
        # Where there is but one other, nobody on a busy machine can be mistaken for it.
        sudden = self.size == 2 and "timed out" not in str(error).lower()
        patience = _PATIENCE / 4 if sudden else _PATIENCE
        try:
            self._store.set_timeout(timedelta(seconds=_PATIENCE))
            self._store.set(f"alive/{self.rank}", "")
            for other in range(self.size):
                if other == self.rank:
                    continue
                if comes(self._store, f"failed/{other}", seconds=0.5):
                    return read_failure(self._store.get(f"failed/{other}"))
                if not comes(self._store, f"alive/{other}", seconds=patience):
                    lost.append(other)
        except RuntimeError:
            lost = [0]  # it holds the store
        return RankLostError(
            "Rank {lost} has ended or is silent: {reason}",
            hint="The last checkpoint is kept: go on with netwright train --resume. A rank may be "
            "silent for {seconds} s (run.rank_timeout).",
            lost=Series([str(each) for each in lost] or ["?"], between=", "),
            reason=_PLACE.sub("", str(error).strip().partition("\n")[0])[:200],
            seconds=math.ceil(self._timeout),
            ranks=lost,
        )

    def _passed(self, name: str) -> bool:
        if comes(self._store, "failed/0", seconds=0):
            raise read_failure(self._store.get("failed/0"))
        return comes(self._store, name, seconds=0.1)


Ranks: TypeAlias = Alone | Group

_LINK = re.compile(r"gloo/|nccl|connection (closed|reset|refused)|timed out", re.IGNORECASE)
"""Words by which torch's own errors of a lost connection are known from those of a network."""
_PLACE = re.compile(r"^\[\S+:\d+\] ")
"""The line of torch's source that its errors begin with."""


def comes(store: Store, name: str, *, seconds: float) -> bool:
    """Whether `name` is in the store, or comes within `seconds`. It is asked for again and again:
    when torch waits in vain it says so on the screen."""
    deadline = time.monotonic() + seconds
    while not store.check([name]):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The gradients in their order, cut where the type changes or a bucket is full."""
    bucket: list[Tensor] = []
    held = 0
    for each in gradients:
        if bucket and (each.dtype != bucket[0].dtype or held + each.numel() > _BUCKET):
            yield bucket
            bucket, held = [], 0
        bucket.append(each)
        held += each.numel()
    if bucket:
        yield bucket
