"""Healing on seeded faults: the untreated training, its healthy twin, and what `heal` made of it.

    python benchmarks/healing/run.py                    # the part that may be tuned on
    python benchmarks/healing/run.py --quick            # a fixed sample, kept nowhere
    python benchmarks/healing/run.py --only dead-relu   # cells with this word in their name
    python benchmarks/healing/run.py --part held-out    # the third that nobody tunes on
    python benchmarks/healing/run.py --part problems    # AutoTrainer's five, three seeds

The faults and the twelve set-ups are those of the doctor's benchmark (`../doctor`), each training
four times as long as there, for a repair has to pay. `nw.heal` trains by a loop of its own, so only
faults of data, model, loss, optimizer and plan can be put to it: those of a loop are healed by a
patch of the script. Each cell runs in a process of its own; one line for each goes into
`healing.jsonl` (`healing-held-out.jsonl`), and started again it goes on after the last.

All three are judged on test data that none of them has seen. A cell counts where the untreated
training ends two points or more under its twin. Healthy set-ups are put to it too: they must not
get worse.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "doctor"), str(HERE.parent)]

import torch  # noqa: E402
from children import answers  # noqa: E402
from healing_table import page  # noqa: E402
from problems import BASES, PROBLEMS, problem  # noqa: E402
from run_source import source  # noqa: E402
from setups import SETUPS, Parts, assembled, judged, nobody, trained  # noqa: E402
from split import Part, part_of  # noqa: E402
from verify import broken, known, verdicts  # noqa: E402

from cells import Cells, machine  # noqa: E402
from faults import FAULTS  # noqa: E402

LONGER = 4
"""Times the epochs of the doctor's benchmark."""

LIMIT = 400.0
"""Seconds that a cell may take."""

QUICK = 8


Build = Callable[[str, str, int], Parts]
"""Of the name of a fault ("" is none), of a set-up, and a seed."""


def seeded(fault: str, setup: str, seed: int) -> Parts:
    """A set-up of the doctor's benchmark."""
    return broken(fault or None, setup, seed)


def lengthened(build: Build, times: int, fault: str, setup: str, seed: int) -> Parts:
    parts = build(fault, setup, seed)
    parts.epochs *= times
    return parts


def cell(build: Build, fault: str, setup: str, seed: int) -> dict[str, Any]:
    """One fault on one set-up, untreated, healthy and healed."""
    from netwright.doctor.healing import heal

    twin = trained(build("", setup, seed), nobody)
    control = trained(build(fault, setup, seed), nobody) if fault else twin
    parts = build(fault, setup, seed)
    training = assembled(parts)
    torch.manual_seed(20_000 + seed)
    began = time.perf_counter()
    healed = heal(
        training.model,
        training.optimizer,
        parts.loss,
        training.train,
        training.val,
        epochs=parts.epochs,
        scheduler=training.schedule,
        scheduler_every="step" if parts.schedule_every == "step" else "epoch",
        clip=parts.clip,
    )
    seconds = time.perf_counter() - began
    try:
        score, _ = (parts.judge or judged)(parts, healed.model)
    except (RuntimeError, ValueError, IndexError, TypeError):
        score = math.nan
    return {
        "twin": _plain(twin.score),
        "control": _plain(control.score),
        "healed": _plain(score),
        "repaired": healed.repaired,
        "cost": round(healed.cost, 3),
        "passes": round(healed.passes, 3),
        "times": round(seconds / max(control.seconds, 1e-9), 3),
        "found": [each.name for each in healed.diagnosis.at_least("warn")],
        "tried": sorted({n for a in healed.table for r in a.rows for n in r.names}),
        "kept": [list(each.names) for each in healed.kept],
        "left": [each.name for each in healed.left.at_least("warn")],
        "reason": str(healed.reason),
        "seconds": round(seconds, 2),
    }


