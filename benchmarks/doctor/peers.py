"""The same runs under other tools, in an environment of their own.

    PYTHONPATH=src peers/bin/python benchmarks/doctor/peers.py [--part held-out] [--tool NAME]

The environment is made once; no torchvision is needed, and none may be there:

    python3.11 -m venv peers
    peers/bin/pip install torch==2.13.0 numpy "setuptools<80"
    peers/bin/pip install torchtest2 torchmortem torch-audit training-doctor
    peers/bin/pip install --no-deps backpack-for-pytorch cockpit-for-pytorch
    peers/bin/pip install einops json_tricks matplotlib seaborn scipy tqdm unfoldNd
    peers/bin/pip install pillow safetensors pyyaml pydantic "cyclopts<6"

with the torch that Netwright has here; the last line is what Netwright's data need. One line for
each finished cell goes into `doctor-peers.jsonl` (`doctor-held-out-peers.jsonl`), and `table.py`
puts them beside Netwright's.

Each tool is used as its own documents say, at its own defaults, with all that it asks for: model,
optimizer, loss and a batch for torchtest2; the loss after each step for torchmortem; every tenth
step for torch-audit, whose default of 1,000 would see none here; loss, rate, gradient norm and
validation loss for training-doctor. Cockpit shows instruments and gives no verdict: what no reader
could overlook is written down in `peer_tools.cockpit_`.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from children import answers  # noqa: E402
from peer_tools import TOOLS, Peer  # noqa: E402
from run import LIMIT, SEEDS, sample, tasks, told  # noqa: E402
from split import Part  # noqa: E402

from cells import Cells, machine  # noqa: E402

PACKAGES = {
    "torchtest2": "torchtest2",
    "torchmortem": "torchmortem",
    "torch-audit": "torch-audit",
    "training-doctor": "training-doctor",
    "cockpit": "cockpit-for-pytorch",
}


def versions() -> dict[str, str]:
    found = {}
    for tool, package in PACKAGES.items():
        try:
            found[tool] = version(package)
        except PackageNotFoundError:
            found[tool] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("tune", "held-out"), default="tune")
    parser.add_argument("--tool", choices=tuple(TOOLS), action="append", help="this one only")
    parser.add_argument("--quick", action="store_true", help="the fixed sample of run.py")
    parser.add_argument("--only", default="", help="only cells with this word in their name")
    parser.add_argument("--seeds", type=int, help="seeds of each fault")
    parser.add_argument("--healthy-seeds", type=int, help="seeds of each healthy run")
    parser.add_argument("--setups", type=int, help="of each fault the first few set-ups only")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="begin no cell after that")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    part: Part = given.part
    setup = {**machine(), "threads": 1, "torch": version("torch"), "part": part, **versions()}
    print(json.dumps(setup), flush=True)
    seeds, healthy_seeds = SEEDS[part]
    wanted = tasks(
        part,
        seeds=given.seeds or seeds,
        healthy_seeds=given.healthy_seeds or healthy_seeds,
        setups=given.setups,
    )
    wanted = [each for each in (sample(wanted) if given.quick else wanted) if given.only in each[0]]
    name = "doctor" if part == "tune" else "doctor-held-out"
    cells = Cells(given.out / f"{name}-peers.jsonl", setup, fresh=given.fresh)
    stop = time.monotonic() + 60 * given.minutes if given.minutes else None
    besides = {}

    def left() -> Iterator[tuple[str, Callable[[], Mapping[str, Any]]]]:
        for run, work, args, facts in wanted:
            for tool in given.tool or TOOLS:
                cell = f"{tool}: {run}"
                if cell not in cells and (stop is None or time.monotonic() < stop):
                    besides[cell] = facts
                    yield cell, functools.partial(work, *args, tool=functools.partial(Peer, tool))

    for cell, answer in answers(left(), jobs=given.jobs, seconds=LIMIT):
        line = {**besides[cell], **answer}
        cells.add(cell, line)
        print(told(cell, line), flush=True)


if __name__ == "__main__":
    main()
