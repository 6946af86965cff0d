"""Each cell in a process of its own, some at a time: one that hangs or dies costs its cell alone.

The processes are forks: torch and the data are loaded once, by the parent, which computes nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

Answer = dict[str, Any]


def warm_up() -> None:
    """What each child would load by itself otherwise, a second and more: torch's lazy imports, the
    data, the doctor."""
    import torch._dynamo

    import data
    from netwright.doctor.conditions import CONDITIONS
    from netwright.doctor.probes import PROBES
    from netwright.doctor.watch import Doctor

    data._digits()
    data._shapes()
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    for make in (torch.optim.Adam, torch.optim.SGD):
        make([weight], lr=0.0).step()
    assert CONDITIONS.names() is not None
    assert PROBES.names() is not None
    assert Doctor is not None


def answers(
    tasks: Iterable[tuple[str, Callable[[], Mapping[str, Any]]]], *, jobs: int = 1, seconds: float
) -> Iterator[tuple[str, Answer]]:
    """(name, what the task returned), in the order they end; `{"failed": why}` for one that raises,
    dies or takes longer than `seconds`."""
    warm_up()
    context = multiprocessing.get_context("fork")
    waiting = iter(tasks)
    running: dict[Connection, tuple[str, Any, float]] = {}
    more = True
    while running or more:
        while more and len(running) < jobs:
            task = next(waiting, None)
            if task is None:
                more = False
                break
            name, work = task
            ear, mouth = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(work, mouth), daemon=True)
            process.start()
            mouth.close()
            running[ear] = (name, process, time.monotonic() + seconds)
        if not running:
            return
        first = min(until for _, _, until in running.values())
        ready = wait(list(running), timeout=max(first - time.monotonic(), 0.01))
        for ear in list(running):
            name, process, until = running[ear]
            answer: Answer | None = None
            if ear in ready:
                try:
                    answer = ear.recv()
                except EOFError:
                    process.join()
                    answer = {"failed": f"the process ended with {process.exitcode}"}
            elif time.monotonic() > until:
                answer = {"failed": f"no end within {seconds:g} s"}
            if answer is None:
                continue
            process.kill()
            process.join()
            del running[ear]
            ear.close()
            yield name, answer


def _work(work: Callable[[], Mapping[str, Any]], mouth: Connection) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # What a script or a tool prints is no part of the answer.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        mouth.send(dict(work()))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        mouth.send({"failed": f"{type(error).__name__}: {error} ({place})"[:300]})
    mouth.close()
