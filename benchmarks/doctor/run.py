"""The doctor on seeded faults, their healthy twins, and healthy runs that look odd.

    python benchmarks/doctor/run.py                    # the part that may be tuned on
    python benchmarks/doctor/run.py --quick            # a fixed sample, kept nowhere
    python benchmarks/doctor/run.py --only dead-relu   # cells with this word in their name
    python benchmarks/doctor/run.py --part held-out    # the third that nobody tunes on

Each training runs in a process of its own, with nothing but `watch` around its loop. One line for
each finished cell goes into `doctor.jsonl` (`doctor-held-out.jsonl`): the findings with severity
and rank, after how many steps each was there, the share of time that watching cost. Started again,
it goes on after the last; lines of another state of the doctor's code are refused (`--fresh`). The
table of them is `table.py`'s. Which faults count is `verify.py`'s to say.

A third of the faults and of the kinds is held out (`split.py`), by name. Their findings are neither
computed nor shown without `--part held-out`; who looks at them may not tune any more.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import torch  # noqa: E402
from children import answers  # noqa: E402
from healthy import KINDS  # noqa: E402
from setups import SETUPS, trained  # noqa: E402
from split import Part, part_of  # noqa: E402
from table import page, ranks  # noqa: E402
from verify import broken, known, verdicts  # noqa: E402

from cells import Cells, machine  # noqa: E402
from faults import FAULTS  # noqa: E402

LOOKS = (1, 3, 10, 30, 100, 300, 1000)
"""Steps after which the doctor is asked what it has found so far."""

SEEDS = {"tune": (2, 2), "held-out": (2, 9)}
"""Of faults and of healthy runs; of these at least three hundred are asked for in the held-out."""

LIMIT = 150.0
"""Seconds that a cell may take; a training takes one or two on a quiet machine."""

QUICK_FAULTS = 14
QUICK_KINDS = 10


class Watching:
    """The doctor around a loop, and what it said."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    @contextlib.contextmanager
    def __call__(
        self, model: Any, optimizer: Any, *, loss: Any = None, batch: Any = None
    ) -> Iterator[None]:
        """`loss` and `batch` are for tools that ask for them: the doctor is told nothing."""
        from netwright.doctor.watch import Doctor

        optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
        first: dict[str, int] = {}
        asked = [0.0]

        def ask(step: int) -> None:
            if step in LOOKS:
                began = time.perf_counter()
                for each in doctor.diagnosis().at_least("warn"):
                    first.setdefault(each.name, step)
                asked[0] += time.perf_counter() - began

        doctor = Doctor(model, optimizers, on_step=ask)
        try:
            with doctor:
                yield
        finally:
            self.said = {"findings": [], "first": {}, "fault": "the diagnosis raised"}
            diagnosis = doctor.diagnosis()
            steps = doctor.watcher.steps
            for each in diagnosis.at_least("warn"):
                first.setdefault(each.name, steps)
            cost = doctor.watcher.cost()
            self.said = {
                "findings": [
                    {
                        "name": each.name,
                        "severity": each.severity,
                        "step": each.step,
                        "what": str(each.what),
                        "evidence": [str(one.sentence) for one in each.evidence],
                    }
                    for each in diagnosis.findings
                ],
                "first": first,
                "steps": steps,
                "cost": round(cost.share, 4),
                "asking": round(asked[0], 3),
                "fault": cost.fault,
            }


def faulty(name: str, setup: str, seed: int, tool: Callable[[], Any] = Watching) -> dict[str, Any]:
    """A training with a fault, watched."""
    watching, began = tool(), time.perf_counter()
    ended = trained(broken(name or None, setup, seed), watching)
    return {
        **watching.said,
        "score": None if ended.score != ended.score else round(ended.score, 4),
        "error": ended.error,
        "seconds": round(time.perf_counter() - began, 2),
    }


def healthy(name: str, seed: int, tool: Callable[[], Any] = Watching) -> dict[str, Any]:
    """A healthy run that looks odd, watched."""
    watching, began = tool(), time.perf_counter()
    torch.manual_seed(seed)
    entry = KINDS.get(name).target
    reached = entry.run(seed, watching)
    return {
        **watching.said,
        "score": round(float(reached), 4),
        "reached": bool(reached >= entry.at_least),
        "seconds": round(time.perf_counter() - began, 2),
    }


Task = tuple[str, Callable[..., dict[str, Any]], tuple[Any, ...], dict[str, Any]]
"""Name of the cell, function, its arguments, what the line says besides."""


