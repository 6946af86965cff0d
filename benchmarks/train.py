"""Steps per second of `netwright train` against a bare loop, Lightning, Keras and JAX; and time to
a fixed accuracy.

    python benchmarks/train.py            # some 40 minutes on two quiet cores
    python benchmarks/train.py --quick    # few steps, one round; prints, keeps nothing
    python benchmarks/train.py --part goal:resnet20       # half an hour more: ResNet-20 to 60 %

All contenders (`contenders.py`) train the same layers with the same optimizer on the same arrays.
In a round each is a fresh process; they train in turns, some seconds each, while the others stand
still, so that whatever disturbs the machine falls on all alike. A ratio compares two contenders of
one round. To an accuracy each trains alone, from the start of its process. See `loops.py` for the
loops, `speed_setups.py` for networks and data; the peers live in environments of their own, made
on first use (`peer_homes.py`).

One line a finished cell goes into `train.jsonl`; started again, the benchmark goes on after the
last. The table is written to `train.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import feeds
from cells import Cells, machine
from contenders import CONTENDERS, Contender
from peer_homes import interpreters, versions
from speed_runner import Runner, Start, in_turns, to_goal
from speed_setups import SETUPS, Setup
from train_table import table_of

HERE = Path(__file__).resolve().parent
PARTS = ("lenet5", "resnet20", "mobilenet_v2", "goal:lenet5")
MORE = ("lenet5:loader", "resnet20:loader", "goal:resnet20")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder with mnist/ and cifar10.zip")
    parser.add_argument("--quick", action="store_true", help="few steps, one round, kept nowhere")
    parser.add_argument("--rounds", type=int, help="rounds of each part (3; 1 with --quick)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    parser.add_argument(
        "--part", action="append", choices=(*PARTS, *MORE), help="instead of the first four"
    )
    parser.add_argument("--all", action="store_true", help="also the rows marked `more`")
    parser.add_argument("--only", default="", help="only contenders with this word (--quick)")
    given = parser.parse_args()
    if given.only and not given.quick:
        parser.error("--only leaves peers out: with --quick only")
    if given.data is not None:
        os.environ["NETWRIGHT_SHARED_DATA"] = str(given.data.resolve())
    if not (feeds.data_folder() / "cifar10.zip").is_file():
        raise SystemExit(f"No cifar10.zip in {feeds.data_folder()}; say where with --data.")
    taking = [
        each
        for each in CONTENDERS
        if (given.all or not each.more) and given.only.lower() in each.name.lower()
    ]
    homes = [each.home for each in CONTENDERS]
    pythons = interpreters(each.home for each in taking)
    setup = {
        **machine(),
        **versions(homes),
        "threads": given.threads,
        "rows": {each.name: " ".join((each.loop, *each.words)) for each in CONTENDERS},
        "steps": {each.key: [each.first, each.burst, each.bursts] for each in SETUPS.values()},
    }
    print(json.dumps(setup), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else HERE
        cells = Cells(kept / "train.jsonl", setup, fresh=given.fresh)
        start = Start(scratch=Path(scratch), pythons=pythons, threads=given.threads)
        for number in range(given.rounds or (1 if given.quick else 3)):
            for part in given.part or PARTS:
                cell = f"{part}, round {number}"
                if cell in cells:
                    continue
                before = os.getloadavg()[0]
                rows = measured(part, number, taking, start, quick=given.quick)
                cells.add(cell, {"load": [before, os.getloadavg()[0]], "rows": rows})
                for name, row in rows.items():
                    print(f"{cell}: {name}: {said(row)}", flush=True)
        table = table_of(cells.found, setup)
        (kept / "train.md").write_text(table)
        print(table)


def measured(
    part: str, number: int, taking: Sequence[Contender], start: Start, *, quick: bool
) -> dict[str, dict[str, Any]]:
    """One round of a part: every contender that takes part in it once."""
    goal = part.startswith("goal:")
    key, _, feed = part.removeprefix("goal:").partition(":")
    setup, feed = SETUPS[key], feed or "memory"
    folder = start.scratch / ("goal" if goal else "rates")
    if not (folder / f"{key}-val-labels.npy").exists():
        folder.mkdir(exist_ok=True)
        feeds.write_arrays(folder, setup, goal=goal)
    taken = [
        each
        for each in taking
        if (key in each.goals if goal else key in each.setups and feed in each.feeds)
    ]
    if goal:
        at = number % max(1, len(taken))
        return {
            each.name: to_goal(runner(each, setup, folder, start, goal_words(setup, number)), setup)
            for each in taken[at:] + taken[:at]
        }
    first, burst, bursts = extent(setup, quick)
    words = [
        f"--first={first}", f"--burst={burst}", f"--bursts={bursts}", f"--feed={feed}",
        f"--steps={first + burst * bursts + 3}", f"--epoch={setup.epoch}", f"--lr={setup.lr}",
        f"--seed={number}",
    ]  # fmt: skip
    runners = {each.name: runner(each, setup, folder, start, words) for each in taken}
    return in_turns(runners, bursts, number)


def goal_words(setup: Setup, number: int) -> list[str]:
    return [
        f"--steps={setup.longest * setup.goal_epoch}", f"--epoch={setup.goal_epoch}",
        f"--lr={setup.goal_lr}", f"--seed={number}",
    ]  # fmt: skip


def runner(
    contender: Contender, setup: Setup, folder: Path, start: Start, words: Sequence[str]
) -> Runner:
    return Runner(
        [
            str(start.pythons[contender.home]), str(HERE / "loops.py"), contender.loop, setup.key,
            *contender.words, *words, f"--threads={start.threads}",
        ],
        start,
        {**contender.environ, "NETWRIGHT_BENCH_ARRAYS": str(folder)},
    )  # fmt: skip


def extent(setup: Setup, quick: bool) -> tuple[int, int, int]:
    """Steps to warm up, steps of a burst, bursts."""
    if quick:
        return max(2, setup.first // 10), max(1, setup.burst // 5), 3
    return setup.first, setup.burst, setup.bursts


def said(row: Mapping[str, Any]) -> str:
    if "goal" in row:
        return json.dumps({name: row[name] for name in ("goal", "from_first_step", "accuracies")})
    return (
        f"{row['ms_per_step']:.2f} ms a step, {row['process_seconds']:.0f} s in all, "
        f"{row['peak_mb']:.0f} MB, loss {row['loss']:.3f}"
    )


if __name__ == "__main__":
    main()
