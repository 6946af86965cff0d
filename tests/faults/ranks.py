"""Several ranks of one run as children of the fork server, without a launcher around them."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from faults.fork_server import CLI, Child, ForkServer


def start_ranks(
    server: ForkServer,
    argv: Sequence[str],
    *,
    cwd: Path,
    size: int = 2,
    env: Mapping[str, str] | None = None,
    more: Mapping[int, Sequence[str]] | None = None,
    absent: Sequence[int] = (),
    call: str = CLI,
) -> dict[int, Child]:
    """Start `argv` in `size` ranks, but for those `absent`; `more` words for some of them."""
    port = free_port()
    started = {}
    for rank in range(size):
        if rank in absent:
            continue
        place = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        words = [*argv, *(more or {}).get(rank, ())]
        output = cwd / f"rank-{port}-{rank}.txt"
        started[rank] = server.start(
            words, cwd=cwd, env={**place, **(env or {})}, call=call, output=output
        )
    return started


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ended(ranks: Mapping[int, Child], timeout: float = 60) -> dict[int, int]:
    """The exit status of each."""
    return {rank: child.wait(timeout) for rank, child in ranks.items()}


def told(ranks: Mapping[int, Child]) -> str:
    """All that they said, in one line."""
    return " ".join(" ".join(child.text() for child in ranks.values()).split())
