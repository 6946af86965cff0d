"""Worker processes: who may end them, and that nothing ends without them ending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

PROGRAM = """
    import multiprocessing, numpy as np, os, sys, torch
    from netwright.data.feed import Feed
    from netwright.data.preprocessing import Preprocessing

    class Streamed:
        in_memory, shape, labels = False, (1, 2, 2), np.zeros(9, np.int64)
        def __len__(self): return 9
        def name(self, i): return str(i)
        def read(self, i): return torch.full((1, 2, 2), i, dtype=torch.uint8)

    plain = Preprocessing(channels=1, size=(2, 2), mean=(0.0,), std=(1.0,))
    feed = Feed(Streamed(), batch=3, seed=0, preprocessing=plain, workers=2)
    batches = feed.iterate(0, None)
    next(batches)
    print(*[each.pid for each in multiprocessing.active_children()], flush=True)
"""


def started(rest: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A program with two workers under way, and the ids of these."""
    code = textwrap.dedent(PROGRAM) + textwrap.dedent(rest)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    workers = [int(each) for each in process.stdout.readline().split()]
    assert len(workers) == 2
    return process, workers


def gone(pid: int, *, within: float = 20) -> bool:
    """Whether a process ends, as far as this can be seen, `within` so many seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_a_program_that_stops_in_the_middle_ends_and_so_do_its_workers() -> None:
    process, workers = started("")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(gone(pid) for pid in workers)


def test_a_worker_whose_parent_was_killed_before_it_came_to_itself_ends() -> None:
    code = "import os; from netwright.data.workers import _settle; _settle(os.getppid() + 1, 0)"
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_workers_do_not_outlive_a_killed_parent() -> None:
    process, workers = started("sys.stdin.read()")
    process.kill()
    process.communicate(timeout=60)
    assert all(gone(pid) for pid in workers)


def test_a_signal_to_the_whole_job_leaves_the_workers_to_their_parent() -> None:
    process, workers = started("""
        for line in sys.stdin:
            for _ in range(50): next(batches)
            print("fifty more after", line.strip(), flush=True)
        """)
    assert process.stdin is not None
    assert process.stdout is not None
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        for pid in workers:
            os.kill(pid, getattr(signal, name))
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"fifty more after {name}\n"
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_worker_that_is_killed_is_told_and_not_in_the_middle_of_something_else() -> None:
    process, workers = started("""
        from netwright.core.errors import ExhaustedError
        sys.stdin.readline()
        print("was still here")
        try:
            for _ in batches: pass
        except ExhaustedError as error:
            print(error)
        """)
    os.kill(workers[0], signal.SIGKILL)
    out, _ = process.communicate("go on\n", timeout=60)
    assert out.startswith("was still here\nA data worker was killed or ended before its work")
    assert "data.workers=1" in out
    assert "--resume" in out
    assert process.returncode == 0
