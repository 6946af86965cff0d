"""Steps per second of `netwright train` against a bare PyTorch loop and against Lightning.

    python benchmarks/train.py            # about half an hour on two quiet cores
    python benchmarks/train.py --quick    # a few minutes; prints, keeps nothing

All three train the same module (netwright's own lenet5 and resnet20) with the same optimizer on
the same data, once out of one tensor in memory, once through torch's DataLoader. A round starts
each contender in a fresh process, one after another, in an order that turns from round to round;
a ratio compares two contenders of one round. See `loops.py` for the loops, `feeds.py` for the
data. Lightning lives in an environment of its own, made on first use in
`$NETWRIGHT_HOME` or `~/.cache/netwright`, under `benchmarks/`.

One line a round goes into `train.jsonl`; started again, the benchmark goes on after the last.
The table is written to `train.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import feeds
from cells import Cells, machine
from loops import CONTENDERS, FEEDS

HERE = Path(__file__).resolve().parent
LIGHTNING = "2.6.6"
NAMES = {"bare": "bare loop", "lightning": "Lightning", "netwright": "Netwright"}
FED = {"memory": "one tensor in memory", "loader": "torch's DataLoader"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder with mnist/ and cifar10.zip")
    parser.add_argument("--quick", action="store_true", help="few steps, two rounds, kept nowhere")
    parser.add_argument("--rounds", type=int, help="rounds of each row (5; 2 with --quick)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    parser.add_argument("--only", default="", help="only rows with this word in their name")
    given = parser.parse_args()
    if given.data is not None:
        os.environ["NETWRIGHT_SHARED_DATA"] = str(given.data.resolve())
    if not (feeds.data_folder() / "cifar10.zip").is_file():
        raise SystemExit(f"No cifar10.zip in {feeds.data_folder()}; say where with --data.")
    rounds = given.rounds or (2 if given.quick else 5)
    pythons = interpreters()
    setup = {
        **machine(),
        **versions(pythons),
        "threads": given.threads,
        "workers": given.workers,
        "steps": ", ".join(
            "{} steps {} to {}".format(each.name, *window(each, given.quick))
            for each in feeds.SETUPS.values()
        ),
    }
    print(json.dumps(setup), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else HERE
        cells = Cells(kept / "train.jsonl", setup, fresh=given.fresh)
        for number in range(rounds):
            for each in feeds.SETUPS.values():
                for feed in FEEDS:
                    cell = f"{each.name}, {feed}, round {number}"
                    if cell in cells or given.only.lower() not in cell.lower():
                        continue
                    cells.add(cell, one_round(each, feed, number, given, pythons))
                    print(summary(cell, cells.found[cell]), flush=True)
        table = table_of(cells.found, setup)
        (kept / "train.md").write_text(table)
        print(table)


def one_round(
    setup: feeds.Setup,
    feed: str,
    number: int,
    given: argparse.Namespace,
    pythons: Mapping[str, Path],
) -> dict[str, Any]:
    """Each contender once, in a process of its own; the first of them turns with the round."""
    turn = number % len(CONTENDERS)
    names = list(CONTENDERS)
    first, last = window(setup, given.quick)
    values: dict[str, Any] = {"seed": number}
    for name in names[turn:] + names[:turn]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "result.json"
            line = [
                str(pythons[name]), str(HERE / "loops.py"), name, setup.name, feed,
                f"--first={first}", f"--last={last}", f"--seed={number}",
                f"--threads={given.threads}", f"--workers={given.workers}", f"--out={out}",
            ]  # fmt: skip
            values[name] = measured(line, given.threads, Path(folder), out)
    return values


def measured(line: Sequence[str], threads: int, folder: Path, out: Path) -> dict[str, Any]:
    """What one process measured about itself, and its time from start to end."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": str(HERE.parent / "src"),
        "NETWRIGHT_RUNS": str(folder / "runs"),
    }
    started = time.perf_counter()
    done = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} failed:\n{done.stdout}{done.stderr}")
    return {**json.loads(out.read_text()), "process_seconds": seconds}


def window(setup: feeds.Setup, quick: bool) -> tuple[int, int]:
    """The steps between which the clock runs."""
    if not quick:
        return setup.first, setup.last
    return setup.first // 10, setup.first // 10 + setup.last // 20


