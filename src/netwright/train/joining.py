"""How a process becomes one of several ranks: by the variables that torchrun sets.

RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from netwright.core.errors import SettingError
from netwright.core.linux import die_with_parent
from netwright.train.ranks import Alone, Group, Ranks, comes

Backend = Literal["auto", "gloo", "nccl"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which rank this process is, of how many, and where the first one is met."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> Place | None:
        """What the variables say; None for a process of its own, also under torchrun.

        >>> Place.of({"RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "29500"}).rank
        1
        """
        environ = os.environ if environ is None else environ
        if "RANK" not in environ or environ.get("WORLD_SIZE", "1") == "1":
            return None
        rank, size = _number(environ, "RANK"), _number(environ, "WORLD_SIZE")
        if not 0 <= rank < size:
            raise SettingError(
                "RANK={rank} and WORLD_SIZE={size} do not go together.", rank=rank, size=size
            )
        port = _number(environ, "MASTER_PORT")
        if not 0 < port < 1 << 16:
            raise SettingError(
                "MASTER_PORT={port} is not allowed: expected a number from 1 to 65535.", port=port
            )
        return cls(
            rank=rank,
            size=size,
            local_rank=_number(environ, "LOCAL_RANK", rank),
            local_size=_number(environ, "LOCAL_WORLD_SIZE", size),
            address=environ.get("MASTER_ADDR", "127.0.0.1"),
            port=port,
        )


def _number(environ: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise SettingError(
            "{name}={text} is not allowed: expected a number.",
            hint="torchrun sets it, as in: torchrun --nproc-per-node 2 -m netwright train ...",
            name=name,
            text=text,
        )
    return int(text)


@contextlib.contextmanager
def joined(
    place: Place | None, device: torch.device, *, backend: Backend, timeout: float
) -> Iterator[Ranks]:
    """The ranks this process is one of while the block lasts; `Alone` without a `place`.

    An error that leaves the block is told to the other ranks. `timeout` is how many seconds a
    rank may be silent. Raises `SettingError` when they do not find each other in that time.
    """
    if place is None:
        yield Alone()
        return
    if "TORCHELASTIC_RUN_ID" in os.environ:
        die_with_parent()  # ranks outlive a killed torchrun otherwise, 2 of 2
    backend = backend_of(backend, device)
    store = _store(place, timeout)
    _meet(store, place, timeout)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        backend,
        store=PrefixStore("group", store),
        rank=place.rank,
        world_size=place.size,
        timeout=timedelta(seconds=timeout),
    )
    group = Group(
        rank=place.rank,
        size=place.size,
        local_rank=place.local_rank,
        local_size=place.local_size,
        store=store,
        device=device if backend == "nccl" else torch.device("cpu"),
        timeout=timeout,
    )
    try:
        yield group
    except BaseException as error:
        error.of_other_rank = group.failed(error)  # type: ignore[attr-defined]
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def backend_of(asked: Backend, device: torch.device) -> Backend:
    """How ranks on `device` talk. Raises `SettingError` where they cannot as `asked`."""
    if dist.is_initialized():
        raise SettingError(
            "torch.distributed is in use already in this process.",
            hint="Netwright joins the ranks by itself: call it before init_process_group.",
        )
    if asked == "auto":
        return "nccl" if device.type == "cuda" and dist.is_nccl_available() else "gloo"
    if asked == "nccl" and (device.type != "cuda" or not dist.is_nccl_available()):
        raise SettingError(
            "run.backend=nccl needs GPUs, and the device is {device}.",
            hint="Set run.backend=gloo, or leave it to auto.",
            device=str(device),
        )
    return asked


def _store(place: Place, timeout: float) -> Store:
    """What the ranks find each other by: held by torchrun if it says so, else by the first."""
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store: Store = TCPStore(
            place.address,
            place.port,
            is_master=place.rank == 0 and not shared,
            wait_for_workers=False,
            timeout=timedelta(seconds=timeout),
        )
    except RuntimeError as error:
        raise SettingError(
            "Rank {rank} cannot reach the first rank at {address}:{port}: {reason}",
            hint="Is MASTER_ADDR right, is the port open, was rank 0 started?",
            rank=place.rank,
            address=place.address,
            port=place.port,
            reason=str(error).strip().partition("\n")[0][:200],
        ) from error
    # Ranks that were started anew would else meet what dead ones have left in a shared store.
    return PrefixStore(f"netwright/{attempt}", store)


def _meet(store: Store, place: Place, timeout: float) -> None:
    """Wait until all are there; who is missing is named."""
    store.set(f"here/{place.rank}", "")
    deadline = time.monotonic() + timeout
    missing = []
    for other in range(place.size):
        if not comes(store, f"here/{other}", seconds=max(deadline - time.monotonic(), 0)):
            missing.append(str(other))
    if missing:
        if place.rank == 0:
            time.sleep(1.0)  # the others may still be looking into the store
        raise SettingError(
            "Of {size} ranks these have not come within {seconds} s: {missing}.",
            hint="Were they started? Every process needs the same MASTER_ADDR and WORLD_SIZE.",
            size=place.size,
            seconds=round(timeout),
            missing=", ".join(missing),
        )