def tasks(part: Part, *, seeds: int, healthy_seeds: int, setups: int | None = None) -> list[Task]:
    """Every cell of a part, seed by seed, so that a run that is stopped has seen a bit of all.

    `setups` bounds the set-ups of each fault to the first that many.
    """
    hurt = verdicts(known())
    wanted: list[Task] = []
    for seed in range(max(seeds, healthy_seeds)):
        if seed < seeds:
            for entry in FAULTS:
                fault = entry.target
                for setup in fault.on[:setups] if fault.part == part else ():
                    verdict = hurt.get((fault.name, setup))
                    if verdict is not None and not verdict.hurts:
                        continue
                    facts = {
                        "what": "fault",
                        "name": fault.name,
                        "setup": setup,
                        "expects": [sorted(each) for each in fault.expects],
                        "verified": None if verdict is None else [verdict.by, verdict.margin],
                    }
                    cell = f"{fault.name} on {setup}, seed {seed}"
                    wanted.append((cell, faulty, (fault.name, setup, seed), facts))
        if seed < healthy_seeds:
            for setup in SETUPS:
                if part_of((f"healthy on {setup}",)) == part:
                    facts = {"what": "twin", "name": setup}
                    cell = f"healthy on {setup}, seed {seed}"
                    wanted.append((cell, faulty, ("", setup, seed), facts))
            for each in KINDS:
                if each.target.part == part:
                    facts = {"what": "healthy", "name": each.name}
                    cell = f"healthy {each.name}, seed {seed}"
                    wanted.append((cell, healthy, (each.name, seed), facts))
    return wanted


def sample(wanted: list[Task]) -> list[Task]:
    """The same few of seed 0 each time: names that are spread evenly over the alphabet."""
    faults = [each for each in wanted if each[3]["what"] == "fault" and each[2][-1] == 0]
    one_each = list({each[3]["name"]: each for each in reversed(faults)}.values())[::-1]
    rest = [each for each in wanted if each[3]["what"] != "fault" and each[2][-1] == 0]
    return _spread(one_each, QUICK_FAULTS) + _spread(rest, QUICK_KINDS)


def _spread(some: list[Task], count: int) -> list[Task]:
    return [some[place * len(some) // count] for place in range(min(count, len(some)))]


def told(cell: str, line: Mapping[str, Any]) -> str:
    """A line for the screen."""
    if "failed" in line:
        return f"{cell}: FAILED {line['failed']}"
    names = [f"{each['severity']} {each['name']}" for each in line["findings"]]
    rank = ", ".join(str(each or "-") for each in ranks(line)) if "expects" in line else ""
    odd = "" if line.get("reached", True) else " (did not reach its number)"
    return f"{cell}{odd}: {f'rank {rank}; ' if rank else ''}{', '.join(names) or 'nothing'}"


def source() -> str:
    """A digest of the code that finds, so that lines of different states are not mixed."""
    digest = hashlib.sha256()
    root = HERE.parent.parent / "src" / "netwright"
    for folder in ("doctor", "records"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("tune", "held-out"), default="tune")
    parser.add_argument("--quick", action="store_true", help="a fixed sample, kept nowhere")
    parser.add_argument("--only", default="", help="only cells with this word in their name")
    parser.add_argument("--seeds", type=int, help="seeds of each fault")
    parser.add_argument("--healthy-seeds", type=int, help="seeds of each healthy run")
    parser.add_argument("--setups", type=int, help="of each fault the first few set-ups only")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--minutes", type=float, help="begin no cell after that")
    parser.add_argument("--out", type=Path, default=HERE, help="where lines and table go")
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    torch.set_num_threads(1)
    part: Part = given.part
    setup = {
        **machine(),
        "threads": 1,
        "torch": version("torch"),
        "part": part,
        "source": source(),
    }
    print(json.dumps(setup), flush=True)
    seeds, healthy_seeds = SEEDS[part]
    wanted = tasks(
        part,
        seeds=given.seeds or seeds,
        healthy_seeds=given.healthy_seeds or healthy_seeds,
        setups=given.setups,
    )
    if given.quick:
        wanted = sample(wanted)
    wanted = [each for each in wanted if given.only in each[0]]
    stop = time.monotonic() + 60 * given.minutes if given.minutes else None
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else given.out
        name = "doctor" if part == "tune" else "doctor-held-out"
        cells = Cells(kept / f"{name}.jsonl", setup, fresh=given.fresh)
        besides = {each[0]: each[3] for each in wanted}

        def left() -> Iterator[tuple[str, Callable[[], Mapping[str, Any]]]]:
            for cell, work, args, _ in wanted:
                if cell not in cells and (stop is None or time.monotonic() < stop):
                    yield cell, functools.partial(work, *args)

        for cell, answer in answers(left(), jobs=given.jobs, seconds=LIMIT):
            line = {**besides[cell], **answer}
            cells.add(cell, line)
            print(told(cell, line), flush=True)
        text = page({"netwright": cells.found}, setup, dropped(part))
        (kept / f"{name}.md").write_text(text, encoding="utf-8")
        print(text)


def dropped(part: Part) -> list[tuple[str, str, str, float]]:
    """Faults of a part that do no harm on a set-up: name, set-up, by what, how much."""
    return sorted(
        (fault, setup, each.by, each.margin)
        for (fault, setup), each in verdicts(known()).items()
        if not each.hurts and FAULTS.get(fault).target.part == part
    )


if __name__ == "__main__":
    main()