def interpreters() -> dict[str, Path]:
    """The Python of each contender; Lightning's environment is made when it is not there."""
    ours = Path(sys.executable)
    cache = Path(os.environ.get("NETWRIGHT_HOME", Path.home() / ".cache" / "netwright"))
    folder = cache / "benchmarks" / f"lightning-{LIGHTNING}"
    theirs = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        print(f"Making an environment for Lightning in {folder} ...", flush=True)
        subprocess.run([ours, "-m", "venv", "--clear", folder], check=True)
        # What Netwright's models need, in the versions that stand here; lightning brings the rest.
        same = [f"{name}=={_version(name)}" for name in ("torch", "numpy", "pydantic", "pillow")]
        wanted = [f"lightning=={LIGHTNING}", "pyyaml", "safetensors", *same]
        subprocess.run([theirs, "-m", "pip", "install", "--quiet", *wanted], check=True)
        finished.touch()
    return {"bare": ours, "lightning": theirs, "netwright": ours}


def versions(pythons: Mapping[str, Path]) -> dict[str, str]:
    """torch, Lightning and Netwright; refuses to compare two versions of torch."""
    asked = "import torch, lightning; print(torch.__version__, lightning.__version__)"
    theirs = subprocess.run(
        [pythons["lightning"], "-c", asked], check=True, capture_output=True, text=True
    ).stdout.split()
    import torch

    if theirs[0] != torch.__version__:
        raise SystemExit(f"torch {torch.__version__} here, {theirs[0]} beside Lightning.")
    return {"torch": theirs[0], "lightning": theirs[1], "netwright": _version("netwright")}


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package).partition("+")[0]


def summary(cell: str, line: Mapping[str, Any]) -> str:
    rates = "  ".join(
        f"{name} {line[name]['steps_per_second']:.1f}/s ({line[name]['process_seconds']:.0f} s)"
        for name in CONTENDERS
    )
    return f"{cell}: {rates}"


def table_of(found: Mapping[str, Mapping[str, Any]], setup: Mapping[str, Any]) -> str:
    """Medians over the rounds, with the least and the greatest ratio."""
    lines = [
        "# Steps per second of `netwright train`",
        "",
        f"{setup['processor']}, {setup['cores']} cores, {setup['threads']} threads, "
        f"{setup['workers']} workers of the DataLoader; Python {setup['python']}, "
        f"torch {setup['torch']}, Lightning {setup['lightning']}, "
        f"Netwright {setup['netwright']}. Written by `benchmarks/train.py`.",
        "",
        "| network, data | fed by | bare loop, steps/s | Netwright : bare loop "
        "| Netwright : Lightning | Lightning : bare loop | rounds |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    processes = [
        "| network, data | fed by | bare loop | Lightning | Netwright "
        "| peak memory of the three, MB | validation accuracy of the three, % |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in feeds.SETUPS.values():
        for feed in FEEDS:
            rows = [
                line for cell, line in found.items() if cell.startswith(f"{each.name}, {feed},")
            ]
            if not rows:
                continue
            bare = statistics.median(row["bare"]["steps_per_second"] for row in rows)
            ratios = " | ".join(
                spread([_rate(row, one) / _rate(row, other) for row in rows])
                for one, other in (
                    ("netwright", "bare"),
                    ("netwright", "lightning"),
                    ("lightning", "bare"),
                )
            )
            lines.append(
                f"| {each.name}, batch {each.batch} | {FED[feed]} | {bare:.1f} "
                f"| {ratios} | {len(rows)} |"
            )
            middle = {
                name: {
                    key: statistics.median(row[name][key] for row in rows)
                    for key in ("process_seconds", "peak_mb", "val_acc1")
                }
                for name in CONTENDERS
            }
            order = ("bare", "lightning", "netwright")
            seconds = " | ".join(f"{middle[name]['process_seconds']:.1f}" for name in order)
            memory = ", ".join(f"{middle[name]['peak_mb']:.0f}" for name in order)
            accuracy = ", ".join(f"{100 * middle[name]['val_acc1']:.1f}" for name in order)
            processes.append(f"| {each.name} | {FED[feed]} | {seconds} | {memory} | {accuracy} |")
    return "\n".join([*lines, "", _NOTES.format(**setup), "", *processes, ""])


def _rate(row: Mapping[str, Any], name: str) -> float:
    return float(row[name]["steps_per_second"])


def spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


_NOTES = """\
A ratio is a median over rounds, with the least and the greatest; above 1 the first is faster. A
round starts each contender in a fresh process, one after another, in an order that turns; the seed
is the number of the round. The clock runs between two steps and sees loading, logging and the
evaluation of 1,000 images at the end of each epoch, not imports ({steps}).

All three train Netwright's own module with SGD (momentum 0.9, `fused=True`), float32, on the same
normalised tensors. The bare loop logs the loss every 50 steps to a CSV file; Lightning does so with
its CSVLogger, without progress bar, model summary and checkpoints. Netwright is the command itself,
with its metrics, gradient norms, checks for finite values and checkpoints.

Seconds of the whole process, from start to end; Netwright's includes its evidence and report:"""


if __name__ == "__main__":
    main()