def _plain(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def healable(fault: str, setup: str) -> bool:
    """Whether the fault is in what `heal` is given, and not in the loop."""
    whole, parts = broken(None, setup, 0), broken(fault, setup, 0)
    loop = parts.loop.__qualname__ == whole.loop.__qualname__
    return loop and parts.wired is None and parts.augment is None and whole.augment is None


Task = tuple[str, Callable[..., dict[str, Any]], tuple[Any, ...], dict[str, Any]]


def problems(*, seeds: int) -> list[Task]:
    """AutoTrainer's five on three networks, and these as they are."""
    return [
        (
            f"{name or 'healthy'} {base}, seed {seed}",
            cell,
            (problem, name, base, seed),
            {"what": "fault" if name else "healthy", "name": name, "setup": base},
        )
        for seed in range(seeds)
        for name in (*PROBLEMS, "")
        for base in BASES
    ]


def tasks(part: Part, *, seeds: int, setups: int | None) -> list[Task]:
    """Faults that are known to hurt, then the healthy set-ups."""
    hurt = verdicts(known())
    wanted: list[Task] = []
    for seed in range(seeds):
        for entry in FAULTS:
            each = entry.target
            if each.part != part or each.hurts != "score":
                continue
            on = [
                name
                for name in each.on
                if (each.name, name) in hurt and hurt[each.name, name].hurts
            ]
            for name in [one for one in on if healable(each.name, one)][:setups]:
                facts = {"what": "fault", "name": each.name, "setup": name,
                         "expects": [sorted(some) for some in each.expects]}  # fmt: skip
                wanted.append((f"{each.name} on {name}, seed {seed}", cell,
                               (seeded, each.name, name, seed), facts))  # fmt: skip
        for name in SETUPS:
            if part_of((name,)) == part or part == "tune":
                facts = {"what": "healthy", "name": "", "setup": name}
                wanted.append(
                    (f"healthy {name}, seed {seed}", cell, (seeded, "", name, seed), facts)
                )
    return sorted(wanted, key=_lot)


def _lot(task: Task) -> str:
    """An order without meaning, the same each time: what is done of it is a fair sample."""
    return hashlib.sha256(task[0].encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("tune", "held-out", "problems"), default="tune")
    parser.add_argument("--quick", action="store_true", help="a fixed sample, kept nowhere")
    parser.add_argument("--only", default="", help="only cells with this word in their name")
    parser.add_argument("--longer", type=int, help="times the epochs: 4, of the five problems 1")
    parser.add_argument("--seeds", type=int, help="1 unless said, of the five problems 3")
    parser.add_argument("--setups", type=int, default=1, help="of each fault the first few")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    parser.add_argument("--minutes", type=float, help="begin no cell after that")
    parser.add_argument("--out", type=Path, default=HERE, help="where lines and table go")
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    torch.set_num_threads(1)
    setup = {
        **machine(),
        "threads": 1,
        "torch": version("torch"),
        "part": given.part,
        "longer": given.longer or (1 if given.part == "problems" else LONGER),
        "source": source(),
    }
    print(json.dumps(setup), flush=True)
    if given.part == "problems":
        wanted = problems(seeds=given.seeds or 3)
    else:
        wanted = tasks(given.part, seeds=given.seeds or 1, setups=given.setups)
    if given.quick:
        wanted = [wanted[place * len(wanted) // QUICK] for place in range(QUICK)]
    wanted = [each for each in wanted if given.only in each[0]]
    wanted = [
        (title, work, (functools.partial(lengthened, build, setup["longer"]), *which), facts)
        for title, work, (build, *which), facts in wanted
    ]
    stop = time.monotonic() + 60 * given.minutes if given.minutes else None
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else given.out
        name = "healing" if given.part == "tune" else f"healing-{given.part}"
        cells = Cells(kept / f"{name}.jsonl", setup, fresh=given.fresh)
        besides = {each[0]: each[3] for each in wanted}

        def left() -> Iterator[tuple[str, Callable[[], Mapping[str, Any]]]]:
            for title, work, args, _ in wanted:
                if title not in cells and (stop is None or time.monotonic() < stop):
                    yield title, functools.partial(work, *args)

        for title, answer in answers(left(), jobs=given.jobs, seconds=LIMIT):
            line = {**besides[title], **answer}
            cells.add(title, line)
            print(told(title, line), flush=True)
        text = page(cells.found, setup)
        (kept / f"{name}.md").write_text(text, encoding="utf-8")
        print(text)


def told(title: str, line: Mapping[str, Any]) -> str:
    """A line for the screen."""
    if "failed" in line:
        return f"{title}: FAILED {line['failed']}"
    kept = "; ".join(" + ".join(each) for each in line["kept"])
    return (
        f"{title}: untreated {line['control']}, twin {line['twin']}, healed {line['healed']}"
        f" ({line['cost']} trainings) {kept or '-'} | found {', '.join(line['found'][:3]) or '-'}"
    )


if __name__ == "__main__":
    main()
