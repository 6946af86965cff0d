"""Test accuracy of the recipes that come with Netwright: several seeds each, by the command.

    python benchmarks/recipes.py                    # about two hours on two cores
    python benchmarks/recipes.py --only digits      # one recipe
    python benchmarks/recipes.py --quick            # two seeds of the digits; keeps nothing

Each cell is `netwright train` in a fresh process, then `netwright evaluate` on the test split of
the run it left; training looks at a validation tenth only. One line a cell goes into
`recipes.jsonl`; started again, the benchmark goes on after the last. The table is written to
`recipes.md`.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import feeds
from cells import Cells, machine

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A recipe, and the accuracy in percent that the median of the seeds has to reach."""

    name: str
    words: Callable[[Path], tuple[str, ...]]
    """DATA and recipe, given a folder for what has to be unpacked."""
    goal: float | None
    seeds: int = 5


def subjects() -> list[Subject]:
    data = feeds.data_folder()
    return [
        Subject(name="digits", words=lambda _: ("digits",), goal=98.5),
        Subject(
            name="mnist-lenet5",
            words=lambda _: (str(data / "mnist"), "--config", "mnist-lenet5"),
            goal=99.2,
        ),
        Subject(
            name="fashion-mnist",
            words=lambda _: (str(data / "fashion-mnist"), "--config", "fashion-mnist"),
            goal=92.5,
            seeds=3,
        ),
        Subject(
            name="cifar10",
            words=lambda scratch: (str(cifar10_as_records(scratch)), "--config", "cifar10"),
            goal=None,
            seeds=3,
        ),
    ]


def cifar10_as_records(scratch: Path) -> Path:
    """CIFAR-10 in its binary form: five files for training, one for the test. The second half of
    the training images has lost the lowest 2 bits of each value."""
    folder = scratch / "cifar-10-batches-bin"
    if folder.exists():
        return folder
    folder.mkdir()
    halves = [
        feeds.cifar10_part("cifar10.zip", "train_a"),
        feeds.cifar10_part("cifar10_train_b.zip", "train_b"),
    ]
    images, labels = (np.concatenate(each) for each in zip(*halves, strict=True))
    for number, part in enumerate(np.split(np.arange(len(labels)), 5)):
        _write_records(folder / f"data_batch_{number + 1}.bin", images[part], labels[part])
    _write_records(folder / "test_batch.bin", *feeds.cifar10_part("cifar10.zip", "test"))
    names = feeds.cifar10_classes()
    (folder / "batches.meta.txt").write_text("".join(f"{name}\n" for name in names))
    return folder


def _write_records(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    pixels = images.reshape(len(labels), -1)  # (N, 3 * 32 * 32), plane by plane
    path.write_bytes(np.column_stack([labels.astype(np.uint8), pixels]).tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder with mnist/, cifar10.zip, ...")
    parser.add_argument("--quick", action="store_true", help="two seeds of the digits only")
    parser.add_argument("--seeds", type=int, help="seeds of each recipe (5 or 3)")
    parser.add_argument("--only", default="", help="only recipes with this word in their name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    if given.data is not None:
        os.environ["NETWRIGHT_SHARED_DATA"] = str(given.data.resolve())
    chosen = subjects()[:1] if given.quick else subjects()
    setup = {
        **machine(),
        "torch": version("torch"),
        "netwright": version("netwright"),
    }
    print(json.dumps(setup), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else HERE
        cells = Cells(kept / "recipes.jsonl", setup, fresh=given.fresh)
        for subject in chosen:
            for seed in range(2 if given.quick else given.seeds or subject.seeds):
                cell = f"{subject.name}, seed {seed}"
                if cell not in cells and given.only in subject.name:
                    words = subject.words(Path(scratch))
                    cells.add(cell, measured(words, seed, given.threads))
                    print(f"{cell}: {json.dumps(cells.found[cell])}", flush=True)
        table = table_of(chosen, cells.found, setup)
        (kept / "recipes.md").write_text(table)
        print(table)


def measured(words: Sequence[str], seed: int, threads: int) -> dict[str, Any]:
    """One training and its evaluation on the test split."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        trained, cost = _netwright(
            ["train", *words, f"seed={seed}", "device=cpu", f"--run-dir={run}"], threads
        )
        tested, _ = _netwright(["evaluate", str(run), "--split=test", "--device=cpu"], threads)
    return {
        "test_acc1": 100 * tested["metrics"]["acc1"],
        "test_count": tested["count"],
        "val_acc1": 100 * trained["best"]["value"],
        "best_epoch": trained["best"]["epoch"],
        "epochs": trained["epochs"],
        "threads": threads,
        **cost,
    }


def _netwright(words: Sequence[str], threads: int) -> tuple[dict[str, Any], dict[str, float]]:
    """The JSON document of a command, and what its process cost."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "netwright", *words, "--json"],
            stdout=out,
            stderr=err,
            env=environment,
        )
        # wait4, for it tells the memory and the processor time of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"netwright {' '.join(words)} failed:\n{err.read()}")
        return json.load(out), {
            "process_seconds": round(seconds, 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
            "peak_mb": round(usage.ru_maxrss / 1024),
        }


def table_of(
    chosen: Sequence[Subject], found: Mapping[str, Mapping[str, Any]], setup: Mapping[str, Any]
) -> str:
    lines = [
        "# Test accuracy of the recipes",
        "",
        f"{setup['processor']}, {setup['cores']} cores; "
        f"Python {setup['python']}, torch {setup['torch']}, Netwright {setup['netwright']}. "
        "Written by `benchmarks/recipes.py`. Models are selected on a validation tenth of the "
        "training data; the test split is looked at once in a run, at its end. "
        "The machine is shared: the seconds of a process are those of that hour, its processor "
        "seconds say what it needs. "
        "Lines with 1 thread were measured while other work ran beside them. Those of "
        "fashion-mnist are older than the rest: its averaged weights (`run.ema`) were evaluated "
        "with the norm statistics of the last raw weights, which do not fit them.",
        "",
        "| recipe | test images | median test accuracy, % | goal | each seed | epochs "
        "| threads | seconds of the process | processor seconds | peak memory, MB |",
        "|---|---:|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for subject in chosen:
        rows = [line for cell, line in found.items() if cell.startswith(f"{subject.name}, seed")]
        if not rows:
            continue
        names = ("epochs", "process_seconds", "cpu_seconds", "peak_mb")
        epochs, seconds, processor, peak = (_median(rows, name) for name in names)
        each = ", ".join(f"{row['test_acc1']:.2f}" for row in rows)
        lines.append(
            f"| {subject.name} | {rows[0]['test_count']} "
            f"| **{statistics.median(row['test_acc1'] for row in rows):.2f}** "
            f"| {subject.goal or '-'} | {each} | {epochs} "
            f"| {', '.join(sorted({str(row['threads']) for row in rows}))} "
            f"| {seconds} | {processor} | {peak} |"
        )
    return "\n".join([*lines, ""])


def _median(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    found = [row[name] for row in rows if row.get(name) is not None]
    return f"{statistics.median(found):.0f}" if found else "-"


if __name__ == "__main__":
    main()
